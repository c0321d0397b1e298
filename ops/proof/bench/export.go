package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/connect"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

// alternatives are the pipelines a person would use on the same engine and rows.
// They have it easier: they read the stored lines as they are (no version has to be
// chosen), prove nothing, and give one file.
var alternatives = []struct {
	name, zip string
	// ours is the compression it is compared with.
	ours string
	// speed and size are what is promised, if anything.
	speed, size []target
}{
	{"zip -6", "zip -q -6 - -", schemas.CompressionStandard, []target{atLeast(3.5)}, []target{atMost(1.05)}},
	{"zip -1", "zip -q -1 - -", schemas.CompressionFast, nil, nil},
	{"pigz -p 2 -1", "pigz -p 2 -1 -K -c", schemas.CompressionFast, []target{atLeast(1.4)}, []target{atMost(1)}},
}

// recipient is who can open what is exported.
type recipient struct{ pem, file string }

func newRecipient(dir string) (recipient, error) {
	certificate, _, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "bench"})
	if err != nil {
		return recipient{}, err
	}
	file := filepath.Join(dir, "recipient.crt")
	return recipient{string(certificate), file}, os.WriteFile(file, certificate, 0o600)
}

// exports asks for exports and follows their status events as any consumer would.
type exports struct {
	run       *run
	recipient recipient
	client    *kgo.Client
	prefix    string
	asked     int
	// steps are, for every export, the milliseconds from each of its states to the next
	// one.
	steps map[schemas.State][]float64
}

func (r *run) newExports(ctx context.Context) (*exports, error) {
	to, err := newRecipient(r.dir)
	if err != nil {
		return nil, err
	}
	opts, err := connect.Kafka(r.system.config.Kafka, "bench-status", nil)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(string(schemas.TopicExportStatus)))...)
	if err != nil {
		return nil, err
	}
	r.system.closers = append(r.system.closers, client.Close)
	return &exports{run: r, recipient: to, client: client, prefix: fmt.Sprintf("bench-%d-", time.Now().Unix()), steps: map[schemas.State][]float64{}}, client.Ping(ctx)
}

// request is an export of everything between two instants.
func (x *exports) request(from, to time.Time) *schemas.ExportRequest {
	x.asked++
	return &schemas.ExportRequest{
		TenantID: tenant, ExportID: fmt.Sprint(x.prefix, x.asked), Entity: schemas.EntityInteraction,
		From: schemas.TimeOf(from), To: schemas.TimeOf(to),
		Recipients:  []schemas.Recipient{{Certificate: x.recipient.pem}},
		RequestedAt: schemas.TimeOf(time.Now()), RequestedBy: "bench",
	}
}

// once requests an export and returns the seconds until it was reported as completed.
func (x *exports) once(ctx context.Context, request *schemas.ExportRequest) (float64, *schemas.Completion, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	begin := time.Now()
	if err := x.run.system.publisher.Publish(ctx, request); err != nil {
		return 0, nil, err
	}
	last := begin
	for {
		fetches := x.client.PollFetches(ctx)
		if err := errors.Join(ctx.Err(), fetches.Err0()); err != nil {
			return 0, nil, err
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			s, err := schemas.DecodeExportStatus(iter.Next().Value)
			if err != nil {
				return 0, nil, err
			}
			if s.ExportID != request.ExportID {
				continue
			}
			if s.Waiting == "" {
				x.steps[s.State] = append(x.steps[s.State], float64(s.Time.Sub(last).Microseconds())/1e3)
				last = s.Time.Time
			}
			switch {
			case s.Completion != nil:
				return time.Since(begin).Seconds(), s.Completion, nil
			case s.State.Ended():
				return 0, nil, fmt.Errorf("the export is %s: %+v %s", s.State, s.Failure, s.Reason)
			}
		}
	}
}

