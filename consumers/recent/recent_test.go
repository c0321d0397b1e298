package recent_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers"
	"cdds/consumers/recent"
	"cdds/producers"
	"cdds/schemas"
)

func start(t *testing.T, maxBytes int) (*kfake.Cluster, *producers.Publisher, *recent.Requests) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, string(schemas.TopicExportRequests), string(schemas.TopicErasureRequests)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	brokers := []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}
	publisher, err := producers.New(brokers, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(publisher.Close)
	log, err := consumers.NewReplica(consumers.ReplicaOptions{Kafka: brokers, Topics: recent.Topics(), Since: recent.Since(time.Now())})
	if err != nil {
		t.Fatal(err)
	}
	requests, err := recent.New(log, maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- requests.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-log.Started()
	return cluster, publisher, requests
}

func export(tenant, id string, split int64) *schemas.ExportRequest {
	from := schemas.TimeOf(time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC))
	return &schemas.ExportRequest{
		TenantID: tenant, ExportID: id, Entity: schemas.EntityInteraction, From: from, To: schemas.TimeOf(from.AddDate(0, 1, 0)),
		SplitSize: split, Recipients: []schemas.Recipient{{Fingerprint: strings.Repeat("a", 64)}},
	}
}

func publish(t *testing.T, p *producers.Publisher, events ...schemas.Event) {
	t.Helper()
	if err := p.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

func TestARequestIsFoundAsSoonAsItIsAcknowledged(t *testing.T) {
	_, publisher, requests := start(t, 0)
	for n := range 100 {
		id := fmt.Sprintf("e-%d", n)
		publish(t, publisher, export("acme", id, 0), &schemas.ErasureRequest{TenantID: "acme", ErasureID: id, ContactID: "c"})
		e, err := requests.Export(t.Context(), "acme", id)
		if err != nil || e == nil || e.ExportID != id {
			t.Fatalf("export %s: %+v, %v", id, e, err)
		}
		r, err := requests.Erasure(t.Context(), "acme", id)
		if err != nil || r == nil || r.ErasureID != id {
			t.Fatalf("erasure %s: %+v, %v", id, r, err)
		}
	}
	if e, err := requests.Export(t.Context(), "globex", "e-1"); e != nil || err != nil {
		t.Errorf("another tenant's: %+v, %v", e, err)
	}
}

func TestAnIDStandsForItsFirstRequestAndControlsForNone(t *testing.T) {
	_, publisher, requests := start(t, 0)
	publish(t, publisher,
		&schemas.ExportRequest{Action: schemas.ActionCancel, TenantID: "acme", ExportID: "e"},
		export("acme", "e", 1<<20), export("acme", "e", 2<<20))
	if e, err := requests.Export(t.Context(), "acme", "e"); err != nil || e == nil || e.SplitSize != 1<<20 {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestARetryIsFoundByTheAttemptItComesAfter(t *testing.T) {
	_, publisher, requests := start(t, 0)
	publish(t, publisher, export("acme", "e", 0),
		&schemas.ExportRequest{Action: schemas.ActionRetry, TenantID: "acme", ExportID: "e", Attempt: 2},
		&schemas.ExportRequest{Action: schemas.ActionRetry, TenantID: "acme", ExportID: "other"}) // by who does not know the attempt
	for attempt, want := range []bool{1: false, 2: true, 3: false} {
		r, err := requests.Retry(t.Context(), "acme", "e", attempt)
		if attempt > 0 && (err != nil || (r != nil) != want) {
			t.Errorf("after attempt %d: %+v, %v", attempt, r, err)
		}
	}
	if r, err := requests.Retry(t.Context(), "acme", "other", 1); r != nil || err != nil {
		t.Errorf("after an attempt that the request does not name: %+v, %v", r, err)
	}
	if e, err := requests.Export(t.Context(), "acme", "other"); e != nil || err != nil {
		t.Errorf("a retry stands for an export: %+v, %v", e, err)
	}
}

func TestTheLatestAreKeptWithinABound(t *testing.T) {
	_, publisher, requests := start(t, 4_000)
	for n := range 100 {
		publish(t, publisher, export("acme", fmt.Sprintf("e-%02d", n), 0))
		if _, err := requests.Export(t.Context(), "acme", fmt.Sprintf("e-%02d", n)); err != nil { // in order, whatever the partition
			t.Fatal(err)
		}
	}
	held := 0
	for n := range 100 {
		e, err := requests.Export(t.Context(), "acme", fmt.Sprintf("e-%02d", n))
		if err != nil {
			t.Fatal(err)
		}
		if e != nil {
			held++
		} else if held > 0 {
			t.Fatalf("e-%02d is gone and an older one is not", n)
		}
	}
	if held < 5 || held > 25 {
		t.Errorf("%d requests are in 4,000 bytes", held)
	}
}

func TestWhatIsNotCertainIsAnErrorAndNotNothing(t *testing.T) {
	cluster, publisher, requests := start(t, 0)
	publish(t, publisher, export("acme", "e", 0))
	if e, err := requests.Export(t.Context(), "acme", "e"); err != nil || e == nil {
		t.Fatal(err)
	}
	cluster.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if e, err := requests.Export(ctx, "acme", "e"); err != nil || e == nil {
		t.Errorf("what is known: %+v, %v", e, err)
	}
	if _, err := requests.Export(ctx, "acme", "another"); err == nil {
		t.Error("there is no error, and nobody knows")
	}
}
