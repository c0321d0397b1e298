package connect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

// Offsets tells how far topics and their ingest groups have come.
type Offsets struct {
	admin *kadm.Client
}

// NewOffsets asks through client, which the caller closes.
func NewOffsets(client *kgo.Client) *Offsets { return &Offsets{kadm.NewClient(client)} }

// offsetsTimeout bounds one question to the brokers.
const offsetsTimeout = 30 * time.Second

// EndOffsets is the snapshot that holds every record acknowledged by now.
func (o *Offsets) EndOffsets(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	listed, err := o.admin.ListEndOffsets(ctx, string(topic))
	return snapshotOf(topic, listed, err)
}

// Ingested is, per partition, the first offset its ingest group has not stored or
// dead-lettered. Records that retention removed cannot be waited for and count as
// done; `cdds doctor` reports them as lost.
func (o *Offsets) Ingested(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	started, err := o.admin.ListStartOffsets(ctx, string(topic))
	done, err := snapshotOf(topic, started, err)
	if err != nil {
		return nil, err
	}
	committed, err := o.admin.FetchOffsets(ctx, schemas.IngestGroup(topic))
	if errors.Is(err, kerr.GroupIDNotFound) { // ingest never ran
		return done, nil
	}
	if err != nil {
		return nil, fmt.Errorf("offsets of group %s: %w", schemas.IngestGroup(topic), err)
	}
	for p := range done {
		if c, ok := committed.Lookup(string(topic), int32(p)); ok && c.Err == nil {
			done[p] = max(done[p], c.At)
		}
	}
	return done, nil
}

func snapshotOf(topic schemas.Topic, listed kadm.ListedOffsets, err error) (schemas.Snapshot, error) {
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("offsets of topic %s: %w", topic, err)
	}
	partitions := listed[string(topic)]
	if len(partitions) == 0 {
		return nil, fmt.Errorf("topic %s does not exist; `cdds provision` creates it", topic)
	}
	s := make(schemas.Snapshot, len(partitions))
	for p, offset := range partitions {
		if int(p) >= len(s) {
			return nil, fmt.Errorf("topic %s: the broker knows partition %d but not all before it", topic, p)
		}
		s[p] = offset.Offset
	}
	return s, nil
}
