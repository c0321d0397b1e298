package ledger

import (
	"context"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sync/errgroup"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// Overview counts exports and artifacts, of one tenant or, with schemas.AllTenants, of all.
type Overview struct {
	// Exports counts exports by state.
	Exports map[string]int64
	// ExportedRows is how many rows all completed exports hold together.
	ExportedRows int64
	// Artifacts are the files stored now, ArtifactBytes their size.
	Artifacts, ArtifactBytes int64
}

// Overview counts as of now.
func (l *Ledger) Overview(ctx context.Context, tenantID string) (Overview, error) {
	o := Overview{Exports: map[string]int64{}}
	var whose conditions
	whose.where("({tenant:String} = '*' OR tenant_id = {tenant:String})", "tenant", tenantID)
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error {
		return l.db.Each(ctx, "count exports", "SELECT toString(state), toInt64(count()), toInt64(sum(rows_done)) FROM exports FINAL WHERE "+whose.list[0]+" GROUP BY state",
			whose.args, func(rows driver.Rows) error {
				var state string
				var n, sum int64
				err := rows.Scan(&state, &n, &sum)
				o.Exports[state] = n
				if schemas.State(state) == schemas.Completed {
					o.ExportedRows = sum
				}
				return err
			})
	})
	both.Go(func() error {
		// Nearly all files ever listed are gone. Exports with a row of a file that is not, which a
		// later row may have replaced, are found by that column alone; of the others nothing is read.
		return l.db.Scan(ctx, "count artifacts", `
SELECT toInt64(count()), toInt64(sum(size)) FROM artifacts FINAL
PREWHERE (tenant_id, export_id) IN (SELECT tenant_id, export_id FROM artifacts WHERE `+whose.list[0]+` AND removed_at IS NULL)
WHERE removed_at IS NULL`, whose.args, &o.Artifacts, &o.ArtifactBytes)
	})
	return o, both.Wait()
}

// SealedSince is how many sealed bytes the exports of a tenant have stored that began since a time;
// what was removed again counts, too.
func (l *Ledger) SealedSince(ctx context.Context, tenantID string, since time.Time) (n int64, err error) {
	return n, l.db.Scan(ctx, "add up the bytes of exports",
		"SELECT toInt64(sum(sealed_bytes)) FROM exports FINAL WHERE tenant_id = {tenant:String} AND began_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')",
		[]any{tables.Named("tenant", tenantID), tables.Named("since", since.UnixMilli())}, &n)
}

// Tenants lists those that have any exports and whose id contains a text, beginning after an
// id: at most limit, in order.
func (l *Ledger) Tenants(ctx context.Context, containing, after string, limit int) ([]string, error) {
	return l.db.Texts(ctx, "list tenants with exports", tables.Tenants("exports"),
		tables.Named("containing", containing), tables.Named("after", after), tables.Named("limit", uint32(limit)))
}
