-- See 0015.
ALTER TABLE contacts ADD PROJECTION IF NOT EXISTS offsets (SELECT source_partition, groupBitmapState(toUInt64(source_offset)) GROUP BY source_partition)
