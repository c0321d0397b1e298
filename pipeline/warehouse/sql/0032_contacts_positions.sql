-- See 0031.
ALTER TABLE contacts ADD PROJECTION IF NOT EXISTS positions (SELECT source_partition, bitShiftRight(source_offset, 20) AS block, groupBitmapState(toUInt32(bitAnd(source_offset, 1048575))) GROUP BY source_partition, block)
