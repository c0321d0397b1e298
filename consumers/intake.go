package consumers

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

// fetched is a record, a batch that was not unpacked and stands for its records, or nothing:
// the word that there is no record before next.
type fetched struct {
	*kgo.Record
	// next is the offset after it.
	next              int64
	tooLarge, nothing bool
}

// notUnpacked is what a partition queues in place of a batch over MaxBatchBytes, or of one that does not unpack.
func notUnpacked(e *kgo.ErrDecompressTooLarge) fetched {
	record := &kgo.Record{Topic: e.Topic, Partition: e.Partition, Offset: e.Offset, LeaderEpoch: e.Epoch}
	return fetched{Record: record, next: e.NextOffset, tooLarge: true}
}

// intake makes events of what is fetched of a partition, in order: it decodes records,
// gives them their positions, and accounts for offsets that have none. It belongs to one
// goroutine.
type intake[E any] struct {
	topic     schemas.Topic
	partition int32
	lineage   schemas.Lineage
	decode    func([]byte) (E, error)
	// expected is the next offset that should come; -1 before anything did.
	expected int64
}

// take turns consecutive records into a batch, dead letters and voids. logStart is the
// first offset the log has, as far as is known.
func (in *intake[E]) take(records []fetched, logStart int64) (schemas.Batch[E], []schemas.DeadLetter, []schemas.Void) {
	last := records[len(records)-1]
	batch := schemas.Batch[E]{
		Topic:     in.topic,
		Partition: in.partition,
		First:     in.position(records[0].Offset),
		Next:      in.position(last.next-1) + 1,
		Records:   make([]schemas.Record[E], 0, len(records)),
	}
	var letters []schemas.DeadLetter
	var voids []schemas.Void
	for _, r := range records {
		// What retention removed unread is lost, not void.
		begin := max(in.expected, logStart)
		if in.expected >= 0 && begin < r.Offset {
			voids = in.void(voids, begin, r.Offset)
		}
		in.expected = r.next
		switch {
		case r.nothing:
			continue
		case r.tooLarge:
			letters = append(letters, in.lettersOfBatch(max(begin, r.Offset), r.next)...)
			continue
		case r.Attrs.IsControl():
			voids = in.void(voids, r.Offset, r.next)
			continue
		}
		event, err := in.decode(r.Value)
		if err != nil {
			letters = append(letters, in.letter(r.Record, err))
			continue
		}
		batch.Records = append(batch.Records, schemas.Record[E]{
			Event: event, Partition: in.partition, Offset: in.position(r.Offset), Time: schemas.TimeOf(r.Timestamp),
		})
	}
	return batch, letters, voids
}

func (in *intake[E]) position(offset int64) int64 { return in.lineage.Position(in.partition, offset) }

// void adds a run of offsets that have no record for readers.
func (in *intake[E]) void(all []schemas.Void, first, next int64) []schemas.Void {
	for _, run := range in.lineage.Runs(in.partition, first, next) {
		if n := len(all) - 1; n >= 0 && all[n].Next == run.First {
			all[n].Next = run.Next
			continue
		}
		all = append(all, schemas.Void{Topic: in.topic, Partition: in.partition, First: run.First, Next: run.Next})
	}
	return all
}

// letter is the record with the reason why it could not be read.
func (in *intake[E]) letter(r *kgo.Record, err error) schemas.DeadLetter {
	letter := schemas.DeadLetter{
		Topic:     in.topic,
		Partition: in.partition,
		Offset:    in.position(r.Offset),
		Time:      schemas.TimeOf(r.Timestamp),
		Key:       r.Key,
		Value:     r.Value,
		Code:      schemas.CodeEvent,
		Reason:    err.Error(),
	}
	for _, h := range r.Headers {
		letter.Headers = append(letter.Headers, schemas.Header{Key: h.Key, Value: h.Value})
	}
	var malformed *schemas.MalformedError
	if errors.As(err, &malformed) {
		letter.Code = malformed.Code
	}
	return letter
}

// lettersOfBatch stand for the records of a batch from first to next, exclusive: a log may
// begin in the middle of one.
func (in *intake[E]) lettersOfBatch(first, next int64) (letters []schemas.DeadLetter) {
	for _, run := range in.lineage.Runs(in.partition, first, next) {
		letters = append(letters, schemas.DeadLetter{
			Topic: in.topic, Partition: in.partition, Offset: run.First, Next: run.Next, Code: schemas.CodeTooLarge,
			Reason: fmt.Sprintf("the batch of %s from offset %d cannot be unpacked, or not to less than %d MiB, and was not read; publish its records again in smaller batches",
				schemas.Counted(next-first, "record"), first, MaxBatchBytes>>20),
		})
	}
	return letters
}
