package producers_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers"
	"cdds/producers"
	"cdds/schemas"
)

// process is one that changes jobs: with a publisher and a copy of the topic of its own.
type process struct {
	*producers.Records
	replica *consumers.Replica

	mu   sync.Mutex
	last map[string]*schemas.Job // by key
}

func newProcess(t *testing.T, cluster *kfake.Cluster) *process {
	t.Helper()
	replica, err := consumers.NewReplica(consumers.ReplicaOptions{
		Kafka: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, Topics: []schemas.Topic{schemas.TopicJobs},
	})
	if err != nil {
		t.Fatal(err)
	}
	var versions schemas.Versions
	p := &process{Records: producers.NewRecords(newPublisher(t, cluster, nil), &versions), replica: replica, last: map[string]*schemas.Job{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- replica.Run(ctx, func(topic schemas.Topic, key, value []byte) {
			if value == nil {
				versions.Remove(topic, string(key))
				return
			}
			j, err := schemas.DecodeJob(value)
			if err != nil {
				t.Error(err)
				return
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if counts, err := versions.Take(string(key), j); err != nil {
				t.Error(err)
			} else if counts {
				p.last[j.Key()] = j
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-replica.Started()
	return p
}

func (p *process) job(key string) *schemas.Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last[key]
}

func aJob(title string) schemas.Job {
	return schemas.Job{
		TenantID: "acme", JobID: "nightly", Title: title, Entity: schemas.EntityInteraction, State: schemas.JobActive,
		Schedule: schemas.Schedule{Run: schemas.RunDaily}, Timeframe: schemas.Timeframe{Kind: schemas.TimeframeAll},
		Recipients: []string{"abababababababababababababababababababababababababababababababab"},
	}
}

func TestOfTwoProcessesThatChangeOneVersionOneWins(t *testing.T) {
	cluster := newCluster(t)
	one, other := newProcess(t, cluster), newProcess(t, cluster)
	var previous *schemas.Job
	for round := range 30 {
		now := schemas.TimeOf(time.Now())
		var wg sync.WaitGroup
		outcomes := make([]error, 2)
		for n, p := range []*process{one, other} {
			next := aJob([]string{"one", "other"}[n]).Revised(previous, "ada", now)
			wg.Go(func() { outcomes[n] = p.Change(t.Context(), next) })
		}
		wg.Wait()
		winner, loser := "one", outcomes[1]
		if outcomes[0] != nil {
			winner, loser = "other", outcomes[0]
			if outcomes[1] != nil {
				t.Fatalf("round %d: nobody won: %v", round, outcomes)
			}
		}
		if !errors.Is(loser, schemas.ErrChanged) {
			t.Fatalf("round %d: the loser gets %v", round, loser)
		}
		for _, p := range []*process{one, other, newProcess(t, cluster)} {
			if err := p.replica.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			if previous = p.job("acme/nightly"); previous.Title != winner || previous.Revision != round+1 {
				t.Fatalf("round %d: %s won, a process has revision %d of %s", round, winner, previous.Revision, previous.Title)
			}
		}
	}
}

// What does not count any more is removed, all but the record's last message.
func TestAChangeRemovesWhatItReplaced(t *testing.T) {
	cluster := newCluster(t)
	p := newProcess(t, cluster)
	var previous *schemas.Job
	for range 3 {
		next := aJob("t").Revised(previous, "ada", schemas.TimeOf(time.Now()))
		if err := p.Change(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		previous = next
	}
	stays := map[string]bool{}
	for _, r := range consume(t, cluster, schemas.TopicJobs, 5) { // three versions, two tombstones
		stays[string(r.Key)] = r.Value != nil
		if r.Partition != consume(t, cluster, schemas.TopicJobs, 1)[0].Partition {
			t.Error("the versions of one record are in two partitions, where they have no order")
		}
	}
	left := 0
	for _, here := range stays {
		if here {
			left++
		}
	}
	if len(stays) != 3 || left != 1 {
		t.Errorf("of the versions %v stay", stays)
	}
}
