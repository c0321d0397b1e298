-- See 0023.
ALTER TABLE contacts
    MODIFY COLUMN attributes Map(String, String) DEFAULT map(),
    ADD COLUMN IF NOT EXISTS stated Bool DEFAULT false AFTER attributes
