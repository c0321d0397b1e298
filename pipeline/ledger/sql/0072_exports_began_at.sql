-- When the last attempt at each export began: quotas count its bytes for that day. Of exports of
-- before there was this column only the request is known.
ALTER TABLE exports ADD COLUMN IF NOT EXISTS began_at DateTime64(3, 'UTC') DEFAULT if(JSONHas(summary, 'began_at'), parseDateTime64BestEffortOrZero(JSONExtractString(summary, 'began_at'), 3, 'UTC'), requested_at)
