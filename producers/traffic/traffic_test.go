package traffic_test

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"cdds/producers"
	"cdds/producers/traffic"
	"cdds/schemas"
	"cdds/schemas/sample"
)

func TestGeneratorPublishesEveryEventOnce(t *testing.T) {
	const n = 3000
	cluster := newCluster(t, schemas.TopicInteractions)
	var reports []traffic.Progress
	err := run(t.Context(), t, traffic.Options{
		Publisher: newPublisher(t, cluster),
		Events:    traffic.Of(sample.Interactions(1, n)),
		Progress:  func(p traffic.Progress) { reports = append(reports, p) },
		Interval:  time.Nanosecond, // whenever it looks
	})
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for e := range sample.Interactions(1, n) {
		want = append(want, e.InteractionID)
	}
	for _, r := range consume(t, cluster, schemas.TopicInteractions, n) {
		e, err := schemas.DecodeInteraction(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.InteractionID)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Error("what is on the topic is not what was to be published")
	}
	last := reports[len(reports)-1]
	if last.Sent != n || last.Acknowledged != n || last.Failed != 0 || last.PerSecond() <= 0 {
		t.Errorf("last report = %+v, want %d sent and acknowledged", last, n)
	}
	if !slices.IsSortedFunc(reports, func(a, b traffic.Progress) int { return int(a.Acknowledged - b.Acknowledged) }) {
		t.Error("progress went backwards")
	}
}

func TestGeneratorKeepsToItsRate(t *testing.T) {
	cluster := newCluster(t, schemas.TopicContacts)
	began := time.Now()
	err := run(t.Context(), t, traffic.Options{
		Publisher: newPublisher(t, cluster),
		Events:    traffic.Of(sample.Contacts(1, 60)),
		Rate:      200,
	})
	if err != nil {
		t.Fatal(err)
	}
	// 60 events less a burst of 11 cannot go faster; slower is the machine's affair.
	if took, least := time.Since(began), 49*time.Second/200; took < least {
		t.Errorf("took %s, less than the %s that the rate allows", took, least)
	}
	consume(t, cluster, schemas.TopicContacts, 60)
}

func TestGeneratorStopsAtTheFirstFailure(t *testing.T) {
	cluster := newCluster(t, schemas.TopicInteractions)
	refuse(cluster, kerr.InvalidRecord)
	taken := 0
	var last traffic.Progress
	err := run(t.Context(), t, traffic.Options{
		Publisher: newPublisher(t, cluster),
		Events:    counted(traffic.Of(sample.Interactions(1, 1_000_000)), &taken),
		Progress:  func(p traffic.Progress) { last = p },
	})
	if !errors.Is(err, kerr.InvalidRecord) {
		t.Fatalf("got %v, want the broker's refusal", err)
	}
	if taken == 1_000_000 {
		t.Error("went through all events although the first was refused")
	}
	if last.Failed == 0 || last.Sent != last.Acknowledged+last.Failed {
		t.Errorf("last report = %+v; every event sent must have an outcome", last)
	}
}

func TestGeneratorEndsWithItsContextAlthoughBrokersAreSilent(t *testing.T) {
	cluster := newCluster(t, schemas.TopicInteractions)
	ctx, cancel := context.WithCancel(t.Context())
	var last traffic.Progress
	silence(t, cluster, cancel)
	err := run(ctx, t, traffic.Options{
		Publisher: newPublisher(t, cluster),
		Events:    traffic.Of(sample.Interactions(1, 1_000_000)),
		Progress:  func(p traffic.Progress) { last = p },
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context.Canceled", err)
	}
	if last.Sent == 0 || last.Sent != last.Acknowledged+last.Failed {
		t.Errorf("last report = %+v; every event sent must have an outcome", last)
	}
}

func TestNewRefusesWhatCannotRun(t *testing.T) {
	p, events := newPublisher(t, newCluster(t, schemas.TopicInteractions)), traffic.Of(sample.Interactions(1, 1))
	for name, o := range map[string]traffic.Options{
		"no publisher":  {Events: events},
		"no events":     {Publisher: p},
		"negative rate": {Publisher: p, Events: events, Rate: -1},
		"rate NaN":      {Publisher: p, Events: events, Rate: math.NaN()},
	} {
		if _, err := traffic.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkGenerator(b *testing.B) {
	cluster := newCluster(b, schemas.TopicInteractions)
	b.ResetTimer()
	err := run(b.Context(), b, traffic.Options{Publisher: newPublisher(b, cluster), Events: traffic.Of(sample.Interactions(1, b.N))})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func run(ctx context.Context, t testing.TB, o traffic.Options) error {
	t.Helper()
	g, err := traffic.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g.Run(ctx)
}

func counted(events iter.Seq[schemas.Event], n *int) iter.Seq[schemas.Event] {
	return func(yield func(schemas.Event) bool) {
		for e := range events {
			*n++
			if !yield(e) {
				return
			}
		}
	}
}

func newCluster(t testing.TB, topic schemas.Topic) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, string(topic)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster
}

func newPublisher(t testing.TB, cluster *kfake.Cluster) *producers.Publisher {
	t.Helper()
	p, err := producers.New([]kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func consume(t *testing.T, cluster *kfake.Cluster, topic schemas.Topic, n int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(string(topic)))
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

// refuse answers every produce request with the error.
func refuse(cluster *kfake.Cluster, code *kerr.Error) {
	cluster.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		in := request.(*kmsg.ProduceRequest)
		out := in.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range in.Topics {
			t := kmsg.NewProduceResponseTopic()
			t.Topic, t.TopicID = topic.Topic, topic.TopicID
			for _, partition := range topic.Partitions {
				p := kmsg.NewProduceResponseTopicPartition()
				p.Partition, p.ErrorCode = partition.Partition, code.Code
				t.Partitions = append(t.Partitions, p)
			}
			out.Topics = append(out.Topics, t)
		}
		return out, nil, true
	})
}

// silence never answers a produce request, and calls first when one arrives.
func silence(t *testing.T, cluster *kfake.Cluster, first func()) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) }) // runs before the cluster closes
	var once atomic.Bool
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if once.CompareAndSwap(false, true) {
			first()
		}
		cluster.SleepControl(func() { <-release })
		return nil, errors.New("too late"), true
	})
}
