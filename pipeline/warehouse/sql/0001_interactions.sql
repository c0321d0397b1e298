-- One row per published version of an interaction. The sorting key ends with the
-- record's position, so replaying a Kafka record rewrites the same row, while
-- successive versions are kept. An export reads the newest version below its
-- snapshot. The body is the event as published and what exports carry. What queries
-- filter by is stored beside it as ingest read it: JSONExtract gives nothing for a body
-- with an integer beyond 64 bits. The aliases are for people who look around.
-- A producer chooses the dates: partitions are years, and what lies outside some of them is
-- one partition, so that no insert makes more than 71 parts and no mutation visits more.
-- Granules are small because exports read by key range: a part should not cost many
-- rows it does not hold.
CREATE TABLE IF NOT EXISTS interactions
(
    tenant_id        LowCardinality(String),
    started_at       DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    interaction_id   String CODEC(ZSTD(1)),
    media_type       LowCardinality(String),
    direction        LowCardinality(String),
    status           LowCardinality(String),
    queue            LowCardinality(String),
    contact_id       String CODEC(ZSTD(1)),
    attributes       Map(String, String) CODEC(ZSTD(1)),
    body             String CODEC(ZSTD(1)),
    body_bytes       UInt32 CODEC(ZSTD(1)),
    source_partition Int32 CODEC(Delta, ZSTD(1)),
    source_offset    Int64 CODEC(Delta, ZSTD(1)),
    ingested_at      DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),

    ended_at         Nullable(DateTime64(3, 'UTC')) ALIAS parseDateTime64BestEffortOrNull(JSONExtractString(body, 'ended_at'), 3, 'UTC'),
    modified_at      Nullable(DateTime64(3, 'UTC')) ALIAS parseDateTime64BestEffortOrNull(JSONExtractString(body, 'modified_at'), 3, 'UTC'),
    parent_id        String ALIAS JSONExtractString(body, 'parent_id'),
    thread_id        String ALIAS JSONExtractString(body, 'thread_id'),
    agent_id         String ALIAS JSONExtractString(body, 'agent_id'),
    category         String ALIAS JSONExtractString(body, 'category'),
    subject          String ALIAS JSONExtractString(body, 'subject'),
    text             String ALIAS JSONExtractString(body, 'text'),
    notes            String ALIAS JSONExtractString(body, 'notes'),
    language         String ALIAS JSONExtractString(body, 'language'),
    disposition      String ALIAS JSONExtractString(body, 'disposition'),
    attachments      Array(String) ALIAS JSONExtractArrayRaw(body, 'attachments')
)
ENGINE = ReplacingMergeTree
PARTITION BY if(toYear(started_at) BETWEEN 1990 AND 2059, toYear(started_at), 0)
ORDER BY (tenant_id, started_at, interaction_id, source_partition, source_offset)
SETTINGS index_granularity = 1024
