-- Whom and what was forgotten, as of which offsets: kind is contact or interaction,
-- and the interactions of a forgotten contact are listed one by one. Ingest reads it
-- before it stores, so that a record read from Kafka again does not bring them back. Where
-- it is lost, ingest writes it again from cdds.erased.
CREATE TABLE IF NOT EXISTS erased_subjects
(
    tenant_id    LowCardinality(String),
    kind         LowCardinality(String),
    id           String,
    erasure_id   String,
    interactions Array(Int64),
    contacts     Array(Int64),
    recorded_at  DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree
ORDER BY (tenant_id, erasure_id, kind, id)
