-- Whether an interaction has attachments, so that an export of many without any does
-- not read a single body to find that out. Rows that do not state it may have some.
ALTER TABLE interactions ADD COLUMN IF NOT EXISTS attached Bool DEFAULT true AFTER body_bytes
