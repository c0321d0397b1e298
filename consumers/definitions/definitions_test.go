package definitions_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers"
	"cdds/consumers/definitions"
	"cdds/pipeline/smime"
	"cdds/producers"
	"cdds/schemas"
)

var now, _ = schemas.ParseTime("2026-10-01T00:00:00Z")

func job(tenant, id, title string) *schemas.Job {
	return schemas.Job{
		TenantID: tenant, JobID: id, Title: title, Entity: schemas.EntityInteraction, State: schemas.JobActive,
		Schedule: schemas.Schedule{Run: schemas.RunDaily}, Timeframe: schemas.Timeframe{Kind: schemas.TimeframeAll},
		Recipients: []string{strings.Repeat("ab", 32)},
	}.Revised(nil, "ada", now)
}

func certificate(t *testing.T, tenant string) *schemas.Certificate {
	t.Helper()
	text, _, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "receiver", Bits: 2048})
	check(t, err)
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	check(t, err)
	return schemas.NewCertificate(tenant, cert, "ada", now)
}

// cluster is a broker with the topics of definitions.
func cluster(t *testing.T) []kgo.Opt {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, string(schemas.TopicJobs), string(schemas.TopicCertificates), string(schemas.TopicHolds)))
	check(t, err)
	t.Cleanup(c.Close)
	return []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
}

// read runs Definitions on the broker until the test ends.
func read(t *testing.T, kafka []kgo.Opt, o definitions.Options) *definitions.Definitions {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	replica, err := consumers.NewReplica(consumers.ReplicaOptions{Kafka: kafka, Topics: definitions.Topics(), Logger: log})
	check(t, err)
	o.Log, o.Logger = replica, log
	d, err := definitions.New(o)
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	changed := d.Changed()
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-done)
	})
	<-changed // every test publishes before it reads
	check(t, d.Sync(t.Context()))
	return d
}

func TestLastDefinitionOfAKeyCountsAndTenantsSeeTheirOwn(t *testing.T) {
	kafka := cluster(t)
	p, err := producers.New(kafka, "test", nil)
	check(t, err)
	defer p.Close()
	gone := job("acme", "gone", "Gone")
	gone.State = schemas.JobDeleted
	mine := certificate(t, "acme")
	check(t, p.Publish(t.Context(), job("acme", "nightly", "First"), job("globex", "nightly", "Theirs"), gone, mine))
	d := read(t, kafka, definitions.Options{})

	changed := d.Changed()
	check(t, p.Publish(t.Context(), job("acme", "nightly", "Second")))
	<-changed
	check(t, d.Sync(t.Context()))
	if got := d.Jobs("acme"); len(got) != 1 || got[0].Title != "Second" {
		t.Errorf("acme's jobs: %+v", got)
	}
	if got := d.Jobs(""); len(got) != 2 {
		t.Errorf("all jobs: %+v", got)
	}
	if j, ok := d.Job("acme", "gone"); !ok || !j.Deleted() {
		t.Errorf("a deleted job is %+v, %v", j, ok)
	}
	if _, err := d.Recipient("acme", mine.Fingerprint); err != nil {
		t.Error(err)
	}
	if _, err := d.Recipient("globex", mine.Fingerprint); err == nil {
		t.Error("another tenant's certificate was found")
	}
}

func TestRecipientIsTheReplacementAndNeverARemovedOne(t *testing.T) {
	kafka := cluster(t)
	p, err := producers.New(kafka, "test", nil)
	check(t, err)
	defer p.Close()
	first, second := certificate(t, "acme"), certificate(t, "acme")
	first.ReplacedBy = second.Fingerprint
	check(t, p.Publish(t.Context(), first, second))
	d := read(t, kafka, definitions.Options{})
	if c, err := d.Recipient("acme", first.Fingerprint); err != nil || c.Fingerprint != second.Fingerprint {
		t.Errorf("the replaced one leads to %s, %v", c.Fingerprint, err)
	}
	second.Removed = true
	check(t, p.Publish(t.Context(), second))
	check(t, d.Sync(t.Context()))
	if _, err := d.Recipient("acme", first.Fingerprint); err == nil || !strings.Contains(err.Error(), "was removed") {
		t.Errorf("removed: got %v", err)
	}
	second.Removed, second.ReplacedBy = false, first.Fingerprint
	check(t, p.Publish(t.Context(), second))
	check(t, d.Sync(t.Context()))
	if _, err := d.Recipient("acme", first.Fingerprint); err == nil || !strings.Contains(err.Error(), "lead nowhere") {
		t.Errorf("a circle: got %v", err)
	}
}

