-- A copy of which logs of a topic are one and the same. The bucket decides; should it be
-- lost, the copy is what new positions are kept apart from old ones by.
CREATE TABLE IF NOT EXISTS incarnations
(
    topic  LowCardinality(String),
    number UInt32,
    body   String
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, number)
