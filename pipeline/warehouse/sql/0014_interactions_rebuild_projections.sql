-- What 0031 needs of a ReplacingMergeTree: a merge that drops replayed rows counts its
-- projections anew, and so does a lightweight delete.
ALTER TABLE interactions MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild', lightweight_mutation_projection_mode = 'rebuild'
