package app

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/admin"
	"cdds/ops/connect"
	"cdds/schemas"
)

// letters are the dead letters in Kafka; it is an admin.Letters.
type letters struct {
	app *App
	one chan struct{} // one reader at a time: letters are as large as records
}

// lettersTimeout bounds reading the dead letters of a topic.
const lettersTimeout = 5 * time.Second

// begin waits for the turn of a reader, who then has lettersTimeout.
func (l *letters) begin(ctx context.Context) (context.Context, func(), error) {
	select {
	case l.one <- struct{}{}:
	case <-ctx.Done():
		return ctx, nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, lettersTimeout)
	return ctx, func() { cancel(); <-l.one }, nil
}

// Latest reads the latest dead letters of a topic, at most so many of each partition. What
// cannot be read within lettersTimeout is left out.
func (l *letters) Latest(ctx context.Context, topic schemas.Topic, most int) ([]admin.DeadLetter, error) {
	ctx, end, err := l.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	from, ends, err := l.positions(ctx, string(topic.DeadLetter()), int64(most))
	if err != nil {
		return nil, err
	}
	return l.read(ctx, topic, from, ends)
}

// One reads a letter whole.
func (l *letters) One(ctx context.Context, topic schemas.Topic, at admin.LetterPlace) (admin.DeadLetter, error) {
	ctx, end, err := l.begin(ctx)
	if err != nil {
		return admin.DeadLetter{}, err
	}
	defer end()
	from, ends, err := l.positions(ctx, string(topic.DeadLetter()), math.MaxInt64)
	if err != nil {
		return admin.DeadLetter{}, err
	}
	if start, has := from[at.Partition]; !has || at.Offset < start.EpochOffset().Offset || at.Offset >= ends[at.Partition] {
		return admin.DeadLetter{}, admin.ErrNotFound
	}
	found, err := l.read(ctx, topic, map[int32]kgo.Offset{at.Partition: kgo.NewOffset().At(at.Offset)}, map[int32]int64{at.Partition: at.Offset + 1})
	for _, letter := range found {
		if letter.Place == at {
			return letter, nil
		}
	}
	if err == nil {
		err = admin.ErrNotFound
	}
	return admin.DeadLetter{}, err
}

// read reads the letters of a topic from some offsets to others.
func (l *letters) read(ctx context.Context, topic schemas.Topic, from map[int32]kgo.Offset, ends map[int32]int64) ([]admin.DeadLetter, error) {
	if len(from) == 0 {
		return nil, nil
	}
	name := string(topic.DeadLetter())
	options, err := connect.Kafka(l.app.Config.Kafka, "letters", nil)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(options, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: from}))...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	var all []admin.DeadLetter
	for len(ends) > 0 {
		fetched := client.PollFetches(ctx)
		switch {
		case ctx.Err() != nil && len(all) == 0: // which is not that there are none
			return nil, fmt.Errorf("read %s: %w", name, ctx.Err())
		case ctx.Err() != nil:
			return all, nil // what was read is shown
		}
		if err := fetched.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			end, open := ends[r.Partition]
			if !open {
				return // more than was asked for
			}
			all = append(all, letterOf(topic, r))
			if r.Offset >= end-1 {
				delete(ends, r.Partition)
			}
		})
	}
	return all, nil
}

// Publish publishes a record to its topic: to the partition it says it had, where successive
// versions of it are in order, if the topic has that.
func (l *letters) Publish(ctx context.Context, record schemas.DeadLetter) (int32, int64, error) {
	ends, err := kadm.NewClient(l.app.client).ListEndOffsets(ctx, string(record.Topic))
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, 0, fmt.Errorf("partitions of %s: %w", record.Topic, err)
	}
	if _, has := ends.Lookup(string(record.Topic), record.Partition); !has {
		record.Partition = 0
	}
	options, err := connect.Kafka(l.app.Config.Kafka, "letters", nil)
	if err != nil {
		return 0, 0, err
	}
	offset, err := l.app.publisher.PublishAgain(ctx, options, record)
	if err != nil {
		return 0, 0, err
	}
	lineage, err := l.app.offsets.Lineage(ctx, record.Topic)
	if err != nil {
		return record.Partition, offset, nil //nolint:nilerr // it is published all the same, which is what counts
	}
	return record.Partition, lineage.Position(record.Partition, offset), nil
}

// positions are where the latest letters of each partition that has some begin and end.
func (l *letters) positions(ctx context.Context, name string, most int64) (from map[int32]kgo.Offset, ends map[int32]int64, err error) {
	kafka := kadm.NewClient(l.app.client)
	starts, err := kafka.ListStartOffsets(ctx, name)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("where %s begins: %w", name, err)
	}
	listed, err := kafka.ListEndOffsets(ctx, name)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("where %s ends: %w", name, err)
	}
	from, ends = map[int32]kgo.Offset{}, map[int32]int64{}
	listed.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(name, end.Partition)
		if end.Offset > start.Offset {
			from[end.Partition], ends[end.Partition] = kgo.NewOffset().At(max(start.Offset, end.Offset-most)), end.Offset
		}
	})
	return from, ends, nil
}

// letterOf is a record of a dead-letter topic as it is shown.
func letterOf(topic schemas.Topic, r *kgo.Record) admin.DeadLetter {
	record := schemas.DeadLetter{Topic: topic, Key: r.Key, Value: r.Value}
	own := map[string]string{}
	for _, h := range r.Headers {
		if schemas.IsDeadLetterHeader(h.Key) {
			own[h.Key] = string(h.Value)
			continue
		}
		record.Headers = append(record.Headers, schemas.Header{Key: h.Key, Value: h.Value})
	}
	partition, _ := strconv.ParseInt(own[schemas.HeaderPartition], 10, 32)
	record.Partition = int32(partition)
	record.Offset, _ = strconv.ParseInt(own[schemas.HeaderOffset], 10, 64)
	record.Time, _ = schemas.ParseTime(own[schemas.HeaderTime])
	if record.Time.IsZero() {
		record.Time = schemas.TimeOf(r.Timestamp)
	}
	letter := admin.DeadLetter{
		LetterID: admin.LetterIDOf(record), Topic: topic, Place: admin.LetterPlace{Partition: r.Partition, Offset: r.Offset},
		Partition: record.Partition, Offset: record.Offset, Time: record.Time, Code: own[schemas.HeaderCode], Reason: own[schemas.HeaderReason],
		Key: admin.Escaped(r.Key), Value: admin.Escaped(r.Value), Bytes: int64(len(r.Value)), Record: &record,
	}
	if whole, err := strconv.ParseInt(own[schemas.HeaderValueBytes], 10, 64); err == nil { // the letter holds the first of them
		letter.Bytes, letter.Cut = whole, true
	}
	for _, h := range record.Headers {
		switch h.Key {
		case schemas.HeaderLetter:
			letter.From = admin.Escaped(h.Value)
		case schemas.HeaderPublishedAgain:
			if n, err := strconv.ParseUint(string(h.Value), 10, 16); err == nil {
				letter.Again = int(n)
			}
		}
	}
	return letter
}
