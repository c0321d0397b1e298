-- Whether an interaction has attachments, so that an export of many without any does
-- not read a single body to find that out. Rows stored before compute it when asked.
ALTER TABLE interactions ADD COLUMN IF NOT EXISTS attached Bool MATERIALIZED JSONLength(body, 'attachments') > 0 AFTER body_bytes
