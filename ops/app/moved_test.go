package app_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/app"
	"cdds/ops/connect"
	"cdds/ops/provision"
	"cdds/ops/retention"
	"cdds/producers"
	"cdds/schemas"
)

// kept are all records that Kafka has now, by topic: what a mirror has.
func (w *world) kept() map[schemas.Topic][]*kgo.Record {
	w.t.Helper()
	all := map[schemas.Topic][]*kgo.Record{}
	for _, topic := range schemas.Topics() {
		ends, err := w.admin.ListEndOffsets(w.t.Context(), string(topic))
		check(w.t, err)
		starts, err := w.admin.ListStartOffsets(w.t.Context(), string(topic))
		check(w.t, err)
		left := map[int32]int64{}
		ends.Each(func(o kadm.ListedOffset) {
			if from, _ := starts.Lookup(string(topic), o.Partition); from.Offset < o.Offset {
				left[o.Partition] = o.Offset
			}
		})
		if len(left) == 0 {
			continue
		}
		opts, err := connect.Kafka(w.config.Kafka, "mirror", nil)
		check(w.t, err)
		reader, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(string(topic)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
		check(w.t, err)
		for len(left) > 0 {
			fetches := reader.PollFetches(w.t.Context())
			check(w.t, fetches.Err0())
			fetches.EachRecord(func(r *kgo.Record) {
				if end, ok := left[r.Partition]; ok {
					all[topic] = append(all[topic], r)
					if r.Offset+1 >= end {
						delete(left, r.Partition)
					}
				}
			})
		}
		reader.Close()
	}
	return all
}

// move has the world use another Kafka, which is empty and provisioned, and puts records there:
// in order, at other offsets.
func (w *world) move(mirrored map[schemas.Topic][]*kgo.Record) {
	w.t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"message.max.bytes": fmt.Sprint(10 << 20)}))
	check(w.t, err)
	w.t.Cleanup(cluster.Close)
	w.config.Kafka.Brokers = cluster.ListenAddrs()
	opts, err := connect.Kafka(w.config.Kafka, "test", nil)
	check(w.t, err)
	w.client, err = kgo.NewClient(append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	check(w.t, err)
	w.t.Cleanup(w.client.Close)
	w.admin = kadm.NewClient(w.client)
	w.publisher, err = producers.New(opts, "test", nil)
	check(w.t, err)
	w.t.Cleanup(w.publisher.Close)
	check(w.t, provision.All(w.t.Context(), w.admin, w.tables, w.bucket, w.config, func(string) {}))
	for _, topic := range slices.Sorted(maps.Keys(mirrored)) {
		for _, r := range mirrored[topic] {
			again := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}
			check(w.t, w.client.ProduceSync(w.t.Context(), again).FirstErr())
		}
	}
}

// ingested waits until ingest has passed everything on the source topic.
func (w *world) ingested() {
	w.t.Helper()
	end, err := w.offsets().EndOffsets(w.t.Context(), schemas.TopicInteractions)
	check(w.t, err)
	w.eventually(func() bool {
		done, err := w.offsets().Ingested(w.t.Context(), schemas.TopicInteractions)
		return err == nil && end.Behind(done) == 0
	})
}

