-- 0000_schema_steps
CREATE TABLE IF NOT EXISTS schema_steps_local ON CLUSTER 'cdds'
(
    step     String,
    taken_at DateTime64(3, 'UTC')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/cdds/schema_steps_local', '{replica}')
ORDER BY (step)
;
-- 0000_schema_steps
CREATE TABLE IF NOT EXISTS schema_steps ON CLUSTER 'cdds' AS schema_steps_local
ENGINE = Distributed('cdds', 'cdds', 'schema_steps_local', cityHash64(step))
;
-- 0060_schema_steps_blocks
ALTER TABLE schema_steps_local ON CLUSTER 'cdds' MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
;
-- 0001_interactions
CREATE TABLE IF NOT EXISTS interactions_local ON CLUSTER 'cdds'
(
    tenant_id        LowCardinality(String),
    started_at       DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    interaction_id   String CODEC(ZSTD(1)),
    media_type       LowCardinality(String),
    direction        LowCardinality(String),
    status           LowCardinality(String),
    queue            LowCardinality(String),
    contact_id       String CODEC(ZSTD(1)),
    attributes       Map(String, String) CODEC(ZSTD(1)),
    body             String CODEC(ZSTD(1)),
    body_bytes       UInt32 CODEC(ZSTD(1)),
    source_partition Int32 CODEC(Delta, ZSTD(1)),
    source_offset    Int64 CODEC(Delta, ZSTD(1)),
    ingested_at      DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),

    ended_at         Nullable(DateTime64(3, 'UTC')) ALIAS parseDateTime64BestEffortOrNull(JSONExtractString(body, 'ended_at'), 3, 'UTC'),
    modified_at      Nullable(DateTime64(3, 'UTC')) ALIAS parseDateTime64BestEffortOrNull(JSONExtractString(body, 'modified_at'), 3, 'UTC'),
    parent_id        String ALIAS JSONExtractString(body, 'parent_id'),
    thread_id        String ALIAS JSONExtractString(body, 'thread_id'),
    agent_id         String ALIAS JSONExtractString(body, 'agent_id'),
    category         String ALIAS JSONExtractString(body, 'category'),
    subject          String ALIAS JSONExtractString(body, 'subject'),
    text             String ALIAS JSONExtractString(body, 'text'),
    notes            String ALIAS JSONExtractString(body, 'notes'),
    language         String ALIAS JSONExtractString(body, 'language'),
    disposition      String ALIAS JSONExtractString(body, 'disposition'),
    attachments      Array(String) ALIAS JSONExtractArrayRaw(body, 'attachments')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/cdds/interactions_local', '{replica}')
PARTITION BY if(toYear(started_at) BETWEEN 1990 AND 2059, toYear(started_at), 0)
ORDER BY (tenant_id, started_at, interaction_id, source_partition, source_offset)
SETTINGS index_granularity = 1024
;
-- 0001_interactions
CREATE TABLE IF NOT EXISTS interactions ON CLUSTER 'cdds' AS interactions_local
ENGINE = Distributed('cdds', 'cdds', 'interactions_local', cityHash64(interaction_id))
;
-- 0002_contacts
CREATE TABLE IF NOT EXISTS contacts_local ON CLUSTER 'cdds'
(
    tenant_id        LowCardinality(String),
    created_at       DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    contact_id       String CODEC(ZSTD(1)),
    attributes       Map(String, String) CODEC(ZSTD(1)),
    body             String CODEC(ZSTD(1)),
    body_bytes       UInt32 CODEC(ZSTD(1)),
    source_partition Int32 CODEC(Delta, ZSTD(1)),
    source_offset    Int64 CODEC(Delta, ZSTD(1)),
    ingested_at      DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),

    modified_at      Nullable(DateTime64(3, 'UTC')) ALIAS parseDateTime64BestEffortOrNull(JSONExtractString(body, 'modified_at'), 3, 'UTC'),
    display_name     String ALIAS JSONExtractString(body, 'display_name'),
    first_name       String ALIAS JSONExtractString(body, 'first_name'),
    last_name        String ALIAS JSONExtractString(body, 'last_name'),
    company          String ALIAS JSONExtractString(body, 'company'),
    emails           Array(String) ALIAS JSONExtract(body, 'emails', 'Array(String)'),
    phones           Array(String) ALIAS JSONExtract(body, 'phones', 'Array(String)'),
    language         String ALIAS JSONExtractString(body, 'language'),
    notes            String ALIAS JSONExtractString(body, 'notes')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/cdds/contacts_local', '{replica}')
PARTITION BY if(toYear(created_at) BETWEEN 1990 AND 2059, toYear(created_at), 0)
ORDER BY (tenant_id, created_at, contact_id, source_partition, source_offset)
SETTINGS index_granularity = 1024
;
-- 0002_contacts
CREATE TABLE IF NOT EXISTS contacts ON CLUSTER 'cdds' AS contacts_local
ENGINE = Distributed('cdds', 'cdds', 'contacts_local', cityHash64(contact_id))
;
-- 0003_dead_letters
CREATE TABLE IF NOT EXISTS dead_letters_local ON CLUSTER 'cdds'
(
    topic            LowCardinality(String),
    source_partition Int32,
    source_offset    Int64,
    code             LowCardinality(String),
    reason           String,
    ingested_at      DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/cdds/dead_letters_local', '{replica}')
ORDER BY (topic, source_partition, source_offset)
;
-- 0003_dead_letters
CREATE TABLE IF NOT EXISTS dead_letters ON CLUSTER 'cdds' AS dead_letters_local
ENGINE = Distributed('cdds', 'cdds', 'dead_letters_local', cityHash64(topic, source_partition, source_offset))
;
-- 0010_erased_subjects
CREATE TABLE IF NOT EXISTS erased_subjects_local ON CLUSTER 'cdds'
(
    tenant_id    LowCardinality(String),
    kind         LowCardinality(String),
    id           String,
    erasure_id   String,
    interactions Array(Int64),
    contacts     Array(Int64),
    recorded_at  DateTime64(6, 'UTC') DEFAULT now64(6),

    INDEX of_erasure erasure_id TYPE bloom_filter GRANULARITY 1,
    PROJECTION newest (SELECT count(), max(recorded_at))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/cdds/erased_subjects_local', '{replica}')
ORDER BY (tenant_id, kind, id, erasure_id, recorded_at)
SETTINGS deduplicate_merge_projection_mode = 'rebuild'
;
-- 0010_erased_subjects
CREATE TABLE IF NOT EXISTS erased_subjects ON CLUSTER 'cdds' AS erased_subjects_local
ENGINE = Distributed('cdds', 'cdds', 'erased_subjects_local', cityHash64(erasure_id))
;
-- 0011_erased_rows
CREATE TABLE IF NOT EXISTS erased_rows_local ON CLUSTER 'cdds'
(
    topic            LowCardinality(String),
    source_partition Int32,
    source_offset    Int64,
    tenant_id        LowCardinality(String),
    time             DateTime64(3, 'UTC'),
    erasure_id       String
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/cdds/erased_rows_local', '{replica}')
ORDER BY (topic, source_partition, source_offset, erasure_id)
;
-- 0011_erased_rows
CREATE TABLE IF NOT EXISTS erased_rows ON CLUSTER 'cdds' AS erased_rows_local
ENGINE = Distributed('cdds', 'cdds', 'erased_rows_local', cityHash64(topic, source_partition, source_offset))
;
-- 0014_interactions_rebuild_projections
ALTER TABLE interactions_local ON CLUSTER 'cdds' MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild', lightweight_mutation_projection_mode = 'rebuild'
;
-- 0016_contacts_rebuild_projections
ALTER TABLE contacts_local ON CLUSTER 'cdds' MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild', lightweight_mutation_projection_mode = 'rebuild'
;
-- 0019_interactions_attached
ALTER TABLE interactions_local ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS attached Bool DEFAULT true AFTER body_bytes
;
-- 0019_interactions_attached
ALTER TABLE interactions ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS attached Bool DEFAULT true AFTER body_bytes
;
-- 0021_interactions_attachment_bytes
ALTER TABLE interactions_local ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS attachment_bytes Array(UInt32) CODEC(ZSTD(1)) AFTER attached
;
-- 0021_interactions_attachment_bytes
ALTER TABLE interactions ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS attachment_bytes Array(UInt32) CODEC(ZSTD(1)) AFTER attached
;
-- 0022_interactions_attached_stated
ALTER TABLE interactions_local ON CLUSTER 'cdds' MODIFY COLUMN attached Bool DEFAULT true
;
-- 0022_interactions_attached_stated
ALTER TABLE interactions ON CLUSTER 'cdds' MODIFY COLUMN attached Bool DEFAULT true
;
-- 0023_interactions_attributes
ALTER TABLE interactions_local ON CLUSTER 'cdds'
    MODIFY COLUMN attributes Map(String, String) DEFAULT map(),
    ADD COLUMN IF NOT EXISTS stated Bool DEFAULT false AFTER attributes
;
-- 0023_interactions_attributes
ALTER TABLE interactions ON CLUSTER 'cdds'
    MODIFY COLUMN attributes Map(String, String) DEFAULT map(),
    ADD COLUMN IF NOT EXISTS stated Bool DEFAULT false AFTER attributes
;
-- 0024_contacts_attributes
ALTER TABLE contacts_local ON CLUSTER 'cdds'
    MODIFY COLUMN attributes Map(String, String) DEFAULT map(),
    ADD COLUMN IF NOT EXISTS stated Bool DEFAULT false AFTER attributes
;
-- 0024_contacts_attributes
ALTER TABLE contacts ON CLUSTER 'cdds'
    MODIFY COLUMN attributes Map(String, String) DEFAULT map(),
    ADD COLUMN IF NOT EXISTS stated Bool DEFAULT false AFTER attributes
;
-- 0030_accounted
CREATE TABLE IF NOT EXISTS accounted_local ON CLUSTER 'cdds'
(
    topic            LowCardinality(String),
    source_partition Int32,
    kind             LowCardinality(String),
    block            Int64,
    whole            SimpleAggregateFunction(max, UInt8),
    offsets          AggregateFunction(groupBitmap, UInt32)
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/cdds/accounted_local', '{replica}')
ORDER BY (topic, source_partition, kind, block)
;
-- 0030_accounted
CREATE TABLE IF NOT EXISTS accounted ON CLUSTER 'cdds' AS accounted_local
ENGINE = Distributed('cdds', 'cdds', 'accounted_local', cityHash64(topic, source_partition))
;
-- 0031_interactions_positions
ALTER TABLE interactions_local ON CLUSTER 'cdds' ADD PROJECTION IF NOT EXISTS positions (SELECT source_partition, bitShiftRight(source_offset, 20) AS block, groupBitmapState(toUInt32(bitAnd(source_offset, 1048575))) GROUP BY source_partition, block)
;
-- 0032_contacts_positions
ALTER TABLE contacts_local ON CLUSTER 'cdds' ADD PROJECTION IF NOT EXISTS positions (SELECT source_partition, bitShiftRight(source_offset, 20) AS block, groupBitmapState(toUInt32(bitAnd(source_offset, 1048575))) GROUP BY source_partition, block)
;
-- 0033_dead_letters_next
ALTER TABLE dead_letters_local ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS next Int64 AFTER source_offset
;
-- 0033_dead_letters_next
ALTER TABLE dead_letters ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS next Int64 AFTER source_offset
;
-- 0034_interactions_published
ALTER TABLE interactions_local ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS published_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)) AFTER source_offset
;
-- 0034_interactions_published
ALTER TABLE interactions ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS published_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)) AFTER source_offset
;
-- 0035_contacts_published
ALTER TABLE contacts_local ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS published_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)) AFTER source_offset
;
-- 0035_contacts_published
ALTER TABLE contacts ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS published_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)) AFTER source_offset
;
-- 0036_incarnations
CREATE TABLE IF NOT EXISTS incarnations_local ON CLUSTER 'cdds'
(
    topic  LowCardinality(String),
    number UInt32,
    body   String
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/cdds/incarnations_local', '{replica}')
ORDER BY (topic, number)
;
-- 0036_incarnations
CREATE TABLE IF NOT EXISTS incarnations ON CLUSTER 'cdds' AS incarnations_local
ENGINE = Distributed('cdds', 'cdds', 'incarnations_local', cityHash64(topic))
;
-- 0043_aged_out
CREATE TABLE IF NOT EXISTS aged_out_local ON CLUSTER 'cdds'
(
    tenant_id LowCardinality(String),
    entity    LowCardinality(String),
    before    DateTime64(3, 'UTC'),
    at        DateTime64(3, 'UTC')
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/cdds/aged_out_local', '{replica}')
ORDER BY (tenant_id, entity, before)
;
-- 0043_aged_out
CREATE TABLE IF NOT EXISTS aged_out ON CLUSTER 'cdds' AS aged_out_local
ENGINE = Distributed('cdds', 'cdds', 'aged_out_local', cityHash64(tenant_id))
;
-- 0045_interactions_attachment_sizes
ALTER TABLE interactions_local ON CLUSTER 'cdds' MODIFY COLUMN attachment_bytes Array(UInt64) CODEC(ZSTD(1))
;
-- 0045_interactions_attachment_sizes
ALTER TABLE interactions ON CLUSTER 'cdds' MODIFY COLUMN attachment_bytes Array(UInt64) CODEC(ZSTD(1))
;
-- 0050_interactions_of_contact
ALTER TABLE interactions_local ON CLUSTER 'cdds' ADD INDEX IF NOT EXISTS of_contact contact_id TYPE bloom_filter(0.001) GRANULARITY 1
;
-- 0051_contacts_of_contact
ALTER TABLE contacts_local ON CLUSTER 'cdds' ADD INDEX IF NOT EXISTS of_contact contact_id TYPE bloom_filter(0.001) GRANULARITY 1
;
-- 0060_accounted_blocks
ALTER TABLE accounted_local ON CLUSTER 'cdds' MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
;
-- 0060_aged_out_blocks
ALTER TABLE aged_out_local ON CLUSTER 'cdds' MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
;
-- 0060_contacts_blocks
ALTER TABLE contacts_local ON CLUSTER 'cdds' MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
;
-- 0060_dead_letters_blocks
ALTER TABLE dead_letters_local ON CLUSTER 'cdds' MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
;
-- 0060_erased_rows_blocks
ALTER TABLE erased_rows_local ON CLUSTER 'cdds' MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
;
-- 0060_erased_subjects_blocks
ALTER TABLE erased_subjects_local ON CLUSTER 'cdds' MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
;
-- 0060_incarnations_blocks
ALTER TABLE incarnations_local ON CLUSTER 'cdds' MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
;
-- 0060_interactions_blocks
ALTER TABLE interactions_local ON CLUSTER 'cdds' MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
;
-- 0065_interactions_tenants
ALTER TABLE interactions_local ON CLUSTER 'cdds' ADD PROJECTION IF NOT EXISTS tenants (SELECT tenant_id, count() GROUP BY tenant_id)
;
-- 0066_contacts_tenants
ALTER TABLE contacts_local ON CLUSTER 'cdds' ADD PROJECTION IF NOT EXISTS tenants (SELECT tenant_id, count() GROUP BY tenant_id)
;
-- 0004_export_events
CREATE TABLE IF NOT EXISTS export_events_local ON CLUSTER 'cdds'
(
    tenant_id        LowCardinality(String),
    export_id        String,
    event_id         String,
    state            LowCardinality(String),
    time             DateTime64(3, 'UTC'),
    body             String CODEC(ZSTD(1)),
    source_partition Int32,
    source_offset    Int64,
    ingested_at      DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/cdds/export_events_local', '{replica}')
ORDER BY (tenant_id, export_id, event_id)
;
-- 0004_export_events
CREATE TABLE IF NOT EXISTS export_events ON CLUSTER 'cdds' AS export_events_local
ENGINE = Distributed('cdds', 'cdds', 'export_events_local', cityHash64(export_id))
;
-- 0005_exports
CREATE TABLE IF NOT EXISTS exports_local ON CLUSTER 'cdds'
(
    tenant_id    LowCardinality(String),
    export_id    String,
    entity       LowCardinality(String),
    state        LowCardinality(String),
    requested_at DateTime64(3, 'UTC'),
    updated_at   DateTime64(3, 'UTC'),
    rows_done    UInt64,
    rows_planned UInt64,
    body         String CODEC(ZSTD(1)),
    version      UInt64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/cdds/exports_local', '{replica}', version)
ORDER BY (tenant_id, export_id)
;
-- 0005_exports
CREATE TABLE IF NOT EXISTS exports ON CLUSTER 'cdds' AS exports_local
ENGINE = Distributed('cdds', 'cdds', 'exports_local', cityHash64(export_id))
;
-- 0006_artifacts
CREATE TABLE IF NOT EXISTS artifacts_local ON CLUSTER 'cdds'
(
    tenant_id  LowCardinality(String),
    export_id  String,
    name       String,
    kind       LowCardinality(String),
    object_key String,
    part       UInt32,
    rows       UInt64,
    size       UInt64,
    sha256     String,
    created_at DateTime64(3, 'UTC'),
    expires_at Nullable(DateTime64(3, 'UTC')),
    version    UInt64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/cdds/artifacts_local', '{replica}', version)
ORDER BY (tenant_id, export_id, name)
;
-- 0006_artifacts
CREATE TABLE IF NOT EXISTS artifacts ON CLUSTER 'cdds' AS artifacts_local
ENGINE = Distributed('cdds', 'cdds', 'artifacts_local', cityHash64(export_id))
;
-- 0007_artifacts_removed_at
ALTER TABLE artifacts_local ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS removed_at Nullable(DateTime64(3, 'UTC')) AFTER expires_at
;
-- 0007_artifacts_removed_at
ALTER TABLE artifacts ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS removed_at Nullable(DateTime64(3, 'UTC')) AFTER expires_at
;
-- 0008_audit
CREATE TABLE IF NOT EXISTS audit_local ON CLUSTER 'cdds'
(
    tenant_id LowCardinality(String),
    audit_id  String,
    time      DateTime64(3, 'UTC'),
    actor     String,
    source    String,
    action    LowCardinality(String),
    subject   String,
    outcome   LowCardinality(String),
    detail    String CODEC(ZSTD(1)),
    earlier   UInt64 DEFAULT toUInt64(10000000000000 - toUnixTimestamp64Milli(time))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/cdds/audit_local', '{replica}', earlier)
ORDER BY (tenant_id, audit_id)
;
-- 0008_audit
CREATE TABLE IF NOT EXISTS audit ON CLUSTER 'cdds' AS audit_local
ENGINE = Distributed('cdds', 'cdds', 'audit_local', cityHash64(audit_id))
;
-- 0009_erasures
CREATE TABLE IF NOT EXISTS erasures_local ON CLUSTER 'cdds'
(
    tenant_id  LowCardinality(String),
    erasure_id String,
    state      LowCardinality(String),
    body       String CODEC(ZSTD(1)),
    version    UInt64
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/cdds/erasures_local', '{replica}', version)
ORDER BY (tenant_id, erasure_id)
;
-- 0009_erasures
CREATE TABLE IF NOT EXISTS erasures ON CLUSTER 'cdds' AS erasures_local
ENGINE = Distributed('cdds', 'cdds', 'erasures_local', cityHash64(erasure_id))
;
-- 0012_exports_job
ALTER TABLE exports_local ON CLUSTER 'cdds'
    ADD COLUMN IF NOT EXISTS job_id LowCardinality(String) DEFAULT JSONExtractString(body, 'request', 'job_id'),
    ADD COLUMN IF NOT EXISTS scheduled_at DateTime64(3, 'UTC') DEFAULT parseDateTime64BestEffortOrZero(JSONExtractString(body, 'request', 'scheduled_at'), 3, 'UTC')
;
-- 0012_exports_job
ALTER TABLE exports ON CLUSTER 'cdds'
    ADD COLUMN IF NOT EXISTS job_id LowCardinality(String) DEFAULT JSONExtractString(body, 'request', 'job_id'),
    ADD COLUMN IF NOT EXISTS scheduled_at DateTime64(3, 'UTC') DEFAULT parseDateTime64BestEffortOrZero(JSONExtractString(body, 'request', 'scheduled_at'), 3, 'UTC')
;
-- 0013_webhook_deliveries
CREATE TABLE IF NOT EXISTS webhook_deliveries_local ON CLUSTER 'cdds'
(
    tenant_id  LowCardinality(String),
    job_id     String,
    export_id  String,
    webhook_id String,
    attempt    UInt32,
    time       DateTime64(3, 'UTC'),
    outcome    LowCardinality(String),
    body       String CODEC(ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/cdds/webhook_deliveries_local', '{replica}')
PARTITION BY toYYYYMM(time)
ORDER BY (tenant_id, job_id, time, webhook_id, attempt)
TTL toDateTime(time) + INTERVAL 400 DAY
;
-- 0013_webhook_deliveries
CREATE TABLE IF NOT EXISTS webhook_deliveries ON CLUSTER 'cdds' AS webhook_deliveries_local
ENGINE = Distributed('cdds', 'cdds', 'webhook_deliveries_local', cityHash64(job_id))
;
-- 0020_exports_summary
ALTER TABLE exports_local ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS summary String DEFAULT body CODEC(ZSTD(1))
;
-- 0020_exports_summary
ALTER TABLE exports ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS summary String DEFAULT body CODEC(ZSTD(1))
;
-- 0040_export_events_position
ALTER TABLE export_events_local ON CLUSTER 'cdds'
    ADD COLUMN IF NOT EXISTS position_partition Int32,
    ADD COLUMN IF NOT EXISTS position_offset Int64,
    MODIFY ORDER BY (tenant_id, export_id, event_id, position_partition, position_offset)
;
-- 0040_export_events_position
ALTER TABLE export_events ON CLUSTER 'cdds'
    ADD COLUMN IF NOT EXISTS position_partition Int32,
    ADD COLUMN IF NOT EXISTS position_offset Int64
;
-- 0041_export_events_rebuild_projections
ALTER TABLE export_events_local ON CLUSTER 'cdds' MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild'
;
-- 0042_export_events_positions
ALTER TABLE export_events_local ON CLUSTER 'cdds' ADD PROJECTION IF NOT EXISTS positions (SELECT source_partition, bitShiftRight(source_offset, 20) AS block, groupBitmapState(toUInt32(bitAnd(source_offset, 1048575))) GROUP BY source_partition, block)
;
-- 0052_erasures_summary
ALTER TABLE erasures_local ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS summary String DEFAULT body CODEC(ZSTD(1))
;
-- 0052_erasures_summary
ALTER TABLE erasures ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS summary String DEFAULT body CODEC(ZSTD(1))
;
-- 0060_artifacts_blocks
ALTER TABLE artifacts_local ON CLUSTER 'cdds' MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
;
-- 0060_audit_blocks
ALTER TABLE audit_local ON CLUSTER 'cdds' MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
;
-- 0060_erasures_blocks
ALTER TABLE erasures_local ON CLUSTER 'cdds' MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
;
-- 0060_export_events_blocks
ALTER TABLE export_events_local ON CLUSTER 'cdds' MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
;
-- 0060_exports_blocks
ALTER TABLE exports_local ON CLUSTER 'cdds' MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
;
-- 0060_webhook_deliveries_blocks
ALTER TABLE webhook_deliveries_local ON CLUSTER 'cdds' MODIFY SETTING replicated_deduplication_window = 0, non_replicated_deduplication_window = 0
;
-- 0067_exports_rebuild_projections
ALTER TABLE exports_local ON CLUSTER 'cdds' MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild'
;
-- 0068_exports_tenants
ALTER TABLE exports_local ON CLUSTER 'cdds' ADD PROJECTION IF NOT EXISTS tenants (SELECT tenant_id, count() GROUP BY tenant_id)
;
-- 0069_exports_requested_by
ALTER TABLE exports_local ON CLUSTER 'cdds'
    ADD COLUMN IF NOT EXISTS requested_by LowCardinality(String) DEFAULT JSONExtractString(summary, 'request', 'requested_by'),
    ADD COLUMN IF NOT EXISTS of_contacts Bool DEFAULT JSONHas(summary, 'request', 'contacts')
;
-- 0069_exports_requested_by
ALTER TABLE exports ON CLUSTER 'cdds'
    ADD COLUMN IF NOT EXISTS requested_by LowCardinality(String) DEFAULT JSONExtractString(summary, 'request', 'requested_by'),
    ADD COLUMN IF NOT EXISTS of_contacts Bool DEFAULT JSONHas(summary, 'request', 'contacts')
;
-- 0070_export_events_parts
ALTER TABLE export_events_local ON CLUSTER 'cdds'
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
;
-- 0070_export_events_parts
ALTER TABLE export_events ON CLUSTER 'cdds'
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
;
-- 0071_exports_sealed_bytes
ALTER TABLE exports_local ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS sealed_bytes UInt64 DEFAULT JSONExtractUInt(summary, 'done', 'sealed_bytes')
;
-- 0071_exports_sealed_bytes
ALTER TABLE exports ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS sealed_bytes UInt64 DEFAULT JSONExtractUInt(summary, 'done', 'sealed_bytes')
;
-- 0072_exports_began_at
ALTER TABLE exports_local ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS began_at DateTime64(3, 'UTC') DEFAULT if(JSONHas(summary, 'began_at'), parseDateTime64BestEffortOrZero(JSONExtractString(summary, 'began_at'), 3, 'UTC'), requested_at)
;
-- 0072_exports_began_at
ALTER TABLE exports ON CLUSTER 'cdds' ADD COLUMN IF NOT EXISTS began_at DateTime64(3, 'UTC') DEFAULT if(JSONHas(summary, 'began_at'), parseDateTime64BestEffortOrZero(JSONExtractString(summary, 'began_at'), 3, 'UTC'), requested_at)
;
-- 0073_exports_latest_run
ALTER TABLE exports_local ON CLUSTER 'cdds' ADD PROJECTION IF NOT EXISTS latest_run (SELECT tenant_id, job_id, max((requested_at, export_id)) GROUP BY tenant_id, job_id)
;
-- 0074_exports_latest_run_of_before
ALTER TABLE exports_local ON CLUSTER 'cdds' MATERIALIZE PROJECTION latest_run
;
