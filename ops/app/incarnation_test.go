package app_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers/account"
	"cdds/ops/connect"
	"cdds/ops/provision"
	"cdds/pipeline"
	"cdds/producers"
	"cdds/schemas"
)

// replaceTopic deletes a topic and makes it again, as an operator does.
func (w *world) replaceTopic(topic schemas.Topic) {
	w.t.Helper()
	_, err := w.admin.DeleteTopic(w.t.Context(), string(topic))
	check(w.t, err)
	for made := []schemas.Topic(nil); !slices.Contains(made, topic); { // a broker may not know yet that it is gone
		made, err = provision.Topics(w.t.Context(), w.admin, w.config.Kafka)
		check(w.t, err)
	}
	opts, err := connect.Kafka(w.config.Kafka, "test", nil)
	check(w.t, err)
	w.publisher, err = producers.New(opts, "test", nil) // the old one knows the topic that is gone
	check(w.t, err)
	w.t.Cleanup(w.publisher.Close)
}

// TestATopicThatIsMadeAgainLosesNoRowsAndMixesNone deletes the source topic under a system
// that runs. What ClickHouse holds stays in exports, what comes is stored beside it.
func TestATopicThatIsMadeAgainLosesNoRowsAndMixesNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	w.load("acme", 0, 300)
	w.publish(w.request("acme", "before"))
	before := w.await("acme", "before")

	w.replaceTopic(schemas.TopicInteractions)
	w.publish(w.request("acme", "empty"))
	if e := w.await("acme", "empty"); e.State != schemas.Completed || e.Done.Rows != 300 {
		t.Errorf("of the empty topic it is %s with %d rows, want the 300 that ClickHouse holds: %+v", e.State, e.Done.Rows, e.Failure)
	}
	w.load("acme", 200, 400) // at offsets that were used before
	w.publish(w.request("acme", "after"))
	after := w.await("acme", "after")
	if after.State != schemas.Completed || after.Done.Rows != 400 {
		t.Fatalf("it is %s with %d rows, want 400: %+v", after.State, after.Done.Rows, after.Failure)
	}
	if n := strings.Count(strings.Join(w.open(after), "\n"), "load 2"); n != 200 {
		t.Errorf("%d rows are of the new topic, want 200", n)
	}
	if _, past := after.Snapshot.Past(before.Snapshot); past {
		t.Errorf("the snapshot fell from %v to %v", before.Snapshot, after.Snapshot)
	}
	again := w.request("acme", "again")
	again.Snapshot = before.Snapshot
	w.publish(again)
	if e := w.await("acme", "again"); !slices.Equal(digestsOf(before), digestsOf(e)) {
		t.Errorf("as of before it is %s with other bytes: %+v", e.State, e.Failure)
	}
	if rows, _ := w.totals(schemas.TopicInteractions); rows != 500 {
		t.Errorf("%d versions are stored, want 300 and 200", rows)
	}
	if n := w.count("SELECT count() FROM audit FINAL WHERE action = 'topic.replace' AND subject = 'cdds.interactions'"); n != 1 {
		t.Errorf("the audit trail has %d records of it", n)
	}
}

// totals are the rows and dead letters of a topic, all of it accounted for.
func (w *world) totals(topic schemas.Topic) (rows, letters int64) {
	w.t.Helper()
	for _, p := range w.account(topic) {
		rows, letters = rows+p.Stored, letters+p.DeadLetters
		if p.Missing != 0 {
			w.t.Errorf("the account is %+v", p)
		}
	}
	return rows, letters
}

