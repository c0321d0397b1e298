-- See 0060_interactions_blocks.
ALTER TABLE erased_rows MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
