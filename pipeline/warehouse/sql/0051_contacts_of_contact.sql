-- See 0050.
ALTER TABLE contacts ADD INDEX IF NOT EXISTS of_contact contact_id TYPE bloom_filter(0.001) GRANULARITY 1
