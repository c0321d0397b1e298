-- Who did what, once: publishing a fact again rewrites the same row, and the earliest
-- time of it stays.
CREATE TABLE IF NOT EXISTS audit
(
    tenant_id LowCardinality(String),
    audit_id  String,
    time      DateTime64(3, 'UTC'),
    actor     String,
    source    String,
    action    LowCardinality(String),
    subject   String,
    outcome   LowCardinality(String),
    detail    String CODEC(ZSTD(1)),
    earlier   UInt64 DEFAULT toUInt64(10000000000000 - toUnixTimestamp64Milli(time))
)
ENGINE = ReplacingMergeTree(earlier)
ORDER BY (tenant_id, audit_id)
