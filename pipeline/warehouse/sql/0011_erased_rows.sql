-- The position and time of every row that was erased, and nothing else of it. With it
-- "produced = stored + dead-lettered + erased" still holds, and exports that have the
-- row are found by their range and snapshot.
CREATE TABLE IF NOT EXISTS erased_rows
(
    topic            LowCardinality(String),
    source_partition Int32,
    source_offset    Int64,
    tenant_id        LowCardinality(String),
    time             DateTime64(3, 'UTC'),
    erasure_id       String
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, source_partition, source_offset, erasure_id)
