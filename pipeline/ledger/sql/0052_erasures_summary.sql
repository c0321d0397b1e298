-- Where an erasure stands without its subjects, of which there may be ten thousand: listings
-- read this. Rows of before there was this column have the whole body in its place.
ALTER TABLE erasures ADD COLUMN IF NOT EXISTS summary String DEFAULT body CODEC(ZSTD(1))
