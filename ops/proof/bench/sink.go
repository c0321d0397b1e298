package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	batches "cdds/consumers/ingest"
	"cdds/schemas"
)

// sinkColumns are those that ingest fills too.
const sinkColumns = "tenant_id, started_at, interaction_id, media_type, direction, status, queue, contact_id, body, body_bytes, source_partition, source_offset"

// sinkMapping makes a row of a record, with its bytes as they came and its position.
const sinkMapping = `root = {
  "tenant_id": this.tenant_id, "started_at": this.started_at, "interaction_id": this.interaction_id,
  "media_type": this.media_type, "direction": this.direction | "", "status": this.status | "",
  "queue": this.queue | "", "contact_id": this.contact_id | "",
  "body": content().string(), "body_bytes": content().length() + 1,
  "source_partition": @kafka_partition, "source_offset": @kafka_offset
}`

// compareSink compares our ingest with Bento's, if there is one.
func (r *run) compareSink(ctx context.Context) error {
	if r.sink == "" {
		say("no Bento (--bento): ingest is not compared with it")
		return nil
	}
	var ours, theirs []float64
	for n := range r.runs {
		i, err := r.ownIngest(ctx)
		if err != nil {
			return err
		}
		speed, err := r.bento(ctx, n)
		if err != nil {
			return err
		}
		ours, theirs = append(ours, i.speed), append(theirs, speed)
		say("Bento: %.0f records/s", speed)
	}
	r.report.add(ratio(fmt.Sprintf("ingest %s records", count(r.rows)), "records/s", "Bento, kafka_franz to JSONEachRow over HTTP", ours, theirs, atLeast(2.5)))
	return nil
}

// bento has Bento, a stream processor that people put between Kafka and ClickHouse, do
// what ingest does, in batches of the same size, and returns the records a second from
// its start to the last row. It checks no event and keeps no dead letters.
func (r *run) bento(ctx context.Context, n int) (float64, error) {
	if err := r.emptyRows(ctx); err != nil {
		return 0, err
	}
	c := r.system.config
	query := url.Values{
		"query":    {"INSERT INTO bench_rows (" + sinkColumns + ") FORMAT JSONEachRow"},
		"database": {c.ClickHouse.Database}, "date_time_input_format": {"best_effort"},
	}
	type object = map[string]any
	content, err := json.Marshal(object{
		"http":   object{"enabled": false},
		"logger": object{"level": "WARN"},
		"input": object{"kafka_franz": object{
			"seed_brokers": c.Kafka.Brokers, "topics": []string{string(schemas.TopicInteractions)},
			"consumer_group": fmt.Sprintf("bench-bento-%d", n), "start_from_oldest": true,
			"checkpoint_limit": 4 * batches.MaxRecords,
			"batching":         object{"count": batches.MaxRecords, "byte_size": batches.MaxBytes, "period": batches.Linger.String()},
		}},
		"pipeline": object{"threads": 2, "processors": []object{{"mapping": sinkMapping}, {"archive": object{"format": "lines"}}}},
		"output": object{"http_client": object{
			"url": "http://" + c.ClickHouse.Addr[0] + "/?" + query.Encode(), "verb": "POST", "max_in_flight": 4, "timeout": "60s",
			"headers": object{"X-ClickHouse-User": c.ClickHouse.Username, "X-ClickHouse-Key": c.ClickHouse.Password.Reveal()},
		}},
	})
	if err != nil {
		return 0, err
	}
	file := filepath.Join(r.dir, "bento.json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return 0, err
	}
	log, err := os.Create(filepath.Join(r.dir, "bento.log"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(r.sink, "-c", file)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	p := &process{name: "bento", cmd: cmd, log: log}
	defer p.stop()
	if err := r.stored(ctx, "bench_rows", r.rows); err != nil {
		tail, _ := os.ReadFile(log.Name())
		return 0, fmt.Errorf("bento: %w: %s", err, tail[max(0, len(tail)-2000):])
	}
	return float64(r.rows) / time.Since(begin).Seconds(), nil
}
