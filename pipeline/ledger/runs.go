package ledger

import (
	"context"
	"strings"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// JobRuns returns the runs of a job, the one that was due last first, at most limit.
func (l *Ledger) JobRuns(ctx context.Context, tenantID, jobID string, limit int) ([]schemas.Export, error) {
	return tables.Decoded[schemas.Export](ctx, l.db, "read the runs of a job",
		"SELECT body FROM exports FINAL WHERE tenant_id = {tenant:String} AND job_id = {job:String} ORDER BY scheduled_at DESC, export_id DESC LIMIT {limit:UInt32}",
		tables.Named("tenant", tenantID), tables.Named("job", jobID), tables.Named("limit", uint32(limit)))
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

// LatestRuns reads the latest export of each of a tenant's jobs that ever ran, by job
// id, without their lists of parts.
func (l *Ledger) LatestRuns(ctx context.Context, tenantID string, jobIDs []string) (map[string]*schemas.Export, error) {
	if len(jobIDs) == 0 {
		return nil, nil
	}
	var c conditions
	c.where("tenant_id = {tenant:String}", "tenant", tenantID)
	c.among("job_id", "jobs", jobIDs)
	runs, err := tables.Decoded[*schemas.Export](ctx, l.db, "read latest runs of jobs",
		"SELECT summary FROM exports FINAL WHERE "+strings.Join(c.list, " AND ")+" ORDER BY requested_at DESC, export_id DESC LIMIT 1 BY job_id", c.args...)
	if err != nil {
		return nil, err
	}
	latest := make(map[string]*schemas.Export, len(runs))
	for _, e := range runs {
		if e.Parts = nil; e.Request != nil {
			latest[e.Request.JobID] = e
		}
	}
	return latest, nil
}
