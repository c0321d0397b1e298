-- When Kafka appended the record. Of versions of one interaction in several partitions the
-- one appended last is the newest: offsets of different partitions say nothing about that.
ALTER TABLE interactions ADD COLUMN IF NOT EXISTS published_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)) AFTER source_offset
