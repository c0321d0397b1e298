-- Which offsets each part of the table holds, as bitmaps, some two bytes a row. They
-- live and die with the rows of their part, so whatever is lost with a part is missing
-- here too, and every export can afford to look: see warehouse.Missing. Parts from
-- before are counted from their rows.
ALTER TABLE interactions ADD PROJECTION IF NOT EXISTS offsets (SELECT source_partition, groupBitmapState(toUInt64(source_offset)) GROUP BY source_partition)
