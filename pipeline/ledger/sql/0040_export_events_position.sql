-- Every publication of a status event keeps a row of its own, so that the positions which
-- 0042 counts have no holes where a fact was published again: what is missing of the
-- topic is then missing here. Rows of before have 0 and 0; history reads again, once, the
-- records whose rows were replaced.
ALTER TABLE export_events
    ADD COLUMN IF NOT EXISTS position_partition Int32,
    ADD COLUMN IF NOT EXISTS position_offset Int64,
    MODIFY ORDER BY (tenant_id, export_id, event_id, position_partition, position_offset)
