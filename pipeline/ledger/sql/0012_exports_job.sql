-- Which job an export is a run of and when that was due; empty and 1970 for others.
ALTER TABLE exports
    ADD COLUMN IF NOT EXISTS job_id LowCardinality(String) DEFAULT JSONExtractString(body, 'request', 'job_id'),
    ADD COLUMN IF NOT EXISTS scheduled_at DateTime64(3, 'UTC') DEFAULT parseDateTime64BestEffortOrZero(JSONExtractString(body, 'request', 'scheduled_at'), 3, 'UTC')
