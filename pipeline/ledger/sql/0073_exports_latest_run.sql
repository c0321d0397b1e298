-- The latest run of each job, by when it was requested and then by id, is read from one row a job
-- and part. A row that a later fold has replaced may still be counted: see ledger.LatestRuns.
ALTER TABLE exports ADD PROJECTION IF NOT EXISTS latest_run (SELECT tenant_id, job_id, max((requested_at, export_id)) GROUP BY tenant_id, job_id)
