package consumers_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"cdds/consumers"
	"cdds/schemas"
)

// copied is a Replica of cdds.jobs that runs, and the keys it applied.
type copied struct {
	*consumers.Replica
	mu   sync.Mutex
	keys map[string]bool
}

func (c *copied) has(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keys[key]
}

func runReplica(t *testing.T, cluster *kfake.Cluster, since time.Time) *copied {
	t.Helper()
	r, err := consumers.NewReplica(consumers.ReplicaOptions{
		Kafka: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, Topics: []schemas.Topic{schemas.TopicJobs}, Since: since,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &copied{Replica: r, keys: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- r.Run(ctx, func(_ schemas.Topic, key, _ []byte) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.keys[string(key)] = true
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-r.Started()
	return c
}

func jobsCluster(t *testing.T) (*kfake.Cluster, *kgo.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, string(schemas.TopicJobs)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.DefaultProduceTopic(string(schemas.TopicJobs)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return cluster, client
}

// TestWhatWasAcknowledgedIsReadAfterASync is many writers at once, each of which reads
// through a copy that is not its own.
func TestWhatWasAcknowledgedIsReadAfterASync(t *testing.T) {
	cluster, writer := jobsCluster(t)
	var asked atomic.Int64
	cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		asked.Add(1)
		return nil, nil, false
	})
	c := runReplica(t, cluster, time.Time{})
	const writers, each = 16, 40
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for n := range each {
				key := fmt.Sprintf("acme/%d-%d", w, n)
				if err := writer.ProduceSync(t.Context(), &kgo.Record{Key: []byte(key), Value: []byte("{}")}).FirstErr(); err != nil {
					t.Error(err)
					return
				}
				if err := c.Sync(t.Context()); err != nil || !c.has(key) {
					t.Errorf("%s was acknowledged and is not read: %v", key, err)
					return
				}
			}
		})
	}
	group.Wait()
	if n := asked.Load(); n > writers*each*3/4 {
		t.Errorf("%d syncs asked Kafka %d times; those at the same time share a question", writers*each, n)
	}
}

func TestAReplicaSinceATimeSkipsWhatIsOlderAndSyncsAllTheSame(t *testing.T) {
	cluster, writer := jobsCluster(t)
	now := time.Now()
	put := func(key string, at time.Time) {
		t.Helper()
		if err := writer.ProduceSync(t.Context(), &kgo.Record{Key: []byte(key), Value: []byte("{}"), Timestamp: at}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 20 {
		put(fmt.Sprintf("acme/old-%d", n), now.AddDate(0, 0, -8))
	}
	quiet := runReplica(t, cluster, now.AddDate(0, 0, -7)) // nothing is in its time yet
	if err := quiet.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	put("acme/new", now)
	for _, c := range []*copied{quiet, runReplica(t, cluster, now.AddDate(0, 0, -7))} {
		if err := c.Sync(t.Context()); err != nil || !c.has("acme/new") {
			t.Errorf("what is new is not there: %v", err)
		}
		c.mu.Lock()
		if len(c.keys) != 1 {
			t.Errorf("%d records were applied, and one is new", len(c.keys))
		}
		c.mu.Unlock()
	}
}

func TestASyncFailsWhereKafkaDoesNotAnswer(t *testing.T) {
	cluster, _ := jobsCluster(t)
	c := runReplica(t, cluster, time.Time{})
	if err := c.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	cluster.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := c.Sync(ctx); err == nil {
		t.Error("it answered for a Kafka that is gone")
	}
}
