package main

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/flate"
	"golang.org/x/sync/errgroup"

	"cdds/ops/connect"
	"cdds/pipeline/bucket"
	"cdds/pipeline/smime"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// stageRows is how many rows the stages work on: about a part of the default size.
const stageRows = 100_000

// stages measures each stage of a part alone, against the limit it has.
func stages(ctx context.Context, r *run) error {
	if err := r.fill(ctx, stageRows); err != nil {
		return err
	}
	lines, err := r.lines(ctx)
	if err != nil {
		return err
	}
	mb := float64(len(lines)) / 1e6
	zipped := deflate(lines)
	r.report.add(value("compressibility: deflate as an export does", "bytes in per byte out", []float64{float64(len(lines)) / float64(len(zipped))}))

	b, err := connect.Bucket(r.system.config.S3)
	if err != nil {
		return err
	}
	to, err := newRecipient(r.dir)
	if err != nil {
		return err
	}
	pair, err := recipientCertificate(to)
	if err != nil {
		return err
	}
	part := filepath.Join(r.dir, "part.zip")
	if err := os.WriteFile(part, zipped, 0o600); err != nil {
		return err
	}
	c := r.system.config
	curl := `curl -sSf -o /dev/null --data-binary "SELECT body FROM interactions WHERE tenant_id = '` + tenant + `' ORDER BY started_at, interaction_id FORMAT TSVRaw" -H "X-ClickHouse-User: $U" -H "X-ClickHouse-Key: $P" "http://$A/?database=$D"`
	put := `curl -sSf -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" --aws-sigv4 "aws:amz:$R:s3" --user "$K:$S" -T "$F" "http://$E/$B/bench/stage"`
	shell := func(script string) func() error {
		return func() error {
			cmd := exec.CommandContext(ctx, "bash", "-c", script)
			cmd.Env = append(os.Environ(), "U="+c.ClickHouse.Username, "P="+c.ClickHouse.Password.Reveal(), "A="+c.ClickHouse.Addr[0], "D="+c.ClickHouse.Database,
				"R="+c.S3.Region, "K="+c.S3.AccessKey, "S="+c.S3.SecretKey.Reveal(), "F="+part, "E="+c.S3.Endpoint, "B="+c.S3.Bucket, "OUT=/dev/null", "CERT="+to.file)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		}
	}
	if err := r.queryCPU(float64(len(lines))/1e9, func() error { _, err := r.lines(ctx); return err }, shell(curl)); err != nil {
		return err
	}
	n, digest := 0, fmt.Sprintf("%x", sha256.Sum256(zipped))
	for _, stage := range []struct {
		name, against string
		size          float64
		ours, other   func() error
	}{
		{"query", "curl of the stored lines", mb, func() error { _, err := r.lines(ctx); return err }, shell(curl)},
		{"deflate with both digests", "deflate alone", mb, func() error { return digested(lines) }, func() error { deflate(lines); return nil }},
		{"seal as S/MIME", "openssl cms -encrypt -stream -aes256", float64(len(zipped)) / 1e6,
			func() error { return seal(zipped, pair) }, shell(`openssl cms -encrypt -stream -binary -aes256 -in "$F" -out "$OUT" "$CERT"`)},
		{"put", "curl -T", float64(len(zipped)) / 1e6, func() error {
			n++
			// Sealing knows the digest; without, it would have to be computed to be signed.
			return b.Put(ctx, fmt.Sprintf("bench/stage-%d", n), bucket.Content{
				Body: bytes.NewReader(zipped), Size: int64(len(zipped)), SHA256: digest, Type: "application/octet-stream",
			})
		}, shell(put)},
	} {
		var ours, others []float64
		for range r.runs + 2 { // short stages, so a few more
			a, err := timed(stage.ours)
			if err != nil {
				return fmt.Errorf("%s: %w", stage.name, err)
			}
			o, err := timed(stage.other)
			if err != nil {
				return fmt.Errorf("%s: %w", stage.against, err)
			}
			ours, others = append(ours, stage.size/a), append(others, stage.size/o)
		}
		say("%s: %.0f MB/s, %s: %.0f MB/s", stage.name, median(ours), stage.against, median(others))
		r.report.add(ratio("stage: "+stage.name, "MB/s", stage.against, ours, others))
	}
	return nil
}

