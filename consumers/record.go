package consumers

import (
	"errors"

	"cdds/schemas"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordOverhead is about what a record costs in memory besides its bytes.
const recordOverhead = 256

// sizeOf is the memory of records, in bytes.
func sizeOf(records []*kgo.Record) int64 {
	var n int64
	for _, r := range records {
		n += recordOverhead + int64(len(r.Key)+len(r.Value))
		for _, h := range r.Headers {
			n += int64(len(h.Key) + len(h.Value))
		}
	}
	return n
}

// deadLetter is the record with the reason why it could not be read.
func deadLetter(topic schemas.Topic, r *kgo.Record, err error) schemas.DeadLetter {
	letter := schemas.DeadLetter{
		Topic:     topic,
		Partition: r.Partition,
		Offset:    r.Offset,
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
