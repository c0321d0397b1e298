-- Large parts of before may never be merged again. ClickHouse makes their projection in the
-- background; until then their rows are read.
ALTER TABLE exports MATERIALIZE PROJECTION latest_run
