-- Exports and erasures of some people read the rows that name them, not all: ids are spread
-- over granules of 1024 rows, of which a filter of 2 KB says that it has none. Parts of
-- before have no index and are read until a merge makes it.
ALTER TABLE interactions ADD INDEX IF NOT EXISTS of_contact contact_id TYPE bloom_filter(0.001) GRANULARITY 1
