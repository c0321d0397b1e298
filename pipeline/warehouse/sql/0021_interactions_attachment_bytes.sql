-- How large each attachment of an interaction is, in bytes, so that a plan can divide
-- them into parts without reading the bodies they are in. Ingest states it: what was
-- stored before has none, and is read.
ALTER TABLE interactions ADD COLUMN IF NOT EXISTS attachment_bytes Array(UInt32) CODEC(ZSTD(1)) AFTER attached
