-- Where each export stands: the fold of its events. version counts the events
-- folded, so a later fold replaces an earlier one whatever the order of arrival.
CREATE TABLE IF NOT EXISTS exports
(
    tenant_id    LowCardinality(String),
    export_id    String,
    entity       LowCardinality(String),
    state        LowCardinality(String),
    requested_at DateTime64(3, 'UTC'),
    updated_at   DateTime64(3, 'UTC'),
    rows_done    UInt64,
    rows_planned UInt64,
    body         String CODEC(ZSTD(1)),
    version      UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, export_id)