// export compares an export, from request to completed, with each alternative.
func export(ctx context.Context, r *run) error {
	if err := r.fill(ctx, r.rows); err != nil {
		return err
	}
	worker, err := r.system.role(ctx, "export")
	if err != nil {
		return err
	}
	defer worker.stop()
	x, err := r.newExports(ctx)
	if err != nil {
		return err
	}
	if _, _, err := x.once(ctx, x.request(rangeFrom, rangeTo)); err != nil { // warm both caches
		return err
	}
	r.profile(worker)
	var speeds, cpu, sizes, engineCPU, storeCPU []float64
	lines, share := 0.0, 0.0
	measure := func(compression string) error {
		before, engineBefore, storeBefore := worker.cpu(), r.system.service("clickhouse"), r.system.service("s3")
		request := x.request(rangeFrom, rangeTo)
		request.Compression = compression
		seconds, c, err := x.once(ctx, request)
		if err != nil {
			return err
		}
		if compression == schemas.CompressionStandard {
			cpu = append(cpu, (worker.cpu()-before)/(float64(c.Totals.JSONLBytes)/1e9))
			share = float64(c.Totals.SealedBytes) / float64(c.Totals.JSONLBytes)
		}
		lines = float64(c.Totals.JSONLBytes)
		engineCPU = append(engineCPU, (r.system.service("clickhouse")-engineBefore)/(lines/1e9))
		storeCPU = append(storeCPU, (r.system.service("s3")-storeBefore)/(lines/1e9))
		speeds = append(speeds, lines/seconds/1e6)
		sizes = append(sizes, float64(c.Totals.SealedBytes)/1e6)
		say("cdds, %s: %.1f s, %d parts, %.0f MB sealed", compression, seconds, c.Totals.Parts, sizes[len(sizes)-1])
		return nil
	}
	var figures []figure
	for _, a := range alternatives {
		speeds, sizes = nil, nil
		var others, otherSizes []float64
		for range r.runs {
			if err := measure(a.ours); err != nil {
				return err
			}
			seconds, size, err := x.pipeline(ctx, a.zip)
			if err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			say("%s: %.1f s, %.0f MB sealed", a.name, seconds, size)
			others, otherSizes = append(others, lines/seconds/1e6), append(otherSizes, size)
		}
		against := "curl | " + a.name + " | openssl cms | curl"
		name := fmt.Sprintf("export %s rows, %s: throughput", count(r.rows), a.ours)
		figures = append(figures, ratio(name, "MB/s of JSON Lines", against, speeds, others, a.speed...),
			ratio("export, "+a.ours+": size of what is stored", "MB", against, sizes, otherSizes, a.size...))
	}
	sample, err := r.lines(ctx)
	if err != nil {
		return err
	}
	raw := make([]float64, len(cpu))
	for i := range raw {
		if raw[i], err = rawCost(sample); err != nil {
			return err
		}
	}
	r.report.add(figures...)
	r.report.add(ratio(exportWorkerCPU, "s per GB of JSON Lines", "deflate of the same level, AES-CBC and the digests alone", cpu, raw, atMost(1.15)),
		value(exportEngineCPU, "s per GB of JSON Lines", engineCPU),
		value(exportStoreCPU, "s per GB of JSON Lines", storeCPU),
		value(sealedShare, "bytes per byte of JSON Lines", []float64{share}),
		value(fmt.Sprintf("export %s rows: peak resident size of the worker", count(r.rows)), "MiB", []float64{worker.peak()}, atMost(200)))
	return nil
}

// pipeline runs an alternative and returns its seconds and the megabytes it stored.
func (x *exports) pipeline(ctx context.Context, zip string) (seconds, megabytes float64, err error) {
	c := x.run.system.config
	out := filepath.Join(x.run.dir, "alternative.p7m")
	defer func() { _ = os.Remove(out) }()
	sql := "SELECT body FROM interactions WHERE tenant_id = '" + tenant + "' ORDER BY started_at, interaction_id FORMAT TSVRaw"
	script := `set -euo pipefail
curl -sSf --data-binary "$SQL" -H "X-ClickHouse-User: $USERNAME" -H "X-ClickHouse-Key: $PASSWORD" "http://$ADDR/?database=$DATABASE" |
  ` + zip + ` | openssl cms -encrypt -stream -binary -aes256 -out "$OUT" "$CERTIFICATE"
curl -sSf -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" --aws-sigv4 "aws:amz:$REGION:s3" --user "$ACCESS_KEY:$SECRET_KEY" -T "$OUT" "http://$ENDPOINT/$BUCKET/bench/alternative.p7m"`
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Env = append(os.Environ(), "SQL="+sql, "OUT="+out, "CERTIFICATE="+x.recipient.file,
		"ADDR="+c.ClickHouse.Addr[0], "USERNAME="+c.ClickHouse.Username, "PASSWORD="+c.ClickHouse.Password.Reveal(), "DATABASE="+url.QueryEscape(c.ClickHouse.Database),
		"REGION="+c.S3.Region, "ACCESS_KEY="+c.S3.AccessKey, "SECRET_KEY="+c.S3.SecretKey.Reveal(), "ENDPOINT="+c.S3.Endpoint, "BUCKET="+c.S3.Bucket)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("%w: %s", err, problems.String())
	}
	seconds = time.Since(begin).Seconds()
	info, err := os.Stat(out)
	if err != nil {
		return 0, 0, err
	}
	return seconds, float64(info.Size()) / 1e6, nil
}
