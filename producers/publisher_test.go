package producers_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"cdds/pipeline/answer"
	"cdds/producers"
	"cdds/schemas"
	"cdds/schemas/sample"
)

func TestPublisherWritesEventsInTheCloudEventsKafkaBinding(t *testing.T) {
	cluster := newCluster(t)
	p := newPublisher(t, cluster, nil)
	e := slices.Collect(sample.Interactions(1, 1))[0]

	if err := p.Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	r := consume(t, cluster, schemas.TopicInteractions, 1)[0]
	want := map[string]string{
		"ce_specversion": "1.0",
		"ce_id":          e.TenantID + "/" + e.InteractionID + "/" + e.StartedAt.String(),
		"ce_type":        "cdds.interaction.v1",
		"ce_source":      "test",
		"ce_time":        e.StartedAt.String(),
		"content-type":   "application/json",
	}
	for key, value := range want {
		if got := header(r, key); got != value {
			t.Errorf("%s = %q, want %q", key, got, value)
		}
	}
	if len(r.Headers) != len(want) {
		t.Errorf("headers = %v, want %v", r.Headers, want)
	}
	if string(r.Key) != e.InteractionID {
		t.Errorf("key = %q, want %q", r.Key, e.InteractionID)
	}
	if got, err := schemas.DecodeInteraction(r.Value); err != nil || got.Text != e.Text {
		t.Errorf("value does not decode to the event: %v", err)
	}
}

