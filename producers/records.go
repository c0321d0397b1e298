package producers

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

// Records changes records of compacted topics: users, tokens, jobs, certificates. Of
// two writers that replace the same version at once, in this process or any other, one
// succeeds. No lock and no second store is needed: the log has an order, and each
// writer reads its own message back (see schemas.Versions).
type Records struct {
	publisher *Publisher
	versions  *schemas.Versions
}

// NewRecords returns Records that publish through p. versions must take every message
// of the topics, in order, for as long as Change is called.
func NewRecords(p *Publisher, versions *schemas.Versions) *Records { return &Records{p, versions} }

// readBack is how long Change waits for its own message.
const readBack = 20 * time.Second

// Change publishes the next version of a record and returns once this process has
// read it. The error is schemas.ErrChanged if another writer replaced the same version
// first. After another error the version may count all the same.
func (r *Records) Change(ctx context.Context, v schemas.Versioned) error {
	if err := v.Validate(); err != nil {
		return err
	}
	attempt := schemas.NewAttempt(v)
	answer, stop := r.versions.Await(attempt)
	defer stop()
	if err := r.publisher.Publish(ctx, attempt); err != nil {
		return err
	}
	// It is in the log: a caller that goes away must not keep others from the outcome.
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), readBack)
	defer cancel()
	select {
	case counts := <-answer:
		r.publisher.remove(v.Topic(), r.versions.Stale(v))
		if !counts {
			return schemas.ErrChanged
		}
		return nil
	case <-within.Done():
		return fmt.Errorf("%s was published to %s, but this process did not read it back within %s; check whether the change was applied", v.Key(), v.Topic(), readBack)
	}
}

// Remove removes records that are of no use any more. It does not wait: who would remove
// them next time does what was missed.
func (r *Records) Remove(topic schemas.Topic, keys []string) { r.publisher.remove(topic, keys) }

// remove publishes tombstones and does not wait for them: what they remove does not
// count anyway, and the next change of the record removes what is left.
func (p *Publisher) remove(topic schemas.Topic, keys []string) {
	for _, key := range keys {
		p.client.Load().Produce(context.Background(), &kgo.Record{Topic: string(topic), Key: []byte(key)}, func(r *kgo.Record, err error) { _ = p.outcome(r, err) })
	}
}

// byRecord puts all attempts at a record in one partition, the one of the record's own
// key, so that they have an order.
type byRecord struct{ kgo.Partitioner }

func (b byRecord) ForTopic(topic string) kgo.TopicPartitioner {
	if schemas.Topic(topic) == schemas.TopicExportRequests {
		return chosenPartitioner{kgo.StickyKeyPartitioner(nil).ForTopic(topic)}
	}
	if schemas.Compacted(schemas.Topic(topic)) {
		return recordPartitioner{kgo.StickyKeyPartitioner(nil).ForTopic(topic)}
	}
	return b.Partitioner.ForTopic(topic)
}

type recordPartitioner struct{ kgo.TopicPartitioner }

func (p recordPartitioner) Partition(r *kgo.Record, n int) int {
	of := *r
	of.Key = []byte(schemas.RecordOf(string(r.Key)))
	return p.TopicPartitioner.Partition(&of, n)
}

// chosen is where the context of a record has the partition it goes to.
type chosen struct{}

// chosenPartitioner puts a record in the partition that was chosen for it, if one was. All
// records of such a topic have keys.
type chosenPartitioner struct{ kgo.TopicPartitioner }

func (p chosenPartitioner) Partition(r *kgo.Record, n int) int {
	if partition, ok := r.Context.Value(chosen{}).(int32); ok {
		return int(partition)
	}
	return p.TopicPartitioner.Partition(r, n)
}
