-- One row per attempt to tell a webhook. The same attempt, told again, is one row.
CREATE TABLE IF NOT EXISTS webhook_deliveries
(
    tenant_id  LowCardinality(String),
    job_id     String,
    export_id  String,
    webhook_id String,
    attempt    UInt32,
    time       DateTime64(3, 'UTC'),
    outcome    LowCardinality(String),
    body       String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (tenant_id, job_id, time, webhook_id, attempt)
TTL toDateTime(time) + INTERVAL 400 DAY
