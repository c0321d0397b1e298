-- The steps of the schema that were taken. Their files name them.
CREATE TABLE IF NOT EXISTS schema_steps
(
    step     String,
    taken_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (step)
