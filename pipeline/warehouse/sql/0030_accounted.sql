-- Positions that have no row, by what became of their record: dead_letter, void, erased,
-- aged_out or written_off. A block is 2^20 positions, of which offsets has the lower 20
-- bits; whole says that all of it is meant, so a run of any length costs one row for each million of its positions. Merges
-- join what belongs to a block, so the table does not grow with the number of runs.
CREATE TABLE IF NOT EXISTS accounted
(
    topic            LowCardinality(String),
    source_partition Int32,
    kind             LowCardinality(String),
    block            Int64,
    whole            SimpleAggregateFunction(max, UInt8),
    offsets          AggregateFunction(groupBitmap, UInt32)
)
ENGINE = AggregatingMergeTree
ORDER BY (topic, source_partition, kind, block)
