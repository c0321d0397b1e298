-- Which positions each part of the table holds, by block of 2^20 (see 0030), as bitmaps,
-- some two bytes a row. They live and die with the rows of their part, so whatever is
-- lost with a part is missing here too, and every export can afford to look: see
-- warehouse.Missing. Blocks keep what has to be compared small, however long the history.
-- Parts from before are counted from their rows.
ALTER TABLE interactions ADD PROJECTION IF NOT EXISTS positions (SELECT source_partition, bitShiftRight(source_offset, 20) AS block, groupBitmapState(toUInt32(bitAnd(source_offset, 1048575))) GROUP BY source_partition, block)