func TestWhatIsNoDefinitionChangesNothing(t *testing.T) {
	kafka := cluster(t)
	p, err := producers.New(kafka, "test", nil)
	check(t, err)
	defer p.Close()
	good := job("acme", "nightly", "Good")
	check(t, p.Publish(t.Context(), good))
	d := read(t, kafka, definitions.Options{})
	client, err := kgo.NewClient(kafka...)
	check(t, err)
	defer client.Close()
	theirs, err := schemas.Encode(job("globex", "nightly", "Smuggled"))
	check(t, err)
	for _, value := range [][]byte{[]byte("{"), []byte(`{"tenant_id":"acme"}`), theirs} {
		check(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: string(schemas.TopicJobs), Key: []byte(good.Key()), Value: value}).FirstErr())
	}
	check(t, d.Sync(t.Context()))
	if got := d.Jobs(""); len(got) != 1 || got[0].Title != "Good" {
		t.Errorf("jobs: %+v", got)
	}
	check(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: string(schemas.TopicJobs), Key: []byte(good.Key())}).FirstErr())
	check(t, d.Sync(t.Context()))
	if got := d.Jobs(""); len(got) != 0 {
		t.Errorf("after a tombstone: %+v", got)
	}
}

func TestHeldExportsAreThoseOfActiveHoldsOfAllTenants(t *testing.T) {
	kafka := cluster(t)
	p, err := producers.New(kafka, "test", nil)
	check(t, err)
	defer p.Close()
	hold := func(tenant, id string, exports ...string) *schemas.Hold {
		return &schemas.Hold{TenantID: tenant, HoldID: id, Name: "a case", Reason: "counsel asked", Exports: exports, CreatedAt: now, UpdatedAt: now}
	}
	released := hold("acme", "over", "e3")
	released.ReleasedAt, released.ReleasedBy = now, "ada"
	check(t, p.Publish(t.Context(), hold("globex", "one", "e1"), hold("acme", "one", "e2", "e1"), hold("acme", "two", "e2"), released))
	d := read(t, kafka, definitions.Options{})
	check(t, p.Publish(t.Context(), hold("initech", "now", "e9")))
	held, err := d.HeldExports(t.Context())
	if want := [][2]string{{"acme", "e1"}, {"acme", "e2"}, {"globex", "e1"}, {"initech", "e9"}}; err != nil || !slices.Equal(held, want) {
		t.Errorf("held are %v, %v; want %v", held, err, want)
	}
}

func TestWhatIsHeldIsBoundedAndToldWhenFull(t *testing.T) {
	kafka := cluster(t)
	p, err := producers.New(kafka, "test", nil)
	check(t, err)
	defer p.Close()
	check(t, p.Publish(t.Context(), job("acme", "a", "A")))
	d := read(t, kafka, definitions.Options{MaxBytes: 1000})
	if err := d.Ready(); err != nil && strings.Contains(err.Error(), "more than") {
		t.Error(err)
	}
	check(t, p.Publish(t.Context(), job("acme", "b", "B"), job("acme", "c", "C")))
	check(t, d.Sync(t.Context()))
	if got := d.Jobs("acme"); len(got) >= 3 {
		t.Errorf("%d jobs are held", len(got))
	}
	if err := d.Ready(); err == nil || !strings.Contains(err.Error(), "more than 1000 bytes") {
		t.Errorf("ready: %v", err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
