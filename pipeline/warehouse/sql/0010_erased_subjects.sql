-- Whom and what was forgotten, as of which offsets: kind is contact or interaction,
-- and the interactions of a forgotten contact are listed one by one. Ingest looks its
-- records up in it before it stores them, so that a record read from Kafka again does not
-- bring them back; the projection tells it at once whether there is anything new. Where
-- the table is lost, ingest writes it again from cdds.erased. What is recorded again keeps when it
-- was recorded before: exports that continue others go by that.
CREATE TABLE IF NOT EXISTS erased_subjects
(
    tenant_id    LowCardinality(String),
    kind         LowCardinality(String),
    id           String,
    erasure_id   String,
    interactions Array(Int64),
    contacts     Array(Int64),
    recorded_at  DateTime64(6, 'UTC') DEFAULT now64(6),

    INDEX of_erasure erasure_id TYPE bloom_filter GRANULARITY 1,
    PROJECTION newest (SELECT count(), max(recorded_at))
)
ENGINE = ReplacingMergeTree
ORDER BY (tenant_id, kind, id, erasure_id, recorded_at)
SETTINGS deduplicate_merge_projection_mode = 'rebuild'
