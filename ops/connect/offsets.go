package connect

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers"
	"cdds/schemas"
)

// Offsets tells how far topics and their ingest groups have come, in positions: beside
// package consumers it is the only one that knows Kafka's own offsets.
type Offsets struct {
	admin   *kadm.Client
	settler *consumers.Settler
}

// NewOffsets asks through client, which the caller closes, and takes positions from settler.
func NewOffsets(client *kgo.Client, settler *consumers.Settler) *Offsets {
	return &Offsets{kadm.NewClient(client), settler}
}

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
	for {
		l, log, err := o.settler.SettleLog(ctx, topic)
		if err != nil {
			return nil, err
		}
		listed, err := o.admin.ListCommittedOffsets(ctx, string(topic))
		if err == nil {
			err = listed.Error()
		}
		if err != nil {
			return nil, fmt.Errorf("offsets of topic %s: %w", topic, err)
		}
		stable := make(schemas.Snapshot, len(log.Ends))
		for p := range stable {
			if at, ok := listed.Lookup(string(topic), int32(p)); ok {
				stable[p] = at.Offset
			}
		}
		// The topic may have been replaced while it was asked for.
		if same, err := o.settler.Unchanged(ctx, l, log); err != nil || same {
			return l.Positions(stable), err
		}
	}
}

// Seal records that a snapshot was taken, so that a log that ends before it later on is
// known to have lost records. It must be called before the snapshot is promised to anybody.
func (o *Offsets) Seal(ctx context.Context, topic schemas.Topic, snapshot schemas.Snapshot) error {
	ctx, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	l, err := o.settler.Settle(ctx, topic)
	if err != nil {
		return err
	}
	group := l.Group(schemas.GroupSnapshots)
	sealed, err := consumers.CommittedBy(ctx, o.admin, group, topic)
	if err != nil {
		return err
	}
	var offsets kadm.Offsets
	for p, position := range snapshot {
		at, there := l.Offset(int32(p), position)
		if before, ok := sealed[int32(p)]; there && at > 0 && (!ok || at > before) {
			offsets.AddOffset(string(topic), int32(p), at, -1)
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	if err := o.admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		return fmt.Errorf("commit a snapshot of topic %s: %w", topic, err)
	}
	return nil
}

// Ingested is, per partition, the first position that ingest has not stored or
// dead-lettered. Records that retention removed cannot be waited for and count as done:
// they are missing.
func (o *Offsets) Ingested(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	l, log, err := o.settler.SettleLog(ctx, topic)
	if err != nil {
		return nil, err
	}
	known := map[string]map[int32]int64{}
	done := make(schemas.Snapshot, len(log.Starts))
	for p := range done {
		from := l.Origin(schemas.IngestGroup(topic), int32(p))
		done[p] = max(from.Offset, log.Starts[p])
		for _, group := range from.Groups {
			if known[group] == nil {
				if known[group], err = consumers.CommittedBy(ctx, o.admin, group, topic); err != nil {
					return nil, err
				}
			}
			if at, ok := known[group][int32(p)]; ok {
				done[p] = max(done[p], at)
				break
			}
		}
	}
	return l.Positions(done), nil
}

// Used returns the positions below a snapshot that records of the topic had.
func (o *Offsets) Used(ctx context.Context, topic schemas.Topic, to schemas.Snapshot) ([]schemas.Run, error) {
	l, err := o.settler.Settle(ctx, topic)
	if err != nil {
		return nil, err
	}
	var used []schemas.Run
	for p, position := range to {
		used = append(used, l.Used(int32(p), position)...)
	}
	return used, nil
}

// Gone returns what of runs of positions Kafka does not have any more.
func (o *Offsets) Gone(ctx context.Context, topic schemas.Topic, runs []schemas.Run) ([]schemas.Run, error) {
	l, log, err := o.settler.SettleLog(ctx, topic)
	if err != nil {
		return nil, err
	}
	var gone []schemas.Run
	for _, r := range runs {
		start := int64(0)
		if int(r.Partition) < len(log.Starts) {
			start = log.Starts[r.Partition]
		}
		first, there := l.Offset(r.Partition, r.First)
		switch next := first + r.Next - r.First; {
		case !there || next <= start:
			gone = append(gone, r)
		case first < start:
			gone = append(gone, schemas.Run{Partition: r.Partition, First: r.First, Next: r.First + start - first})
		}
	}
	return gone, nil
}

// Lineage returns the incarnations of a topic as it is now.
func (o *Offsets) Lineage(ctx context.Context, topic schemas.Topic) (schemas.Lineage, error) {
	return o.settler.Settle(ctx, topic)
}
