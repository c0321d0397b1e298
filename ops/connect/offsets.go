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

// EndOffsets is the snapshot that holds every record that readers can see by now: it ends
// at the last stable offset of each partition (KIP-98). Ingest reads committed records
// only, so a snapshot that ended at the high watermark would wait for as long as any
// producer leaves a transaction open. Records behind an open transaction belong to the
// first snapshot after it ends.
func (o *Offsets) EndOffsets(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	listed, err := o.admin.ListCommittedOffsets(ctx, string(topic))
	return snapshotOf(topic, listed, err)
}

// StartOffsets is, per partition, the first offset the topic still has.
func (o *Offsets) StartOffsets(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	listed, err := o.admin.ListStartOffsets(ctx, string(topic))
	return snapshotOf(topic, listed, err)
}

// Ingested is, per partition, the first offset its ingest group has not stored or
// dead-lettered. Records that retention removed cannot be waited for and count as
// done; `cdds doctor` reports them as lost.
func (o *Offsets) Ingested(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error) {
	start, committed, err := o.Committed(ctx, topic)
	for p := range committed {
		committed[p] = max(committed[p], start[p])
	}
	return committed, err
}

// Committed is, per partition, the first offset the topic still has, and the first
// its ingest group has not committed; 0 where it never did.
func (o *Offsets) Committed(ctx context.Context, topic schemas.Topic) (start, done schemas.Snapshot, err error) {
	ctx, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	if start, err = o.StartOffsets(ctx, topic); err != nil {
		return nil, nil, err
	}
	done = make(schemas.Snapshot, len(start))
	committed, err := o.admin.FetchOffsets(ctx, schemas.IngestGroup(topic))
	if errors.Is(err, kerr.GroupIDNotFound) { // ingest never ran
		return start, done, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("offsets of group %s: %w", schemas.IngestGroup(topic), err)
	}
	for p := range done {
		if c, ok := committed.Lookup(string(topic), int32(p)); ok && c.Err == nil {
			done[p] = max(done[p], c.At)
		}
	}
	return start, done, nil
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