// TestNoRecordStopsAPartitionWhateverItsSize sends what brokers take and nobody can use, to
// every topic that a group reads: records over every limit that compress to nothing, others
// that do not compress, and a batch that unpacks to more than may be held.
func TestNoRecordStopsAPartitionWhateverItsSize(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history", "erasure", "webhooks")
	letters := bytes.Repeat([]byte{'a'}, 12<<20)
	noise := make([]byte, schemas.MaxRecordBytes-1024)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(noise)
	opts, err := connect.Kafka(w.config.Kafka, "hostile", nil)
	check(t, err)
	client, err := kgo.NewClient(append(opts, kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerBatchMaxBytes(100<<20),
		kgo.BrokerMaxWriteBytes(200<<20), kgo.MaxBufferedBytes(1<<30), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	check(t, err)
	defer client.Close()
	for _, topic := range schemas.Topics() {
		if len(schemas.Readers(topic)) == 0 {
			continue
		}
		for _, values := range [][][]byte{{letters}, {noise}, {letters, letters, letters}, {[]byte("no event")}} {
			var records []*kgo.Record
			for _, v := range values {
				records = append(records, &kgo.Record{Topic: string(topic), Value: v})
			}
			check(t, client.ProduceSync(t.Context(), records...).FirstErr())
		}
	}
	const sent = 6 // records of each topic
	for _, topic := range schemas.Topics() {
		for _, group := range schemas.Readers(topic) {
			if group != schemas.GroupSnapshots {
				w.awaitCommitted(group, topic, 0, sent)
			}
		}
	}
	for _, topic := range schemas.SourceTopics() {
		if rows, dead := w.totals(topic); rows != 0 || dead != sent {
			t.Errorf("%s: %d rows and %d dead letters, want %d dead letters", topic, rows, dead, sent)
		}
	}
	w.load("acme", 0, 50)
	w.publish(w.request("acme", "after"))
	if e := w.await("acme", "after"); e.State != schemas.Completed || e.Done.Rows != 50 {
		t.Errorf("what comes after it is %s with %d rows: %+v", e.State, e.Done.Rows, e.Failure)
	}
}

// awaitCommitted waits until a group has passed everything below an offset of a partition.
func (w *world) awaitCommitted(group string, topic schemas.Topic, partition int32, offset int64) {
	w.t.Helper()
	var at int64
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		committed, err := w.admin.FetchOffsets(w.t.Context(), group)
		if err != nil {
			continue
		}
		if o, ok := committed.Lookup(string(topic), partition); ok {
			at = max(at, o.At)
		}
		if at >= offset {
			return
		}
	}
	w.t.Errorf("group %s stands at offset %d of partition %d of %s, want %d\n%s", group, at, partition, topic, offset, doing())
}

// TestRecordsThatNobodyHasAnyMoreFailAnExportAtOnce has Kafka delete records before they
// are ingested, and an operator write them off.
func TestRecordsThatNobodyHasAnyMoreFailAnExportAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.load("acme", 0, 200)
	w.settle()
	var trim kadm.Offsets
	trim.AddOffset(string(schemas.TopicInteractions), 0, 10, -1)
	deleted, err := w.admin.DeleteRecords(t.Context(), trim)
	check(t, err)
	check(t, deleted.Error())
	stopIngest := w.run("ingest")
	w.run("export", "history")
	w.publish(w.request("acme", "short"))
	e := w.await("acme", "short")
	if e.State != schemas.Failed || !e.Failure.Retryable ||
		!strings.Contains(e.Failure.Reason, "10 at positions 0 to 9 of partition 0: neither ClickHouse nor Kafka has them") || !strings.Contains(e.Failure.Hint, "write them off") {
		t.Fatalf("ten records are gone, and the export is %s with %d rows, %+v", e.State, e.Done.Rows, e.Failure)
	}

	book := account.Book{Log: w.offsets(), Store: w.warehouse, Decisions: pipeline.WriteOffs{Store: w.bucket}, Publisher: w.publisher}
	elsewhere := []schemas.Run{{Partition: 0, First: 10, Next: 1000}} // stored, or not there yet
	if _, err := book.WriteOff(t.Context(), schemas.TopicInteractions, elsewhere, "a slip", "alice", "here", time.Now()); !errors.Is(err, schemas.ErrNothingGone) {
		t.Errorf("what is stored was written off: %v", err)
	}
	off, err := book.WriteOff(t.Context(), schemas.TopicInteractions, nil, "the broker's disk", "alice", "here", time.Now())
	check(t, err)
	if off.Records() != 10 || off.Number != 1 {
		t.Errorf("written off is %+v", off)
	}
	retried := func(id string, attempt int) schemas.Export {
		t.Helper()
		w.publish(control(schemas.ActionRetry, id))
		return w.awaitThat("acme", id, func(e schemas.Export) bool { return e.State.Ended() && e.Attempt > attempt })
	}
	if e = retried("short", e.Attempt); e.State != schemas.Completed || e.Done.Rows != 190 {
		t.Fatalf("after the write-off the export is %s with %d rows, want 190: %+v", e.State, e.Done.Rows, e.Failure)
	}
	if m := w.manifest(e); len(m.WrittenOff) != 1 || m.WrittenOff[0].Records != 10 || m.WrittenOff[0].Reason != "the broker's disk" {
		t.Errorf("the manifest says of it %+v", m.WrittenOff)
	}
	if n := w.count("SELECT count() FROM audit FINAL WHERE action = 'records.write_off' AND actor = 'alice'"); n != 1 {
		t.Errorf("the audit trail has %d records of it", n)
	}

	// It outlives ClickHouse.
	stopIngest()
	w.exec("TRUNCATE TABLE interactions")
	w.exec("TRUNCATE TABLE accounted")
	w.run("ingest")
	w.publish(w.request("acme", "later"))
	e = w.await("acme", "later")
	for e.State == schemas.Failed && e.Attempt < 60 { // until ingest has restored the account
		e = retried("later", e.Attempt)
	}
	if e.State != schemas.Completed || e.Done.Rows != 190 || len(w.manifest(e).WrittenOff) != 1 {
		t.Errorf("after ClickHouse was lost it is %s with %d rows, %+v", e.State, e.Done.Rows, e.Failure)
	}
}

