package provision

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/ClickHouse/clickhouse-go/v2"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/ledger"
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

// The latest runs of jobs are found that were saved before there was a projection of them, and by
// a process of the release before after that.
func TestTheLatestRunsOfBeforeAreInTheProjection(t *testing.T) {
	ctx, database := t.Context(), "upgrade_runs"
	check(t, stacktest.ClickHouse(t).Exec(ctx, "CREATE DATABASE "+database))
	conn := stacktest.ClickHouse(t, func(o *clickhouse.Options) { o.Auth.Database = database })
	db := tables.New(conn)
	check(t, db.Create(ctx, until(t, "0072")...))
	save := func(id, at string) {
		check(t, conn.Exec(ctx, `INSERT INTO exports (tenant_id, export_id, state, requested_at, updated_at, body, version)
VALUES ('acme', '`+id+`', 'completed', '`+at+`', '`+at+`', '{"request":{"job_id":"nightly"}}', 5)`))
	}
	latest := func() string {
		runs, err := ledger.New(db).LatestRuns(ctx, "acme", []string{"nightly"})
		check(t, err)
		if len(runs) != 1 {
			t.Fatalf("there are latest runs of %d jobs", len(runs))
		}
		return runs["nightly"].ExportID
	}
	save("second", "2026-01-02 00:00:00")
	save("first", "2026-01-01 00:00:00")
	waiting := tables.WithSettings(ctx, clickhouse.Settings{"mutations_sync": 2})
	check(t, db.Create(waiting, Schemas()...))
	if id := latest(); id != "second" {
		t.Errorf("the latest run is %s", id)
	}
	var with, parts uint64
	check(t, conn.QueryRow(ctx, "SELECT countIf(has(projections, 'latest_run')), count() FROM system.parts WHERE database = currentDatabase() AND table = 'exports' AND active").Scan(&with, &parts))
	if with != parts || parts == 0 {
		t.Errorf("%d of %d parts have the projection", with, parts)
	}
	save("third", "2026-01-03 00:00:00")
	if id := latest(); id != "third" {
		t.Errorf("the latest run is %s", id)
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
