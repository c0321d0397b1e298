package producers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

const (
	// letterOverhead is what a letter has beside the original record: its own headers, of
	// which the reason is the largest.
	letterOverhead = schemas.MaxReasonBytes + 4<<10
	// letterRoom is how much of the original record a letter can hold.
	letterRoom = maxDeadLetterBatch - letterOverhead
)

// smallerRooms are tried in turn where a dead-letter topic takes less than CDDS provisions
// it with.
var smallerRooms = []int{letterRoom, 768 << 10, 128 << 10, 0}

// Put publishes dead letters, each to the dead-letter topic of its own, and returns when
// all are acknowledged, or with the first error; putting them again is safe. A letter that
// is too large for its topic is cut, see schemas.HeaderValueBytes: a record of any size has
// its letter, or its partition would stand still for ever.
func (p *Publisher) Put(ctx context.Context, letters []schemas.DeadLetter) error {
	records := make([]*kgo.Record, len(letters))
	of := make(map[*kgo.Record]*schemas.DeadLetter, len(letters))
	for n := range letters {
		records[n] = deadLetterRecord(&letters[n], letterRoom)
		of[records[n]] = &letters[n]
	}
	var first error
	for _, result := range p.client.Load().ProduceSync(ctx, records...) { // in the order of their answers
		err := p.outcome(result.Record, result.Err)
		if stale(err) {
			err = p.produce(ctx, []*kgo.Record{result.Record})
		}
		if errors.Is(err, kerr.MessageTooLarge) { // the batch it shared, or the letter alone
			err = p.putAlone(ctx, of[result.Record])
		}
		if err != nil && first == nil {
			first = err
		}
	}
	return first
}

// putAlone publishes a letter in a batch of its own, cut as far as the topic demands.
func (p *Publisher) putAlone(ctx context.Context, l *schemas.DeadLetter) (err error) {
	for _, room := range smallerRooms {
		if err = p.produce(ctx, []*kgo.Record{deadLetterRecord(l, room)}); !errors.Is(err, kerr.MessageTooLarge) {
			return err
		}
	}
	return err
}

// deadLetterRecord is the record as it was, plus where it was and why it is here. A letter
// that comes around again carries only its last reason. Of a record over room bytes it has
// the first bytes that fit, and the size and digest of the whole.
func deadLetterRecord(l *schemas.DeadLetter, room int) *kgo.Record {
	var headers []kgo.RecordHeader
	size := 0
	for _, h := range l.Headers {
		if !schemas.IsDeadLetterHeader(h.Key) {
			headers = append(headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
			size += len(h.Key) + len(h.Value) + 10 // their lengths, as varints
		}
	}
	add := func(key, value string) {
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	key, value := l.Key, l.Value
	if size+len(key)+len(value) > room {
		kept := size <= room/4
		if !kept {
			headers, size = nil, 0
		}
		key = key[:min(len(key), room/4)]
		value = value[:min(len(value), room-size-len(key))]
		sum := sha256.Sum256(l.Value)
		add(schemas.HeaderKeyBytes, strconv.Itoa(len(l.Key)))
		add(schemas.HeaderValueBytes, strconv.Itoa(len(l.Value)))
		add(schemas.HeaderValueSHA256, hex.EncodeToString(sum[:]))
		add(schemas.HeaderHeadersKept, strconv.FormatBool(kept))
	}
	// A reason may quote what it refuses.
	add(schemas.HeaderReason, strings.ToValidUTF8(l.Reason[:min(len(l.Reason), schemas.MaxReasonBytes)], "\uFFFD"))
	add(schemas.HeaderCode, l.Code)
	add(schemas.HeaderTopic, string(l.Topic))
	add(schemas.HeaderPartition, strconv.FormatInt(int64(l.Partition), 10))
	add(schemas.HeaderOffset, strconv.FormatInt(l.Offset, 10))
	add(schemas.HeaderTime, l.Time.String())
	return &kgo.Record{Topic: string(l.Topic.DeadLetter()), Key: key, Value: value, Headers: headers}
}
