-- Where an export stands without its parts, which may be thousands: listings read this.
-- Rows of before there was this column have the whole body in its place.
ALTER TABLE exports ADD COLUMN IF NOT EXISTS summary String DEFAULT body CODEC(ZSTD(1))
