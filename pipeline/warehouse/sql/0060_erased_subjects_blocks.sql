-- See 0060_interactions_blocks.
ALTER TABLE erased_subjects MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
