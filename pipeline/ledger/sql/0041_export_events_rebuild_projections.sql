-- See 0014.
ALTER TABLE export_events MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild'
