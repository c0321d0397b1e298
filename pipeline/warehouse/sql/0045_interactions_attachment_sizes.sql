-- Recordings have gigabytes: sizes of over 4 GiB do not fit into 32 bits.
ALTER TABLE interactions MODIFY COLUMN attachment_bytes Array(UInt64) CODEC(ZSTD(1))
