-- Where each erasure stands; version is the time it was written, in milliseconds.
CREATE TABLE IF NOT EXISTS erasures
(
    tenant_id  LowCardinality(String),
    erasure_id String,
    state      LowCardinality(String),
    body       String CODEC(ZSTD(1)),
    version    UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, erasure_id)
