-- Before when rows of a tenant were removed because they were kept as long as the policy
-- says. Written before anything is removed, so that no export promises what is going.
CREATE TABLE IF NOT EXISTS aged_out
(
    tenant_id LowCardinality(String),
    entity    LowCardinality(String),
    before    DateTime64(3, 'UTC'),
    at        DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (tenant_id, entity, before)
