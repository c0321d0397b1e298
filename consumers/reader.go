package consumers

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// pollAtMost bounds one poll of a client, reportedWithin how long the client may take to report
	// a batch that it refused.
	pollAtMost     = 2 * time.Second
	reportedWithin = 2 * time.Second
)

// reader polls a client so that no refusal to unpack a batch is lost. The client says once that
// it refused one, and stops reading the partition. With what it has fetched it throws that word
// away, too: when the partition is paused, when another one goes on elsewhere, or when its
// session with the brokers begins anew. A refusal that is not reported in time is made again: all
// partitions go on from where they are.
type reader struct {
	topic    string
	unpacker *unpacker

	mu sync.Mutex
	// next is what comes next of each partition.
	next map[int32]kgo.EpochOffset
}

func newReader(topic string) *reader {
	return &reader{topic: topic, unpacker: newUnpacker(), next: map[int32]kgo.EpochOffset{}}
}

// poll is PollFetches. Whether rebalances are blocked when it returns is as after that.
func (r *reader) poll(ctx context.Context, client *kgo.Client) kgo.Fetches {
	for {
		within, stop := context.WithTimeout(ctx, pollAtMost)
		fetches := client.PollFetches(within)
		quiet := within.Err() != nil && ctx.Err() == nil && fetches.NumRecords() == 0 && fetches.Err0() == context.DeadlineExceeded //nolint:errorlint // what the client says of within, not of a broker
		stop()
		if !quiet {
			r.follow(fetches)
			fetches = r.unpacker.polled(fetches)
		}
		// Rebalances are blocked here, and everything before next was handed out.
		if r.unpacker.refusals.overdue(time.Now()) {
			r.again(client)
		}
		if !quiet {
			return fetches
		}
		client.AllowRebalance()
	}
}

// again has the client fetch again what it has not handed out. A commit under way does no harm:
// no offset changes.
func (r *reader) again(client *kgo.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	away, back := map[int32]kgo.EpochOffset{}, map[int32]kgo.EpochOffset{}
	for p, at := range r.next {
		away[p], back[p] = kgo.EpochOffset{Epoch: at.Epoch, Offset: at.Offset + 1}, at
	}
	// The client does nothing about a partition that is where it is to go.
	client.SetOffsets(map[string]map[int32]kgo.EpochOffset{r.topic: away})
	client.SetOffsets(map[string]map[int32]kgo.EpochOffset{r.topic: back})
}

// begin notes where partitions are read from, which are read from now on.
func (r *reader) begin(from map[int32]kgo.EpochOffset) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, at := range from {
		if at.Offset >= 0 {
			r.next[p] = at
		}
	}
}

// forget drops partitions that are not read any more.
func (r *reader) forget(partitions []int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range partitions {
		delete(r.next, p)
	}
}

// follow notes what was handed out.
func (r *reader) follow(fetches kgo.Fetches) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if n := len(f.Records); n > 0 {
			last := f.Records[n-1]
			r.next[f.Partition] = kgo.EpochOffset{Epoch: last.LeaderEpoch, Offset: last.Offset + 1}
		}
	})
}

// seek goes on with a partition elsewhere.
func (r *reader) seek(client *kgo.Client, partition int32, to kgo.EpochOffset) {
	r.begin(map[int32]kgo.EpochOffset{partition: to})
	client.SetOffsets(map[string]map[int32]kgo.EpochOffset{r.topic: {partition: to}})
}

// refusals counts batches that were refused and not reported yet.
type refusals struct {
	mu    sync.Mutex
	n     int
	since time.Time
}

// add notes that a batch was refused.
func (r *refusals) add(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n++; r.n == 1 {
		r.since = now
	}
}

// reported notes that the client reported one. A batch that came behind others, which were unpacked,
// was refused twice by then; that costs one fetch too many.
func (r *refusals) reported() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n = max(0, r.n-1)
}

// overdue says whether one should have been reported by now, and forgets all.
func (r *refusals) overdue(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n == 0 || now.Sub(r.since) < reportedWithin {
		return false
	}
	r.n = 0
	return true
}
