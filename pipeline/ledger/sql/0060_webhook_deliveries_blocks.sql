-- See 0060_interactions_blocks.
ALTER TABLE webhook_deliveries MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
