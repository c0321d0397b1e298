-- Every status event of every export, once: publishing a fact again rewrites the
-- same row.
CREATE TABLE IF NOT EXISTS export_events
(
    tenant_id        LowCardinality(String),
    export_id        String,
    event_id         String,
    state            LowCardinality(String),
    time             DateTime64(3, 'UTC'),
    body             String CODEC(ZSTD(1)),
    source_partition Int32,
    source_offset    Int64,
    ingested_at      DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (tenant_id, export_id, event_id)
