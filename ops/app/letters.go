package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/admin"
	"cdds/ops/connect"
	"cdds/schemas"
)

// letters reads dead letters for the console.
type letters struct {
	app *App
	mu  sync.Mutex // one reader at a time: letters are as large as records
}

// lettersTimeout bounds reading the dead letters of a topic.
const lettersTimeout = 5 * time.Second

// latest reads the latest dead letters of a topic, at most so many of each partition. What
// cannot be read within lettersTimeout is left out.
func (l *letters) latest(ctx context.Context, topic schemas.Topic, most int) ([]admin.DeadLetter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lettersTimeout)
	defer cancel()
	name := string(topic.DeadLetter())
	from, ends, err := l.positions(ctx, name, int64(most))
	if err != nil || len(from) == 0 {
		return nil, err
	}
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
		if ctx.Err() != nil {
			return all, nil // what was read is shown
		}
		if err := fetched.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			all = append(all, letterOf(topic, r))
			if r.Offset >= ends[r.Partition]-1 {
				delete(ends, r.Partition)
			}
		})
	}
	return all, nil
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
	header := func(name string) string {
		n := slices.IndexFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == name })
		if n < 0 {
			return ""
		}
		return string(r.Headers[n].Value)
	}
	letter := admin.DeadLetter{
		Topic: topic, Code: header(schemas.HeaderCode), Reason: header(schemas.HeaderReason), Time: schemas.TimeOf(r.Timestamp),
		Key: admin.Escaped(r.Key), Value: admin.Escaped(r.Value), Bytes: int64(len(r.Value)),
	}
	partition, _ := strconv.ParseInt(header(schemas.HeaderPartition), 10, 32)
	letter.Partition = int32(partition)
	letter.Offset, _ = strconv.ParseInt(header(schemas.HeaderOffset), 10, 64)
	if whole, err := strconv.ParseInt(header(schemas.HeaderValueBytes), 10, 64); err == nil { // the letter holds the first of them
		letter.Bytes = whole
	}
	return letter
}
