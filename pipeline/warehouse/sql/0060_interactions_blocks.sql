-- A block that equals one of before is stored all the same: the rows of that one may be lost
-- since, and come again. Replicated tables compare by default, and the setting of an insert that
-- says not to (insert_deduplicate) means nothing to ClickHouse from 26.2 on.
ALTER TABLE interactions MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
