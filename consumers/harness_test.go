package consumers

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"cdds/pipeline/pipelinetest"
	"cdds/schemas"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	group = "tests"
	topic = schemas.TopicInteractions
)

// position is the key of every table CDDS writes records to.
type position struct {
	partition int32
	offset    int64
}

// table is a store keyed like the ClickHouse tables: the same position is the same
// row. It is handler and dead-letter sink in one.
type table struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	rows    map[position]string
	letters map[position]schemas.DeadLetter
	voids   []schemas.Void
	batches []schemas.Batch[*schemas.Interaction]
	busy    map[int32]int // handlers at work, by partition
	maxBusy int

	// Set before use: they run before anything is stored, and an error refuses.
	onHandle func(context.Context, schemas.Batch[*schemas.Interaction]) error
	onPut    func([]schemas.DeadLetter) error
	// inserts is the switch that fails storing, of rows and of dead letters.
	inserts pipelinetest.Faults
}

func newTable() *table {
	return &table{
		changed: make(chan struct{}),
		rows:    make(map[position]string),
		letters: make(map[position]schemas.DeadLetter),
		busy:    make(map[int32]int),
	}
}

func (s *table) Handle(ctx context.Context, b schemas.Batch[*schemas.Interaction]) error {
	s.update(func() {
		s.busy[b.Partition]++
		s.maxBusy = max(s.maxBusy, s.busy[b.Partition])
	})
	defer s.update(func() { s.busy[b.Partition]-- })
	if s.onHandle != nil {
		if err := s.onHandle(ctx, b); err != nil {
			return err
		}
	}
	return s.inserts.Do(func() error {
		s.update(func() {
			s.batches = append(s.batches, b)
			for _, r := range b.Records {
				s.rows[position{r.Partition, r.Offset}] = r.Event.InteractionID
			}
		})
		return nil
	})
}

func (s *table) Put(_ context.Context, letters []schemas.DeadLetter) error {
	if s.onPut != nil {
		if err := s.onPut(letters); err != nil {
			return err
		}
	}
	return s.inserts.Do(func() error {
		s.update(func() {
			for _, l := range letters {
				s.letters[position{l.Partition, l.Offset}] = l
			}
		})
		return nil
	})
}

func (s *table) Void(_ context.Context, voids []schemas.Void) error {
	s.update(func() { s.voids = append(s.voids, voids...) })
	return nil
}

