-- Attributes as ingest read them. Whether it stated them, and whether there are
-- attachments, says stated. Of rows from before nobody knows: exports read their bodies
-- to find attachments, and fail if they filter by attributes.
ALTER TABLE interactions
    MODIFY COLUMN attributes Map(String, String) DEFAULT map(),
    ADD COLUMN IF NOT EXISTS stated Bool DEFAULT false AFTER attributes
