package provision

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/ClickHouse/clickhouse-go/v2"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/tables"
)

// until are the schemas of an earlier release: their steps up to last.
func until(t *testing.T, last string) (all []tables.Schema) {
	t.Helper()
	for _, s := range Schemas() {
		earlier := fstest.MapFS{}
		files, err := fs.Glob(s.Files, "sql/*.sql")
		check(t, err)
		for _, file := range files {
			if name := strings.TrimPrefix(file, "sql/"); name[:len(last)] <= last {
				content, err := fs.ReadFile(s.Files, file)
				check(t, err)
				earlier[file] = &fstest.MapFile{Data: content}
			}
		}
		s.Files = earlier
		all = append(all, s)
	}
	return all
}

// One database goes from the release before to this one and is used by both: with data,
// and with and without a record of the steps it has taken.
func TestTablesOfTheReleaseBeforeAreBroughtUpToDateWithTheirRows(t *testing.T) {
	for name, recorded := range map[string]bool{"recorded": true, "unrecorded": false} {
		t.Run(name, func(t *testing.T) {
			ctx, database := t.Context(), "upgrade_"+name
			check(t, stacktest.ClickHouse(t).Exec(ctx, "CREATE DATABASE "+database))
			conn := stacktest.ClickHouse(t, func(o *clickhouse.Options) { o.Auth.Database = database })
			db := tables.New(conn)
			before := until(t, "0022")
			check(t, db.Create(ctx, before...))
			check(t, conn.Exec(ctx, `INSERT INTO interactions (tenant_id, started_at, interaction_id, media_type, body, body_bytes, source_partition, source_offset)
VALUES ('acme', '2026-01-01 00:00:00', 'old', 'chat', '{"interaction_id":"old"}', 25, 0, 7)`))
			if !recorded { // as releases before the record left it
				check(t, conn.Exec(ctx, "DROP TABLE schema_steps SYNC"))
			}
			if err := TablesAreCurrent(ctx, db); err == nil || !strings.Contains(err.Error(), "cdds provision") {
				t.Errorf("of the older tables is said: %v", err)
			}

			check(t, db.Create(ctx, Schemas()...))
			check(t, TablesAreCurrent(ctx, db))
			var rows uint64
			check(t, conn.QueryRow(ctx, "SELECT count() FROM interactions WHERE interaction_id = 'old' AND source_offset = 7").Scan(&rows))
			if rows != 1 {
				t.Errorf("%d rows are there of 1", rows)
			}

			// The way back: the release before finds all it needs, and stores what it stored.
			pending, err := db.Pending(ctx, before...)
			if err != nil || len(pending) > 0 {
				t.Errorf("to the release before are pending: %v, %v", pending, err)
			}
			check(t, conn.Exec(ctx, `INSERT INTO interactions (tenant_id, started_at, interaction_id, media_type, body, body_bytes, source_partition, source_offset)
VALUES ('acme', '2026-01-01 00:00:00', 'back', 'chat', '{"interaction_id":"back"}', 26, 0, 8)`))
		})
	}
}

// A process that starts takes no step that was taken.
func TestAStepIsTakenOnce(t *testing.T) {
	ctx := t.Context()
	check(t, stacktest.ClickHouse(t).Exec(ctx, "CREATE DATABASE steps"))
	conn := stacktest.ClickHouse(t, func(o *clickhouse.Options) { o.Auth.Database = "steps" })
	db := tables.New(conn)
	check(t, db.Create(ctx, Schemas()...))
	check(t, db.Create(ctx, Schemas()...))
	var taken, distinct uint64
	check(t, conn.QueryRow(ctx, "SELECT count(), uniqExact(step) FROM schema_steps").Scan(&taken, &distinct))
	if taken != distinct {
		t.Errorf("%d steps were taken, %d of them different", taken, distinct)
	}
	check(t, conn.Exec(ctx, "DROP TABLE contacts SYNC"))
	check(t, db.Create(ctx, Schemas()...)) // a table that went away comes back
	check(t, TablesAreCurrent(ctx, db))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
