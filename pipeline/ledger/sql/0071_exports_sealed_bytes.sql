-- How many sealed bytes each export has stored: quotas sum them.
ALTER TABLE exports ADD COLUMN IF NOT EXISTS sealed_bytes UInt64 DEFAULT JSONExtractUInt(summary, 'done', 'sealed_bytes')
