package ledger

import (
	"context"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// LatestRuns reads the latest export of each of a tenant's jobs that ever ran, by job id: whole,
// but without parts, if it is at work, and otherwise its id, state and when it was requested.
// The latest is the one requested last, of two the one with the greater id.
//
// It costs what is asked for, however many exports the tenant has. A projection knows the greatest
// time and id of each job among all rows, also among rows that a later fold replaced and no merge
// has dropped yet. So what it names is compared with the export itself. If they agree, no other run
// is later. If not, because a fold corrected when the export was requested or of which job it is,
// the job's exports are read.
func (l *Ledger) LatestRuns(ctx context.Context, tenantID string, jobIDs []string) (map[string]*schemas.Export, error) {
	if len(jobIDs) == 0 {
		return nil, nil
	}
	named, err := l.namedLatest(ctx, tenantID, jobIDs)
	if err != nil {
		return nil, err
	}
	latest := make(map[string]*schemas.Export, len(named))
	if err := l.agreeing(ctx, tenantID, named, latest); err != nil {
		return nil, err
	}
	var others []string
	for job := range named {
		if latest[job] == nil {
			others = append(others, job)
		}
	}
	if err := l.searchLatest(ctx, tenantID, others, latest); err != nil {
		return nil, err
	}
	return latest, l.wholeIfWorking(ctx, tenantID, latest)
}

// namedLatest is what the projection names as the latest run of each job.
func (l *Ledger) namedLatest(ctx context.Context, tenantID string, jobIDs []string) (map[string]run, error) {
	named := make(map[string]run, len(jobIDs))
	// Not FINAL: that reads rows instead of the projection.
	return named, l.db.Each(ctx, "read which runs of jobs are the latest", `
SELECT toString(job_id), latest.1, latest.2 FROM (
  SELECT job_id, max((requested_at, export_id)) AS latest FROM exports
  WHERE tenant_id = {tenant:String} AND job_id IN (SELECT arrayJoin({jobs:Array(String)})) GROUP BY job_id)`,
		[]any{tables.Named("tenant", tenantID), tables.Named("jobs", jobIDs)}, func(rows driver.Rows) error {
			var job string
			var r run
			err := rows.Scan(&job, &r.requestedAt, &r.exportID)
			named[job] = r
			return err
		})
}

// run is a run of a job, as the projection names it.
type run struct {
	requestedAt time.Time
	exportID    string
}

// agreeing adds to latest the named runs that are what they are named as.
func (l *Ledger) agreeing(ctx context.Context, tenantID string, named map[string]run, latest map[string]*schemas.Export) error {
	if len(named) == 0 {
		return nil
	}
	ids := make([]string, 0, len(named))
	for _, r := range named {
		ids = append(ids, r.exportID)
	}
	// The newest fold is chosen among the few rows of these exports, which is less work than FINAL.
	return l.db.Each(ctx, "read the latest runs of jobs", `
SELECT export_id, newest.1, newest.2, newest.3 FROM (
  SELECT export_id, argMax((toString(job_id), toString(state), requested_at), version) AS newest FROM exports
  WHERE tenant_id = {tenant:String} AND export_id IN (SELECT arrayJoin({exports:Array(String)})) GROUP BY export_id)`,
		[]any{tables.Named("tenant", tenantID), tables.Named("exports", ids)}, func(rows driver.Rows) error {
			e := &schemas.Export{TenantID: tenantID}
			job, err := scanRun(rows, e)
			if r, ok := named[job]; ok && r.exportID == e.ExportID && r.requestedAt.Equal(e.RequestedAt.Time) {
				latest[job] = e
			}
			return err
		})
}

// searchLatest adds to latest the latest run of each of some jobs, out of all of theirs.
func (l *Ledger) searchLatest(ctx context.Context, tenantID string, jobIDs []string, latest map[string]*schemas.Export) error {
	if len(jobIDs) == 0 {
		return nil
	}
	return l.db.Each(ctx, "search the latest runs of jobs", `
SELECT export_id, toString(job_id), toString(state), requested_at FROM exports FINAL
WHERE tenant_id = {tenant:String} AND job_id IN (SELECT arrayJoin({jobs:Array(String)}))
ORDER BY requested_at DESC, export_id DESC LIMIT 1 BY job_id`,
		[]any{tables.Named("tenant", tenantID), tables.Named("jobs", jobIDs)}, func(rows driver.Rows) error {
			e := &schemas.Export{TenantID: tenantID}
			job, err := scanRun(rows, e)
			latest[job] = e
			return err
		})
}

// scanRun reads an id, a job, a state and a time into an export, and returns the job.
func scanRun(rows driver.Rows, e *schemas.Export) (job string, err error) {
	var state string
	var at time.Time
	err = rows.Scan(&e.ExportID, &job, &state, &at)
	e.State, e.RequestedAt = schemas.State(state), schemas.TimeOf(at)
	return job, err
}

// wholeIfWorking replaces the exports that are at work by the whole of them, without parts.
// Summaries are read of these only: those of all runs would be most of the table.
func (l *Ledger) wholeIfWorking(ctx context.Context, tenantID string, latest map[string]*schemas.Export) error {
	working := map[string]*schemas.Export{}
	var ids []string
	for _, e := range latest {
		if !e.State.Ended() {
			working[e.ExportID], ids = e, append(ids, e.ExportID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return l.eachExport(ctx, "read runs at work", func(e schemas.Export) error {
		*working[e.ExportID] = e
		return nil
	}, "PREWHERE tenant_id = {tenant:String} AND export_id IN (SELECT arrayJoin({exports:Array(String)}))",
		tables.Named("tenant", tenantID), tables.Named("exports", ids))
}