func TestPublisherLeavesAnEventThatWasReadAsItWas(t *testing.T) {
	cluster := newCluster(t)
	p := newPublisher(t, cluster, nil)
	const body = `{"interaction_id": "i-1", "x_score":1.50,  "tenant_id":"acme","media_type":"chat","started_at":"2026-10-05T07:13:35.364Z","text":""}`
	e, err := schemas.DecodeInteraction([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if r := consume(t, cluster, schemas.TopicInteractions, 1)[0]; string(r.Value) != body {
		t.Errorf("value = %s\nwant    %s", r.Value, body)
	}
}

func TestEventsOfOneKeyKeepTheirOrder(t *testing.T) {
	cluster := newCluster(t)
	p := newPublisher(t, cluster, nil)
	const events = 5000
	failed := make(chan error, events)
	for e := range sample.Interactions(1, events) {
		p.PublishAsync(t.Context(), e, func(err error) {
			if err != nil {
				failed <- err
			}
		})
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(failed)
	for err := range failed {
		t.Fatal(err)
	}
	last := map[string]schemas.Time{}
	partition := map[string]int32{}
	for _, r := range consume(t, cluster, schemas.TopicInteractions, events) {
		e, err := schemas.DecodeInteraction(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		key := e.InteractionID
		if p, seen := partition[key]; seen && p != r.Partition {
			t.Fatalf("%s is on partitions %d and %d", key, p, r.Partition)
		}
		if e.At().Before(last[key].Time) {
			t.Fatalf("a version of %s overtook a later one", key)
		}
		partition[key], last[key] = r.Partition, e.At()
	}
}

func TestDeadLetterKeepsTheRecordAndSaysWhyItIsThere(t *testing.T) {
	cluster := newCluster(t)
	p := newPublisher(t, cluster, nil)
	letter := schemas.DeadLetter{
		Topic: schemas.TopicInteractions, Partition: 2, Offset: 41,
		Time: sample1(t).StartedAt, Key: nil, Value: []byte("\xff not an event"),
		Headers: []schemas.Header{
			{Key: "trace", Value: []byte{0, 1}},
			{Key: schemas.HeaderReason, Value: []byte("of an earlier round")},
		},
		Code: schemas.CodeUTF8, Reason: "the message is not valid UTF-8",
	}
	if err := p.Put(t.Context(), []schemas.DeadLetter{letter}); err != nil {
		t.Fatal(err)
	}
	r := consume(t, cluster, schemas.TopicInteractions.DeadLetter(), 1)[0]
	if r.Key != nil || string(r.Value) != string(letter.Value) {
		t.Errorf("key %q and value %q are not those of the record", r.Key, r.Value)
	}
	for key, want := range map[string]string{
		"trace":                 "\x00\x01",
		schemas.HeaderReason:    letter.Reason,
		schemas.HeaderCode:      schemas.CodeUTF8,
		schemas.HeaderTopic:     "cdds.interactions",
		schemas.HeaderPartition: "2",
		schemas.HeaderOffset:    "41",
		schemas.HeaderTime:      letter.Time.String(),
	} {
		if got := header(r, key); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	if len(r.Headers) != 7 {
		t.Errorf("there are %d headers, want 7: each once", len(r.Headers))
	}
}

func TestLargestRecordOfATopicFitsItsDeadLetterTopic(t *testing.T) {
	cluster := newCluster(t)
	p := newPublisher(t, cluster, nil)
	letter := schemas.DeadLetter{
		Topic: schemas.TopicContacts, Value: incompressible(schemas.MaxRecordBytes - 128),
		Code: schemas.CodeTooLarge, Reason: strings.Repeat("r", 1000),
		Headers: []schemas.Header{{Key: "h", Value: make([]byte, 100<<10)}},
	}
	if err := p.Put(t.Context(), []schemas.DeadLetter{letter}); err != nil {
		t.Fatal(err)
	}
}

func TestPublisherSaysHowToGetOverAnError(t *testing.T) {
	t.Run("missing topic", func(t *testing.T) {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		err = newPublisher(t, cluster, nil).Publish(t.Context(), sample1(t))
		if !errors.Is(err, kerr.UnknownTopicOrPartition) || !strings.Contains(err.Error(), "cdds provision") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("topic with too small a limit", func(t *testing.T) {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, string(schemas.TopicInteractions)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		e := *sample1(t)
		e.Text = string(incompressible(2 << 20))
		err = newPublisher(t, cluster, nil).Publish(t.Context(), &e)
		if !errors.Is(err, kerr.MessageTooLarge) || !answer.IsPermanent(err) || !strings.Contains(err.Error(), "max.message.bytes") {
			t.Errorf("got %v", err)
		}
	})
}

func TestPublishSurvivesABrokerThatRefusesForAWhile(t *testing.T) {
	cluster := newCluster(t)
	registry := prometheus.NewPedanticRegistry()
	p := newPublisher(t, cluster, registry)
	refusals := 3
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		if refusals == 0 {
			return nil, nil, false
		}
		refusals--
		cluster.KeepControl()
		return nil, errors.New("connection lost"), true
	})
	if err := p.Publish(t.Context(), sample1(t)); err != nil {
		t.Fatal(err)
	}
	if got := len(consume(t, cluster, schemas.TopicInteractions, 1)); got != 1 {
		t.Errorf("the event is there %d times", got)
	}
	if got := metric(t, registry, "cdds_producer_records_total", "cdds.interactions"); got != 1 {
		t.Errorf("cdds_producer_records_total = %v, want 1", got)
	}
	if got := metric(t, registry, "cdds_producer_errors_total", "cdds.interactions"); got != 0 {
		t.Errorf("cdds_producer_errors_total = %v, want 0", got)
	}
}

func TestPublishGoesOnWhenATopicWasMadeAgain(t *testing.T) {
	cluster := newCluster(t)
	p := newPublisher(t, cluster, nil)
	if err := p.Publish(t.Context(), sample1(t)); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).DeleteTopic(t.Context(), string(schemas.TopicInteractions)); err != nil {
		t.Fatal(err)
	}
	if err := cluster.CreateTopic(string(schemas.TopicInteractions), 3, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(t.Context(), sample1(t), sample1(t)); err != nil {
		t.Fatal(err)
	}
	if got := len(consume(t, cluster, schemas.TopicInteractions, 2)); got != 2 {
		t.Errorf("%d events are in the new topic, want 2", got)
	}
}

func TestCancelledPublishReturnsEvenWithoutAnAnswer(t *testing.T) {
	cluster := newCluster(t)
	p := newPublisher(t, cluster, nil)
	if err := p.Publish(t.Context(), sample1(t)); err != nil { // connects
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		cancel() // the request is on its way, and never gets an answer
		return nil, errors.New("connection lost"), true
	})
	if err := p.Publish(ctx, sample1(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func newCluster(t testing.TB) *kfake.Cluster {
	t.Helper()
	return newClusterThatTakes(t, schemas.MaxDeadLetterBytes)
}

// newClusterThatTakes is a cluster whose brokers take batches of up to limit bytes.
func newClusterThatTakes(t testing.TB, limit int) *kfake.Cluster {
	t.Helper()
	var names []string
	for _, topic := range schemas.Topics() {
		names = append(names, string(topic))
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, names...),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": strconv.Itoa(limit)}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

func newPublisher(t testing.TB, cluster *kfake.Cluster, reg prometheus.Registerer) *producers.Publisher {
	t.Helper()
	p, err := producers.New([]kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.MetadataMinAge(10 * time.Millisecond)}, "test", reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func consume(t testing.TB, cluster *kfake.Cluster, topic schemas.Topic, n int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(string(topic)),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var records []*kgo.Record
	for len(records) < n {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func metric(t testing.TB, from prometheus.Gatherer, name, topic string) float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == topic {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func sample1(t testing.TB) *schemas.Interaction {
	t.Helper()
	for e := range sample.Interactions(1, 1) {
		return e
	}
	panic("no sample")
}

// incompressible is text no compressor makes small.
func incompressible(n int) []byte {
	b := make([]byte, n)
	state := uint64(1)
	for i := range b {
		state = state*6364136223846793005 + 1442695040888963407 // Knuth's MMIX
		b[i] = '0' + byte(state>>58)
	}
	return b
}
