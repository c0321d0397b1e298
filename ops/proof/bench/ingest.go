package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"cdds/schemas"
)

// largeBlock is how many rows the Kafka engine is given at once when it is not held to
// inserts as large as ours: of interactions some 90 MB.
const largeBlock = 65_536

// ingest compares our ingest with ClickHouse's own Kafka engine: the same records on
// the same broker into tables of the same definition, from nothing running to every
// row readable. The Kafka engine dead-letters nothing and drops what it read when an
// insert fails halfway. Bento, where it is built, does the same.
func ingest(ctx context.Context, r *run) error {
	if err := r.produce(ctx, r.rows); err != nil {
		return err
	}
	var ours, engine, large, sizes, cpu, peak, engineCPU, brokerCPU, kafkaCPU []float64
	for n := range r.runs {
		i, err := r.ownIngest(ctx)
		if err != nil {
			return err
		}
		ours, cpu, peak, sizes = append(ours, i.speed), append(cpu, i.cpu), append(peak, i.peak), append(sizes, float64(i.rows))
		engineCPU, brokerCPU = append(engineCPU, i.engine), append(brokerCPU, i.broker)
		if n == 0 {
			if err := r.recordSizes(ctx); err != nil {
				return err
			}
		}
		before := r.system.service("clickhouse")
		speed, err := r.kafkaEngine(ctx, fmt.Sprint("same-", n), i.rows)
		if err != nil {
			return err
		}
		engine, kafkaCPU = append(engine, speed), append(kafkaCPU, (r.system.service("clickhouse")-before)/float64(r.rows)*1e6)
		if speed, err = r.kafkaEngine(ctx, fmt.Sprint("large-", n), largeBlock); err != nil {
			return err
		}
		large = append(large, speed)
	}
	name := fmt.Sprintf("ingest %s records", count(r.rows))
	r.report.add(
		ratio(name, "records/s", "ENGINE = Kafka, inserts as large", ours, engine, atLeast(1.2)),
		ratio(name, "records/s", fmt.Sprintf("ENGINE = Kafka, inserts of %s rows", count(largeBlock)), ours, large, atLeast(1)))
	r.report.add(
		value(ingestRoleCPU, "us per record", cpu),
		value("ingest: size of an insert", "rows", sizes),
		value(ingestEngineCPU, "us per record", engineCPU),
		value("ingest: CPU of the engine that reads Kafka itself", "us per record", kafkaCPU),
		value(ingestBrokerCPU, "us per record", brokerCPU),
		value("ingest: peak resident size of the role", "MiB", peak, atMost(256)))
	return r.compareSink(ctx)
}

// ingested is what one run of our ingest took.
type ingested struct {
	// speed is in records a second.
	speed float64
	// cpu is the role's, and engine and broker are the services', in us a record.
	cpu, engine, broker float64
	// peak is the role's resident size in MiB.
	peak float64
	// rows is how many an insert has.
	rows int
}

// ownIngest empties the table and measures our ingest of every record.
func (r *run) ownIngest(ctx context.Context) (i ingested, err error) {
	if err := r.forget(ctx); err != nil {
		return i, err
	}
	engine, broker := r.system.service("clickhouse"), r.system.service("kafka")
	begin := time.Now()
	p, err := r.system.role(ctx, "ingest")
	if err != nil {
		return i, err
	}
	defer p.stop()
	r.profile(p)
	if err := r.stored(ctx, "interactions", r.rows); err != nil {
		return i, err
	}
	n := float64(r.rows)
	i.speed = n / time.Since(begin).Seconds()
	i.cpu, i.peak = p.cpu()/n*1e6, p.peak()
	i.engine, i.broker = (r.system.service("clickhouse")-engine)/n*1e6, (r.system.service("kafka")-broker)/n*1e6
	inserts, err := p.metric(`cdds_ingest_insert_seconds_count{entity="interaction"}`)
	i.rows = max(int(n/max(inserts, 1)), 1)
	say("cdds, %d rows an insert: %.0f records/s, %.1f us of CPU a record", i.rows, i.speed, i.cpu)
	return i, err
}

