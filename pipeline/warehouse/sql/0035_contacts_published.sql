-- See 0034.
ALTER TABLE contacts ADD COLUMN IF NOT EXISTS published_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)) AFTER source_offset
