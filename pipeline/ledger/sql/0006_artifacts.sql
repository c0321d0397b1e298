-- Every stored file of every export: parts, the manifest and its signature.
CREATE TABLE IF NOT EXISTS artifacts
(
    tenant_id  LowCardinality(String),
    export_id  String,
    name       String,
    kind       LowCardinality(String),
    object_key String,
    part       UInt32,
    rows       UInt64,
    size       UInt64,
    sha256     String,
    created_at DateTime64(3, 'UTC'),
    expires_at Nullable(DateTime64(3, 'UTC')),
    version    UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (tenant_id, export_id, name)
