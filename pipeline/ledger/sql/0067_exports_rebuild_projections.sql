-- See 0014.
ALTER TABLE exports MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild'
