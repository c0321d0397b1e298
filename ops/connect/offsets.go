package connect

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cdds/consumers"
	"cdds/schemas"
)

// Offsets reports how far topics and their ingest groups have come, in positions: beside
// package consumers it is the only one that knows Kafka's own offsets.
type Offsets struct {
	brokers consumers.Brokers
	settler *consumers.Settler
}

// NewOffsets asks brokers, and takes positions from settler.
func NewOffsets(brokers consumers.Brokers, settler *consumers.Settler) *Offsets {
	return &Offsets{brokers, settler}
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
	l, stable, err := o.stable(ctx, topic)
	if err != nil {
		return nil, err
	}
	return l.Positions(consumers.Offsets(stable)), nil
}

// Seal is EndOffsets for a snapshot that is promised to somebody. It is recorded, so that a
// log that ends before it later on is known to have lost records, also if it has grown
// again and nothing had read them yet. epochs are the leader epochs it was taken under. What
// readers see of a log never gets less (the last stable offset, KIP-98): where it is below what
// was sealed, brokers say things of two topics, and Seal is an error until they agree.
func (o *Offsets) Seal(ctx context.Context, topic schemas.Topic) (s schemas.Snapshot, epochs []int32, err error) {
	ctx, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	l, stable, err := o.stable(ctx, topic)
	if err != nil {
		return nil, nil, err
	}
	sealed, err := consumers.Progress(ctx, o.brokers, l, schemas.GroupSnapshots, topic)
	if err != nil {
		return nil, nil, err
	}
	if _, _, behind := behindOf(stable, sealed); behind { // somebody else sealed a later one meanwhile
		known := len(l)
		if l, stable, err = o.stable(ctx, topic); err != nil {
			return nil, nil, err
		}
		if len(l) > known {
			return o.Seal(ctx, topic)
		}
		if p, at, behind := behindOf(stable, sealed); behind {
			return nil, nil, fmt.Errorf("partition %d of %s: a snapshot was taken at offset %d, and readers see %d: the topic is being replaced, and not every broker knows it yet", p, topic, sealed[p].Offset, at)
		}
	}
	later := map[int32]consumers.Mark{}
	for p, at := range stable {
		epochs = append(epochs, at.Epoch)
		if at.Offset > sealed[int32(p)].Offset {
			later[int32(p)] = at
		}
	}
	if len(later) > 0 {
		if err := o.brokers.Commit(ctx, l.Group(schemas.GroupSnapshots), topic, later); err != nil {
			return nil, nil, err
		}
	}
	return l.Positions(consumers.Offsets(stable)), epochs, nil
}

// behindOf is the first partition of which readers see less than was sealed, and how far they see.
func behindOf(stable []consumers.Mark, sealed map[int32]consumers.Mark) (partition int32, offset int64, behind bool) {
	for p, at := range stable {
		if at.Offset < sealed[int32(p)].Offset {
			return int32(p), at.Offset, true
		}
	}
	return 0, 0, false
}

// Now returns the positions of a snapshot that was sealed, as they are known by now. Its log may
// have lost its tail before it was sealed, and that may have been found afterwards: the records
// that the log had then have the positions of another incarnation. Brokers tell whether the
// log still has all that was sealed, under the same leader epochs (KIP-320); if not, the
// snapshot is of the log that is gone, and stays. Kafka is asked only if a log lost its tail
// below the snapshot.
func (o *Offsets) Now(ctx context.Context, topic schemas.Topic, s schemas.Snapshot, epochs []int32) (schemas.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	l := o.settler.Known(topic)
	doubtful := map[int32]int32{}
	for p, epoch := range epochs {
		if _, parted := l.Parted(int32(p), s[p]); parted && epoch >= 0 {
			doubtful[int32(p)] = epoch
		}
	}
	if len(doubtful) == 0 {
		return s, nil
	}
	ends, err := o.brokers.EpochEnds(ctx, topic, doubtful)
	if err != nil {
		return nil, err
	}
	now := slices.Clone(s)
	for p, end := range ends {
		if offset, _ := l.Parted(p, s[p]); end >= offset {
			now[p] = l.Position(p, offset)
		}
	}
	return now, nil
}

// stable is where a topic ends for readers, and its incarnations then.
func (o *Offsets) stable(ctx context.Context, topic schemas.Topic) (schemas.Lineage, []consumers.Mark, error) {
	for {
		l, log, err := o.settler.SettleLog(ctx, topic)
		if err != nil {
			return nil, nil, err
		}
		stable, err := o.brokers.Stable(ctx, topic)
		if err != nil {
			return nil, nil, err
		}
		// The topic may have been replaced while it was asked for, or its log have lost its tail
		// with another leader.
		same, err := o.settler.Unchanged(ctx, l, log)
		if err != nil || same && sameLeaders(log, stable) {
			return l, stable, err
		}
	}
}

// sameLeaders reports whether no partition is known to have had another leader. An epoch of -1
// is not known.
func sameLeaders(log schemas.Log, stable []consumers.Mark) bool {
	return slices.EqualFunc(log.Epochs, stable, func(epoch int32, m consumers.Mark) bool {
		return epoch == m.Epoch || epoch < 0 || m.Epoch < 0
	})
}

// Ingested is Handled of the topic's ingest group.
func (o *Offsets) Ingested(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error) {
	return o.Handled(ctx, schemas.IngestGroup(topic), topic)
}

// Handled is, per partition, the first position that a group has not handled or
// dead-lettered. Records that retention removed cannot be waited for and count as done:
// they are missing.
func (o *Offsets) Handled(ctx context.Context, group string, topic schemas.Topic) (schemas.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	l, log, err := o.settler.SettleLog(ctx, topic)
	if err != nil {
		return nil, err
	}
	committed, err := consumers.Progress(ctx, o.brokers, l, group, topic)
	if err != nil {
		return nil, err
	}
	done := make(schemas.Snapshot, len(log.Starts))
	for p := range done {
		done[p] = max(l.Origin(group, int32(p)).Offset, log.Starts[p], committed[int32(p)].Offset)
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

// Present returns the positions below a snapshot whose records Kafka still has, also those of a
// log that lost its tail below the snapshot since.
func (o *Offsets) Present(ctx context.Context, topic schemas.Topic, to schemas.Snapshot) ([]schemas.Run, error) {
	l, log, err := o.settler.SettleLog(ctx, topic)
	if err != nil {
		return nil, err
	}
	var present []schemas.Run
	for p, start := range log.Starts[:min(len(log.Starts), len(to))] {
		present = append(present, l.Present(int32(p), start, to[p])...)
	}
	return present, nil
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
		gone = append(gone, l.Gone(r, start)...)
	}
	return gone, nil
}

// Lineage returns the incarnations of a topic as it is now.
func (o *Offsets) Lineage(ctx context.Context, topic schemas.Topic) (schemas.Lineage, error) {
	return o.settler.Settle(ctx, topic)
}
