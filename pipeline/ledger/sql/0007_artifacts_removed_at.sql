-- When the object of an artifact was removed; NULL while it is there.
ALTER TABLE artifacts ADD COLUMN IF NOT EXISTS removed_at Nullable(DateTime64(3, 'UTC')) AFTER expires_at
