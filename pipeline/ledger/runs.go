package ledger

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// JobRuns returns the runs of a job, the one that was due last first, at most limit.
func (l *Ledger) JobRuns(ctx context.Context, tenantID, jobID string, limit int) ([]schemas.Export, error) {
	return l.exports(ctx, "read the runs of a job",
		"WHERE tenant_id = {tenant:String} AND job_id = {job:String} ORDER BY scheduled_at DESC, export_id DESC LIMIT {limit:UInt32}",
		tables.Named("tenant", tenantID), tables.Named("job", jobID), tables.Named("limit", uint32(limit)))
}

// RecentRuns returns the runs of each of the jobs, by schemas.Job.Key, at most limit a job:
// the ones due last, the latest first.
func (l *Ledger) RecentRuns(ctx context.Context, jobs []string, limit int) (map[string][]schemas.JobRun, error) {
	all := make(map[string][]schemas.JobRun, len(jobs))
	jobs = slices.Sorted(slices.Values(jobs)) // few tenants at a time: rows are ordered by tenant
	for some := range tables.Fitting(jobs, func(job string) int { return len(job) }) {
		var tenants []string
		for _, job := range some {
			tenantID, _, _ := strings.Cut(job, "/")
			tenants = append(tenants, tenantID)
		}
		err := l.db.Each(ctx, "read recent runs of jobs", `
SELECT concat(tenant_id, '/', job_id) AS job, export_id, state, scheduled_at FROM exports FINAL
WHERE tenant_id IN (SELECT arrayJoin({tenants:Array(String)})) AND job IN (SELECT arrayJoin({jobs:Array(String)}))
ORDER BY scheduled_at DESC, export_id DESC LIMIT {limit:UInt32} BY job`,
			[]any{tables.Named("tenants", slices.Compact(tenants)), tables.Named("jobs", some), tables.Named("limit", uint32(limit))},
			func(rows driver.Rows) error {
				var job, state string
				var r schemas.JobRun
				var at time.Time
				if err := rows.Scan(&job, &r.ExportID, &state, &at); err != nil {
					return err
				}
				r.State, r.ScheduledAt = schemas.State(state), schemas.TimeOf(at)
				all[job] = append(all[job], r)
				return nil
			})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// ChainRuns returns the runs of a job's chain after a number, in order, at most limit.
func (l *Ledger) ChainRuns(ctx context.Context, tenantID, jobID string, after, limit int) ([]schemas.ChainRun, error) {
	exports, err := tables.Decoded[schemas.Export](ctx, l.db, "read the chain of a job", `
SELECT summary FROM (
  SELECT summary, JSONExtractInt(summary, 'completion', 'chain', 'number') AS number FROM exports FINAL
  WHERE tenant_id = {tenant:String} AND job_id = {job:String})
WHERE number > {after:Int64} ORDER BY number LIMIT {limit:UInt32}`,
		tables.Named("tenant", tenantID), tables.Named("job", jobID), tables.Named("after", int64(after)), tables.Named("limit", uint32(limit)))
	runs := make([]schemas.ChainRun, 0, len(exports))
	for _, e := range exports {
		c := e.Completion
		if c == nil || c.Chain == nil {
			continue
		}
		runs = append(runs, schemas.ChainRun{
			Number: c.Chain.Number, ExportID: e.ExportID, PreviousExportID: c.Chain.PreviousExportID, ManifestSHA256: c.ManifestSHA256,
			CompletedAt: e.EndedAt, ExpiresAt: c.ExpiresAt, Gone: e.State != schemas.Completed, Totals: c.Totals,
		})
	}
	return runs, err
}
