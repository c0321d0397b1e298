package ingest_test

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers"
	"cdds/consumers/ingest"
	database "cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
	"cdds/schemas/sample"
)

// BenchmarkIngest takes records from the fetch to the encoded insert, as the role does
// while it catches up: a Group, its decoder, the joint inserts and the columns, under the
// memory limit of the role. Kafka is a slice, ClickHouse reads and forgets. It counts the
// CPU of this process, user and system, garbage collection included.
func BenchmarkIngest(b *testing.B) {
	for name, values := range map[string][][]byte{"sample": samples(b), "hostile": hostile(b)} {
		b.Run(name, func(b *testing.B) { benchmarkIngest(b, values) })
	}
}

const (
	benchPartitions = 4
	benchRecords    = 100_000
	benchMemory     = 176 << 20 // ops/app gives the role so much
)

func benchmarkIngest(b *testing.B, values [][]byte) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(benchMemory))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := processTime(b)
	for b.Loop() {
		ingestOnce(b, values)
	}
	records := float64(b.N) * benchRecords
	cpu := processTime(b) - begin
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(cpu)/records, "cpu-ns/record")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/records, "B/record")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/records, "allocs/record")
	b.ReportMetric(0, "ns/op")
}

func ingestOnce(b *testing.B, values [][]byte) {
	handler, err := ingest.NewInteractions(warehouse.New(database.New(forgetful{})), nil)
	if err != nil {
		b.Fatal(err)
	}
	log := &slice{values: values, left: benchRecords}
	group, err := consumers.New(consumers.Options[*schemas.Interaction]{
		Cluster: log, GroupID: "bench", Topic: schemas.TopicInteractions,
		Decode: schemas.DecodeInteractionRow, Handler: handler, DeadLetters: log,
		MaxRecords: ingest.MaxRecords, MaxBytes: ingest.MaxBytes, Linger: ingest.Linger,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	log.done = cancel
	if err := group.Run(ctx); err != nil {
		b.Fatal(err)
	}
	if got := log.committed.Load(); got != benchRecords {
		b.Fatalf("%d records were committed", got)
	}
}

// forgetful is a ClickHouse that stores nothing.
type forgetful struct{ driver.Conn }

func (forgetful) InsertFormat(_ context.Context, _, _ string, data io.Reader) error {
	_, err := io.Copy(io.Discard, data)
	return err
}

// slice is a log of benchRecords records, which its only member fetches a thousand at a
// time, and ends the run when all are committed.
type slice struct {
	consumers.Cluster
	values    [][]byte
	left      int
	next      [benchPartitions]int64
	commits   [benchPartitions]int64
	committed atomic.Int64
	done      func()
	of        consumers.Membership
}

func (s *slice) Join(m consumers.Membership) (consumers.Member, error) {
	s.of = m
	partitions := make([]int32, benchPartitions)
	for p := range partitions {
		partitions[p] = int32(p)
	}
	m.Assigned(s, partitions)
	return s, nil
}

func (s *slice) Poll(ctx context.Context) kgo.Fetches {
	if s.left == 0 {
		<-ctx.Done()
		return nil
	}
	const n = 1000
	topic := kgo.FetchTopic{Topic: string(s.of.Topic)}
	now := time.Now()
	for p := range s.next {
		records := make([]kgo.Record, n/benchPartitions)
		f := kgo.FetchPartition{Partition: int32(p), HighWatermark: benchRecords / benchPartitions}
		for i := range records {
			records[i] = kgo.Record{Topic: topic.Topic, Partition: int32(p), Offset: s.next[p], Timestamp: now, Value: s.values[(int(s.next[p])*benchPartitions+p)%len(s.values)]}
			f.Records = append(f.Records, &records[i])
			s.next[p]++
		}
		topic.Partitions = append(topic.Partitions, f)
	}
	s.left -= n
	return kgo.Fetches{{Topics: []kgo.FetchTopic{topic}}}
}

func (s *slice) Commit(_ context.Context, offsets map[int32]kgo.EpochOffset) (map[int32]error, error) {
	total := int64(0)
	for p := range s.commits { // commits are made one at a time
		if at, moved := offsets[int32(p)]; moved {
			s.commits[p] = at.Offset
		}
		total += s.commits[p]
	}
	if s.committed.Store(total); total == benchRecords {
		s.done()
	}
	return nil, nil
}

func (s *slice) Allow()                                          {}
func (s *slice) Pause(int32)                                     {}
func (s *slice) Resume(int32)                                    {}
func (s *slice) Seek(int32, kgo.EpochOffset)                     {}
func (s *slice) Joined() bool                                    { return true }
func (s *slice) Brokers() consumers.Brokers                      { return nil }
func (s *slice) Close()                                          {}
func (s *slice) Leave(ctx context.Context) error                 { s.of.Revoked(ctx, s, nil); return nil }
func (s *slice) Put(context.Context, []schemas.DeadLetter) error { return nil }

// samples are what the sample traffic publishes.
func samples(tb testing.TB) (all [][]byte) {
	for e := range sample.Interactions(1, 5_000) {
		b, err := schemas.Encode(e)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// hostile are events written as nobody has to write them, some of them wrong.
func hostile(tb testing.TB) (all [][]byte) {
	for i, b := range samples(tb) {
		text := string(b)
		switch i % 8 {
		case 0: // times of another offset, blanks
			text = strings.ReplaceAll(strings.ReplaceAll(text, `Z"`, `001+02:00"`), `":`, `" : `)
		case 1: // indented
			text = strings.ReplaceAll(text, `,"`, ",\n  \"")
		case 2: // members of a later version, deep and wide
			text = `{"x":{"y":[{"z":[1,2.5e3,null,true,"\u00e4"]}],"w":{}},"v_1":1,"v_2":2,"v_3":3,` + text[1:]
		case 3: // attributes
			var pairs []string
			for n := range 40 {
				pairs = append(pairs, `"attribute `+strings.Repeat("x", n)+`":"Größe \"`+strings.Repeat("y", n)+`\""`)
			}
			text = strings.Replace(text, `,"attributes":{`, `,"was":{`, 1)
			text = `{"attributes":{` + strings.Join(pairs, ",") + `},` + text[1:]
		case 4: // attachments
			text = strings.TrimSuffix(text, "}") + `,"attachments":[{"attachment_id":"a","content":"aGVsbG8="}]}`
			text = strings.Replace(text, `"attachments":[{"attachment_id":"`, `"x":[{"attachment_id":"`, strings.Count(text, `"attachments":`)-1)
		case 5: // a member twice
			text = `{"tenant_id":"acme",` + text[1:]
		case 6: // escapes and half of an emoji
			text = `{"x":"` + strings.Repeat(`\n\u00e4\ud83d`, 100) + `",` + text[1:]
		}
		all = append(all, []byte(text))
	}
	return all
}

// processTime is the CPU time of this process.
func processTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
