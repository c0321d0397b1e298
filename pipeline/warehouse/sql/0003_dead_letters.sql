-- The position and reason of every record that was dead-lettered. With it, the
-- law "produced = stored + dead-lettered" is one query per topic and partition.
-- The bytes themselves are on the dead-letter topic.
CREATE TABLE IF NOT EXISTS dead_letters
(
    topic            LowCardinality(String),
    source_partition Int32,
    source_offset    Int64,
    code             LowCardinality(String),
    reason           String,
    ingested_at      DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, source_partition, source_offset)