// recordSizes notes what a record takes on the wire and on disk.
func (r *run) recordSizes(ctx context.Context) error {
	disk, err := r.system.number(ctx, "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() AND table = 'interactions'")
	if err != nil {
		return err
	}
	lines, err := r.system.number(ctx, "SELECT sum(body_bytes) FROM interactions")
	if err != nil {
		return err
	}
	r.report.add(
		value(recordBytes, "bytes of JSON per record", []float64{float64(lines) / float64(r.rows)}),
		value(storedBytes, "bytes per record", []float64{float64(disk) / float64(r.rows)}))
	return nil
}

// forget empties the table and makes the group begin again.
func (r *run) forget(ctx context.Context) error {
	if err := r.system.exec(ctx, "TRUNCATE TABLE interactions"); err != nil {
		return err
	}
	group := schemas.IngestGroup(schemas.TopicInteractions)
	_, err := r.system.admin.DeleteGroup(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("delete group %s: %w", group, err)
	}
	return nil
}

// emptyRows makes bench_rows a table like that of interactions, empty, with nothing else
// left that has to be merged.
func (r *run) emptyRows(ctx context.Context) error {
	if err := r.dropRows(ctx); err != nil {
		return err
	}
	if err := r.system.exec(ctx, "TRUNCATE TABLE interactions"); err != nil {
		return err
	}
	return r.system.exec(ctx, "CREATE TABLE bench_rows AS interactions")
}

func (r *run) dropRows(ctx context.Context) error {
	for _, table := range []string{"bench_view", "bench_queue", "bench_rows"} {
		if err := r.system.exec(ctx, "DROP TABLE IF EXISTS "+table+" SYNC"); err != nil {
			return err
		}
	}
	return nil
}

// kafkaEngine has ClickHouse read the topic itself and returns the records a second from
// attaching the view to the last row.
func (r *run) kafkaEngine(ctx context.Context, group string, block int) (float64, error) {
	if err := r.emptyRows(ctx); err != nil {
		return 0, err
	}
	defer func() { _ = r.dropRows(context.WithoutCancel(ctx)) }()
	queue := fmt.Sprintf(`CREATE TABLE bench_queue (body String) ENGINE = Kafka SETTINGS
  kafka_broker_list = '%s', kafka_topic_list = '%s', kafka_group_name = 'bench-%s', kafka_format = 'JSONAsString',
  kafka_num_consumers = 2, kafka_thread_per_consumer = 1, kafka_max_block_size = %[4]d, kafka_poll_max_batch_size = %[4]d, kafka_flush_interval_ms = 1000`,
		strings.Join(r.system.config.Kafka.Brokers, ","), schemas.TopicInteractions, group, block)
	if err := r.system.exec(ctx, queue); err != nil {
		return 0, err
	}
	begin := time.Now()
	err := r.system.exec(ctx, `CREATE MATERIALIZED VIEW bench_view TO bench_rows AS SELECT
  JSONExtractString(body, 'tenant_id') AS tenant_id, parseDateTime64BestEffort(JSONExtractString(body, 'started_at'), 3, 'UTC') AS started_at,
  JSONExtractString(body, 'interaction_id') AS interaction_id, JSONExtractString(body, 'media_type') AS media_type,
  JSONExtractString(body, 'direction') AS direction, JSONExtractString(body, 'status') AS status,
  JSONExtractString(body, 'queue') AS queue, JSONExtractString(body, 'contact_id') AS contact_id,
  body, toUInt32(length(body) + 1) AS body_bytes, toInt32(_partition) AS source_partition, toInt64(_offset) AS source_offset
FROM bench_queue`)
	if err != nil {
		return 0, err
	}
	err = r.stored(ctx, "bench_rows", r.rows)
	speed := float64(r.rows) / time.Since(begin).Seconds()
	say("ENGINE = Kafka, %d rows an insert: %.0f records/s", block, speed)
	return speed, err
}
