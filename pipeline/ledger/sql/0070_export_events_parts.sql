-- Which part of the export an event stores, 0 if none, in which attempt, and its totals in the
-- order of schemas.Totals: a fold adds up these columns and reads no bodies of parts.
-- For rows of before there were these columns the body says so.
ALTER TABLE export_events
    ADD COLUMN IF NOT EXISTS attempt UInt32 DEFAULT toUInt32(greatest(JSONExtractInt(body, 'attempt'), 1)),
    ADD COLUMN IF NOT EXISTS part UInt32 DEFAULT if(state = 'running'
        AND event_id = concat('part/', leftPad(toString(JSONExtractUInt(body, 'part', 'number')), 6, '0'))
        AND NOT (JSONHas(body, 'waiting') OR JSONHas(body, 'request_digest') OR JSONHas(body, 'request') OR JSONHas(body, 'recipients') OR JSONHas(body, 'snapshot')),
        toUInt32(JSONExtractUInt(body, 'part', 'number')), 0),
    ADD COLUMN IF NOT EXISTS part_totals Array(Int64) DEFAULT if(part = 0, [], [1,
        if(JSONExtractString(body, 'part', 'kind') = '', JSONExtractInt(body, 'part', 'rows'), 0),
        if(JSONExtractString(body, 'part', 'kind') = '', JSONExtractInt(body, 'part', 'bytes'), 0),
        JSONExtractInt(body, 'part', 'zip_bytes'),
        JSONExtractInt(body, 'part', 'sealed_bytes') + arraySum(s -> JSONExtractInt(s, 'sealed_bytes'), JSONExtractArrayRaw(body, 'part', 'segments')),
        if(JSONExtractString(body, 'part', 'kind') = 'removed', JSONExtractInt(body, 'part', 'rows'), 0),
        if(JSONExtractString(body, 'part', 'kind') = 'attachments', JSONExtractInt(body, 'part', 'rows'), 0),
        if(JSONExtractString(body, 'part', 'kind') = 'attachments', JSONExtractInt(body, 'part', 'bytes'), 0),
        if(JSONExtractString(body, 'part', 'kind') = 'attachments', JSONExtractInt(body, 'part', 'problems'), 0)])
