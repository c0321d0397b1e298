-- What listings filter by: who requested each export, and whether it is of some contacts.
-- Parts of before have neither, and are read from the summary until a merge makes them.
ALTER TABLE exports
    ADD COLUMN IF NOT EXISTS requested_by LowCardinality(String) DEFAULT JSONExtractString(summary, 'request', 'requested_by'),
    ADD COLUMN IF NOT EXISTS of_contacts Bool DEFAULT JSONHas(summary, 'request', 'contacts')
