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

// LastCompletedRun returns, of a job's completed runs of an entity, the one whose snapshot
// reaches furthest, without its parts and whether or not its artifacts are still there;
// found is false if there is none. stale is the id of a run that ended after one that
// reaches further, unless a whole run (one that continues none) that reaches at least as
// far ended after it. Later snapshots of a topic have more positions: each partition's
// only grow.
func (l *Ledger) LastCompletedRun(ctx context.Context, tenantID, jobID, entity string) (last schemas.Export, stale string, found bool, err error) {
	var id string
	err = l.db.Scan(ctx, "read the last completed run of a job", `
WITH maxIf((ended, export_id), reaches < most) AS late, maxIf(ended, since = 0 AND reaches = most) AS whole
SELECT argMax(export_id, (reaches, ended)), if(late.1 > whole, late.2, '')
FROM (
  SELECT export_id, ended, reaches, since, max(reaches) OVER (ORDER BY ended, reaches DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS most
  FROM (
    SELECT export_id, JSONExtractString(summary, 'ended_at') AS ended, JSONLength(summary, 'since') AS since,
      arraySum(JSONExtract(summary, 'snapshot', 'Array(Int64)')) AS reaches
    FROM exports FINAL
    WHERE tenant_id = {tenant:String} AND job_id = {job:String} AND entity = {entity:String} AND JSONHas(summary, 'completion')))`,
		[]any{tables.Named("tenant", tenantID), tables.Named("job", jobID), tables.Named("entity", entity)}, &id, &stale)
	if err != nil {
		return last, "", false, err
	}
	if id == "" {
		return last, "", false, nil
	}
	last, found, err = l.Export(ctx, tenantID, id)
	last.Parts = nil
	return last, stale, found, err
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
