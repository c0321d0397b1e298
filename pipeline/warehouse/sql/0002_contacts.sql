-- One row per published version of a contact; see 0001_interactions.sql.
CREATE TABLE IF NOT EXISTS contacts
(
    tenant_id        LowCardinality(String),
    created_at       DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    contact_id       String CODEC(ZSTD(1)),
    attributes       Map(String, String) CODEC(ZSTD(1)),
    body             String CODEC(ZSTD(1)),
    body_bytes       UInt32 CODEC(ZSTD(1)),
    source_partition Int32 CODEC(Delta, ZSTD(1)),
    source_offset    Int64 CODEC(Delta, ZSTD(1)),
    ingested_at      DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),

    modified_at      Nullable(DateTime64(3, 'UTC')) ALIAS parseDateTime64BestEffortOrNull(JSONExtractString(body, 'modified_at'), 3, 'UTC'),
    display_name     String ALIAS JSONExtractString(body, 'display_name'),
    first_name       String ALIAS JSONExtractString(body, 'first_name'),
    last_name        String ALIAS JSONExtractString(body, 'last_name'),
    company          String ALIAS JSONExtractString(body, 'company'),
    emails           Array(String) ALIAS JSONExtract(body, 'emails', 'Array(String)'),
    phones           Array(String) ALIAS JSONExtract(body, 'phones', 'Array(String)'),
    language         String ALIAS JSONExtractString(body, 'language'),
    notes            String ALIAS JSONExtractString(body, 'notes')
)
ENGINE = ReplacingMergeTree
PARTITION BY if(toYear(created_at) BETWEEN 1990 AND 2059, toYear(created_at), 0)
ORDER BY (tenant_id, created_at, contact_id, source_partition, source_offset)
SETTINGS index_granularity = 1024