// queryCPU compares the CPU that the engine needs to plan and read lines, in GB, with what it needs to
// hand out the same rows in the same order without choosing versions.
func (r *run) queryCPU(gigabytes float64, ours, plain func() error) error {
	var costs [2][]float64
	for range r.runs + 2 {
		for i, do := range []func() error{ours, plain} {
			before := r.system.service("clickhouse")
			if err := do(); err != nil {
				return err
			}
			costs[i] = append(costs[i], (r.system.service("clickhouse")-before)/gigabytes)
		}
	}
	r.report.add(ratio("export: CPU of the engine to plan and read lines", "s per GB of JSON Lines", "a plain SELECT of the same rows in order", costs[0], costs[1], atMost(1.3)))
	return nil
}

func timed(do func() error) (float64, error) {
	begin := time.Now()
	err := do()
	return time.Since(begin).Seconds(), err
}

// lines reads the tenant's interactions as an export does, at most stageRows of them.
func (r *run) lines(ctx context.Context) ([]byte, error) {
	q := warehouse.Query{
		Filter:   schemas.Filter{TenantID: tenant, Entity: schemas.EntityInteraction, From: schemas.TimeOf(rangeFrom), To: schemas.TimeOf(rangeTo)},
		Snapshot: make(schemas.Snapshot, r.system.config.Kafka.Partitions),
	}
	for i := range q.Snapshot {
		q.Snapshot[i] = 1 << 40
	}
	var chunks []warehouse.Chunk
	err := r.system.warehouse.Chunks(ctx, q, stageRows, func(c warehouse.Chunk) error { chunks = append(chunks, c); return nil })
	if err != nil || len(chunks) == 0 {
		return nil, err
	}
	rows, err := r.system.warehouse.Rows(ctx, q, chunks[0].First, chunks[0].Last)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	return io.ReadAll(rows)
}

// rawCost is what deflate, AES-CBC and the digests of a manifest alone take, in seconds of
// CPU per GB of lines, on every core at once, as the worker uses them: two virtual cores may
// be one of silicon.
func rawCost(lines []byte) (seconds float64, err error) {
	var cores errgroup.Group
	of := make([]float64, runtime.GOMAXPROCS(0))
	for i := range of {
		cores.Go(func() (err error) { of[i], err = rawCostOfOne(lines); return err })
	}
	err = cores.Wait()
	for _, s := range of {
		seconds += s / float64(len(of))
	}
	return seconds, err
}

func rawCostOfOne(lines []byte) (float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := threadCPU()
	zipped := deflate(lines)
	key := make([]byte, 32)
	block, err := aes.NewCipher(key)
	if err != nil {
		return 0, err
	}
	whole := zipped[:len(zipped)/aes.BlockSize*aes.BlockSize]
	sha256.Sum256(lines)
	sha256.Sum256(zipped)
	cipher.NewCBCEncrypter(block, key[:aes.BlockSize]).CryptBlocks(whole, whole) //nolint:gosec // nothing is sealed, only timed
	sha256.Sum256(lines[:min(len(lines), len(whole)*66/48)])                     // as many bytes as base64 in lines of 64 has
	return (threadCPU() - begin) / (float64(len(lines)) / 1e9), nil
}

// threadCPU is the CPU seconds of the calling thread; see getrusage(2).
func threadCPU() float64 {
	const rusageThread = 1
	var u syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// standardLevel is the level of deflate of schemas.CompressionStandard.
const standardLevel = 6

// deflate is the compressor of an export, alone.
func deflate(content []byte) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, standardLevel)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic("bench: " + err.Error()) // only a wrong level fails
	}
	return out.Bytes()
}

// digested deflates as a part is: the lines and the zip are digested on the way.
func digested(lines []byte) error {
	linesSum, zipSum := sha256.New(), sha256.New()
	w, err := flate.NewWriter(zipSum, standardLevel)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.MultiWriter(linesSum, w), bytes.NewReader(lines)); err != nil {
		return err
	}
	return w.Close()
}

func seal(content []byte, to tls.Certificate) error {
	w, err := smime.Encrypt(io.Discard, smime.Options{Encoding: smime.SMIME, ContentSize: int64(len(content)), Filename: "part.p7m"}, to.Leaf)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, bytes.NewReader(content)); err != nil {
		return err
	}
	return w.Close()
}

func describeCPU() string {
	content, _ := os.ReadFile("/proc/cpuinfo")
	for _, line := range strings.Split(string(content), "\n") {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return runtime.GOARCH
}