// TestKafkaIsLostAndAMirrorOfItOrNothingTakesItsPlace is the drill of ops/docs/backup.md: all of
// Kafka is gone, with what its groups had committed. Of the source topics the mirror gives back
// what ClickHouse has not stored, of the others everything.
func TestKafkaIsLostAndAMirrorOfItOrNothingTakesItsPlace(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"mirror", "nothing"} {
		t.Run("By"+place, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var mu sync.Mutex
			hooks := 0
			receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				hooks++
			}))
			defer receiver.Close()
			delivered := func() int {
				mu.Lock()
				defer mu.Unlock()
				return hooks
			}
			w.config.Webhooks.AllowPrivate = true
			roles := slices.DeleteFunc(app.Roles(), func(role string) bool { return role == "web" || role == "schedule" })
			stop := w.run(roles...)

			job := everyHour("nightly", "2026-09-01T00:00:00Z", w.register("acme", "receiver"))
			job.Webhook = &schemas.Webhook{URL: receiver.URL, SecretVersion: 1}
			w.publish(job)
			for n := range 3 {
				w.publish(of("eve", n), of("bob", 10+n))
			}
			w.publish(&schemas.ErasureRequest{TenantID: "acme", ErasureID: "case-eve", ContactID: "eve"})
			if e := w.awaitErasure("acme", "case-eve"); e.Rows != 3 {
				t.Fatalf("%d rows of eve were erased", e.Rows)
			}
			w.publish(of("eve", 3)) // she calls again: a new fact
			w.load("acme", 100, 200)
			r := w.request("acme", "before")
			r.SplitSize, r.JobID = 64<<10, job.JobID
			w.publish(r)
			before := w.await("acme", "before")
			lines := w.open(before)
			if before.State != schemas.Completed || len(lines) != 3+1+100 {
				t.Fatalf("before it is %s with %d rows", before.State, len(lines))
			}
			w.eventually(func() bool { return delivered() == 1 })
			w.eventually(func() bool {
				return w.count("SELECT count() FROM webhook_deliveries FINAL WHERE outcome = 'delivered'") == 1
			})
			newer := of("bob", 10)
			newer.Notes = "corrected"
			w.publish(newer)
			w.ingested()
			w.publish(w.request("acme", "last"))
			want := w.open(w.await("acme", "last"))
			stop()
			w.publish(of("bob", 20), of("bob", 21)) // nobody has read these when Kafka is lost
			mirrored, unread := map[schemas.Topic][]*kgo.Record{}, 0
			if place == "mirror" {
				mirrored, unread = w.kept(), 2
				stored := time.UnixMilli(int64(w.count("SELECT toUInt64(toUnixTimestamp64Milli(max(published_at))) FROM interactions")))
				mirrored[schemas.TopicInteractions] = slices.DeleteFunc(mirrored[schemas.TopicInteractions], func(r *kgo.Record) bool { return !r.Timestamp.After(stored) })
				if n := len(mirrored[schemas.TopicInteractions]); n != unread {
					t.Fatalf("%d interactions are to be mirrored, want the %d that nobody has read", n, unread)
				}
			}
			artifacts := slices.Concat(w.artifactsIn("acme", "before"), w.artifactsIn("acme", "last"))

			w.move(mirrored)
			ahead := 48 * time.Hour // to retention all artifacts are older than its grace
			keeper := w.keeperAt(func() time.Time { return time.Now().Add(ahead) })
			stop = w.run("ingest")
			w.awaitReady(http.StatusOK)
			stop()
			w.run(roles...)
			w.ingested()
			w.publish(of("bob", 14))

			again := w.request("acme", "again")
			again.SplitSize, again.Snapshot = r.SplitSize, before.Snapshot
			w.publish(again)
			if e := w.await("acme", "again"); e.State != schemas.Completed || !slices.Equal(digests(e), digests(before)) {
				t.Errorf("as of before it is %s with %d rows and other bytes: %+v", e.State, e.Done.Rows, e.Failure)
			}
			w.publish(w.request("acme", "after"))
			after := w.await("acme", "after")
			got := w.open(after)
			if after.State != schemas.Completed || len(got) != len(want)+unread+1 {
				t.Errorf("the export after it is %s with %d rows, want %d: %+v", after.State, len(got), len(want)+unread+1, after.Failure)
			}
			for _, line := range want {
				if !slices.Contains(got, line) {
					t.Errorf("what Kafka had acknowledged is no longer exported, or an older version is: %s", line)
				}
			}
			if n := w.count("SELECT count() FROM interactions WHERE interaction_id IN ('i-000000', 'i-000001', 'i-000002')"); n != 0 {
				t.Errorf("%d rows of who was erased are stored", n)
			}
			for _, id := range []string{"before", "last"} {
				if e := w.await("acme", id); e.State != schemas.Completed {
					t.Errorf("history says that the export %s is %s", id, e.State)
				}
			}
			for range 2 {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				if report, err := keeper.Sweep(ctx); err != nil || report != (retention.Report{}) {
					t.Errorf("the sweep did %+v, %v", report, err)
				}
				cancel()
				ahead += 25 * time.Hour
			}
			if left := slices.Concat(w.artifactsIn("acme", "before"), w.artifactsIn("acme", "last")); !slices.Equal(left, artifacts) {
				t.Errorf("of the artifacts %v are left of %v", left, artifacts)
			}
			if n := delivered(); n != 1 {
				t.Errorf("the webhook was delivered %d times", n)
			}
		})
	}
}
