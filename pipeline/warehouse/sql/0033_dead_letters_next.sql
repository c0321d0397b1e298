-- Where a batch of records ends that was dead-lettered without being read; 0 for a single record.
ALTER TABLE dead_letters ADD COLUMN IF NOT EXISTS next Int64 AFTER source_offset
