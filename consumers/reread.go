package consumers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

const (
	// near is how close runs are that are read as one: to handle a record twice is cheaper
	// than to begin to read anew.
	near = 1000
	// rereadTimeout bounds the wait for the next records of a run.
	rereadTimeout = 30 * time.Second
)

// Reread handles records again that were handled and committed, because their effect was
// lost. It reads the runs that lie in partitions this member owns, as far as Kafka still
// has them, beside the records that arrive meanwhile, and returns how many records it
// handled. What another member handles at the same time is handled twice, without effect.
func (g *Group[E]) Reread(ctx context.Context, runs []schemas.Run) (handled int, err error) {
	member := g.member.Load()
	if member == nil {
		return 0, nil
	}
	g.mu.Lock()
	lineage := g.lineage
	g.mu.Unlock()
	starts, err := (*member).Brokers().Starts(ctx, g.opts.Topic)
	if err != nil {
		return 0, err
	}
	for _, run := range joined(runs) {
		first, there := lineage.Offset(run.Partition, run.First)
		if p := g.partition(run.Partition); p == nil || !there || int(run.Partition) >= len(starts) {
			continue
		}
		next := first + run.Next - run.First
		if first = max(first, starts[run.Partition]); first >= next {
			continue
		}
		n, err := g.reread(ctx, lineage, run.Partition, first, next)
		handled += n
		if err != nil {
			return handled, fmt.Errorf("read partition %d of %s from offset %d to %d again: %w", run.Partition, g.opts.Topic, first, next, err)
		}
	}
	return handled, nil
}

// joined puts runs together that are near each other.
func joined(runs []schemas.Run) []schemas.Run {
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b schemas.Run) int {
		if a.Partition != b.Partition {
			return int(a.Partition - b.Partition)
		}
		return int(min(max(a.First-b.First, -1), 1))
	})
	var all []schemas.Run
	for _, r := range sorted {
		if n := len(all) - 1; n >= 0 && all[n].Partition == r.Partition && r.First-all[n].Next < near {
			all[n].Next = max(all[n].Next, r.Next)
			continue
		}
		all = append(all, r)
	}
	return all
}

// reread handles the records of a partition from first to next, exclusive.
func (g *Group[E]) reread(ctx context.Context, lineage schemas.Lineage, partition int32, first, next int64) (handled int, err error) {
	log, err := g.opts.Cluster.Follow(g.opts.Topic, partition, first)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	in := &intake[E]{topic: g.opts.Topic, partition: partition, lineage: lineage, decode: g.opts.Decode, expected: first}
	for in.expected < next {
		records, err := fetchBelow(ctx, log, lineage, next)
		if err != nil {
			return handled, err
		}
		// What was read may be of a log that has come since, at the same offsets.
		if g.opts.Positions != nil {
			if l, err := g.look(ctx); err != nil || len(l) != len(lineage) {
				return handled, err
			}
		}
		for len(records) > 0 {
			n, bytes := 0, int64(0)
			for n < len(records) && n < g.opts.MaxRecords && (n == 0 || bytes < int64(g.opts.MaxBytes)) {
				bytes += sizeOf(records[n : n+1])
				n++
			}
			batch, letters, voids := in.take(records[:n], 0)
			if err := g.handleAgain(ctx, batch, letters, voids); err != nil {
				return handled, err
			}
			handled += len(batch.Records) + len(letters)
			records = records[n:]
		}
	}
	return handled, nil
}

// fetchBelow returns what comes next of a partition, as far as it lies below next. If what
// comes lies past that, it is one element without a record that ends there.
func fetchBelow(ctx context.Context, log Follower, lineage schemas.Lineage, next int64) ([]fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, rereadTimeout)
	defer cancel()
	for {
		fetches := log.Poll(ctx)
		if !sameTopic(fetches, lineage) {
			return nil, errReplaced
		}
		var all []fetched
		past := false
		for _, r := range fetches.Records() {
			if past = r.Offset >= next; past {
				break
			}
			all = append(all, fetched{Record: r, next: r.Offset + 1})
		}
		var tooLarge *kgo.ErrDecompressTooLarge
		switch err := fetches.Err(); {
		case errors.As(err, &tooLarge):
			log.Seek(kgo.EpochOffset{Epoch: tooLarge.Epoch, Offset: tooLarge.NextOffset})
			if tooLarge.Offset < next {
				all = append(all, notUnpacked(tooLarge))
			}
		case err != nil:
			return nil, err
		}
		if past {
			all = append(all, fetched{Record: &kgo.Record{Offset: next}, next: next, nothing: true})
		}
		if len(all) > 0 {
			return all, nil
		}
	}
}

// handleAgain does what work does, once.
func (g *Group[E]) handleAgain(ctx context.Context, batch schemas.Batch[E], letters []schemas.DeadLetter, voids []schemas.Void) error {
	if voider, ok := g.opts.DeadLetters.(Voider); ok && len(voids) > 0 {
		if err := voider.Void(ctx, voids); err != nil {
			return err
		}
	}
	if len(letters) > 0 {
		if err := g.opts.DeadLetters.Put(ctx, letters); err != nil {
			return err
		}
	}
	if len(batch.Records) == 0 {
		return nil
	}
	return g.opts.Handler.Handle(ctx, batch)
}