func (s *table) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits until is holds; the lock is held while it is asked.
func (s *table) await(t testing.TB, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		s.mu.Lock()
		ok, changed := is(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func (s *table) awaitStored(t testing.TB, n int) {
	t.Helper()
	s.await(t, fmt.Sprintf("%d records were stored or dead-lettered", n), func() bool {
		return len(s.rows)+len(s.letters) >= n
	})
}

// checkLaw asserts produced = stored + dead-lettered: nothing missing, nothing in
// two places, nothing invented, every text as produced.
func (s *table) checkLaw(t *testing.T, produced map[position]string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	got := maps.Clone(s.rows)
	for at, l := range s.letters {
		if _, both := got[at]; both {
			t.Errorf("%v is both stored and dead-lettered", at)
		}
		got[at] = string(l.Value)
	}
	if !maps.Equal(got, produced) {
		t.Errorf("stored %d and dead-lettered %d of %d produced, or other texts", len(s.rows), len(s.letters), len(produced))
	}
	if s.maxBusy > 1 {
		t.Errorf("%d handlers at once worked on one partition", s.maxBusy)
	}
}

// newCluster is a Kafka broker with the topic in n partitions.
func newCluster(t testing.TB, n int32) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if n > 0 {
		createTopic(t, c, n)
	}
	return c
}

func createTopic(t testing.TB, c *kfake.Cluster, n int32) {
	t.Helper()
	limit := fmt.Sprint(schemas.MaxRecordBytes)
	if err := c.CreateTopic(string(topic), n, map[string]string{"max.message.bytes": limit}); err != nil {
		t.Fatal(err)
	}
}

// member is a running Group.
type member struct {
	*Group[*schemas.Interaction]
	reg    *prometheus.Registry
	cancel context.CancelFunc
	ended  chan struct{}
}

// leave cancels the member's Run and waits for it.
func (m *member) leave() {
	m.cancel()
	<-m.ended
}

func join(t testing.TB, c *kfake.Cluster, s *table, change ...func(*Options[*schemas.Interaction])) *member {
	t.Helper()
	m := &member{reg: prometheus.NewRegistry(), ended: make(chan struct{})}
	kafka := []kgo.Opt{
		kgo.SeedBrokers(c.ListenAddrs()...),
		kgo.HeartbeatInterval(50 * time.Millisecond),
		kgo.FetchMaxWait(50 * time.Millisecond),
		kgo.MetadataMinAge(50 * time.Millisecond),
	}
	cluster, err := NewCluster(kafka, kafka)
	if err != nil {
		t.Fatal(err)
	}
	opts := Options[*schemas.Interaction]{
		Cluster:     cluster,
		GroupID:     group,
		Topic:       topic,
		Decode:      schemas.DecodeInteraction,
		Handler:     s,
		DeadLetters: s,
		MaxRecords:  10,
		Registerer:  m.reg,
		Logger:      slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	for _, f := range change {
		f(&opts)
	}
	g, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.Group, m.cancel = g, cancel
	go func() {
		defer close(m.ended)
		if err := g.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(m.leave)
	return m
}

// metric is the sum of the series of a counter or gauge.
func (m *member) metric(t *testing.T, name string) float64 {
	t.Helper()
	families, err := m.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, s := range f.GetMetric() {
				sum += s.GetCounter().GetValue() + s.GetGauge().GetValue()
			}
			return sum
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

func event(id string) string {
	return `{"interaction_id":"` + id + `","tenant_id":"acme","media_type":"chat","started_at":"2026-01-01T00:00:00.000Z"}`
}

// producer publishes to fixed partitions and remembers what it published: the
// interaction id of a good record, the whole value of any other.
type producer struct {
	client   *kgo.Client
	produced map[position]string
}

func newProducer(t *testing.T, c *kfake.Cluster, opts ...kgo.Opt) *producer {
	t.Helper()
	client, err := kgo.NewClient(append(opts,
		kgo.SeedBrokers(c.ListenAddrs()...),
		kgo.DefaultProduceTopic(string(topic)),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(schemas.MaxRecordBytes))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &producer{client, make(map[position]string)}
}

func (p *producer) send(t *testing.T, partition int32, values ...string) {
	t.Helper()
	var records []*kgo.Record
	for _, v := range values {
		records = append(records, &kgo.Record{Partition: partition, Value: []byte(v)})
	}
	for _, r := range p.client.ProduceSync(t.Context(), records...) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		text := string(r.Record.Value)
		if i, err := schemas.DecodeInteraction(r.Record.Value); err == nil {
			text = i.InteractionID
		}
		p.produced[position{r.Record.Partition, r.Record.Offset}] = text
	}
}

// events are n good values with distinct ids.
func events(prefix string, n int) []string {
	var list []string
	for i := range n {
		list = append(list, event(fmt.Sprintf("%s-%d", prefix, i)))
	}
	return list
}

// awaitCommitted waits until the group's committed offset of a partition is at.
func awaitCommitted(t *testing.T, c *kfake.Cluster, partition int32, at int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := c.WaitGroupInfo(ctx, group, func(i *kfake.GroupInfo) bool {
		return i != nil && i.Commits[string(topic)][partition].Offset == at
	}); err != nil {
		t.Fatalf("partition %d was not committed to %d but to %d", partition, at, committed(c, partition))
	}
}

// committed is the group's committed offset, 0 if none exists.
func committed(c *kfake.Cluster, partition int32) int64 {
	if i := c.GroupInfo(group); i != nil {
		return i.Commits[string(topic)][partition].Offset
	}
	return 0
}