// manifest reads that of a completed export.
func (w *world) manifest(e schemas.Export) *schemas.Manifest {
	w.t.Helper()
	content, err := w.bucket.GetBytes(w.t.Context(), schemas.ExportPrefix(e.TenantID, e.ExportID)+schemas.ManifestName, 1<<20)
	check(w.t, err)
	m, err := schemas.DecodeManifest(content)
	check(w.t, err)
	return m
}

// TestPositionsAreKeptApartThoughTheBucketIsLost loses the bucket with the decisions, after
// the topic was made again.
func TestPositionsAreKeptApartThoughTheBucketIsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.run("ingest")
	w.load("acme", 0, 50)
	w.stored(schemas.TopicInteractions)
	w.replaceTopic(schemas.TopicInteractions)
	w.load("acme", 50, 80)
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if rows, _ := w.totals(schemas.TopicInteractions); rows == 80 || time.Now().After(deadline) {
			break
		}
	}
	stop()
	lost, err := w.bucket.List(t.Context(), pipeline.Reserved)
	check(t, err)
	for _, o := range lost {
		check(t, w.bucket.Remove(t.Context(), o.Key))
	}
	w.run("ingest", "export", "history")
	w.load("acme", 80, 90)
	w.publish(w.request("acme", "whole"))
	if e := w.await("acme", "whole"); e.State != schemas.Completed || e.Done.Rows != 90 {
		t.Errorf("of %d lost decisions on, the export is %s with %d rows, want 90: %+v", len(lost), e.State, e.Done.Rows, e.Failure)
	}
	if rows, _ := w.totals(schemas.TopicInteractions); rows != 90 {
		t.Errorf("%d rows are accounted for, want 90", rows)
	}
}

// settle records the topic's first incarnation, as ingest does when it first starts.
func (w *world) settle() {
	w.t.Helper()
	_, err := w.offsets().EndOffsets(w.t.Context(), schemas.TopicInteractions)
	check(w.t, err)
}
