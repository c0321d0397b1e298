-- Runs of offsets [first, next) at which Kafka has no record for readers: marks of
-- transactions, records of aborted ones, what compaction removed. Without them such
-- positions would look lost.
CREATE TABLE IF NOT EXISTS voids
(
    topic            LowCardinality(String),
    source_partition Int32,
    first            Int64,
    next             Int64,
    ingested_at      DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, source_partition, first, next)
