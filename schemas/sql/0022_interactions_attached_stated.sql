-- Ingest, which has read the event, states it; ClickHouse reads a body again only for
-- an ingest of the release before.
ALTER TABLE interactions MODIFY COLUMN attached Bool DEFAULT JSONLength(body, 'attachments') > 0
