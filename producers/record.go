package producers

import (
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

// record is the event in the CloudEvents 1.0 Kafka binary binding (section 3.2): the
// body is the value, the attributes are headers in UTF-8. An event without a time
// (a request that does not say when it was made) has no ce_time, which is optional.
func (p *Publisher) record(e schemas.Event) (*kgo.Record, error) {
	body, err := schemas.Encode(e)
	if err != nil {
		return nil, err
	}
	headers := []kgo.RecordHeader{
		{Key: schemas.HeaderSpecVersion, Value: []byte(schemas.SpecVersion)},
		{Key: schemas.HeaderID, Value: []byte(e.ID())},
		{Key: schemas.HeaderType, Value: []byte(e.Type())},
		{Key: schemas.HeaderSource, Value: p.source},
		{Key: schemas.HeaderContentType, Value: []byte(schemas.ContentTypeJSON)},
	}
	if at := e.At(); !at.IsZero() {
		headers = append(headers, kgo.RecordHeader{Key: schemas.HeaderEventTime, Value: []byte(at.String())})
	}
	return &kgo.Record{Topic: string(e.Topic()), Key: []byte(e.Key()), Value: body, Headers: headers}, nil
}

// deadLetterRecord is the record as it was, plus where it was and why it is here. A
// letter that comes around again carries only its last reason.
func deadLetterRecord(l *schemas.DeadLetter) *kgo.Record {
	headers := make([]kgo.RecordHeader, 0, len(l.Headers)+6)
	for _, h := range l.Headers {
		if !isDeadLetterHeader(h.Key) {
			headers = append(headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
	}
	add := func(key, value string) {
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	// A reason may quote what it refuses.
	add(schemas.HeaderReason, strings.ToValidUTF8(l.Reason, "\uFFFD"))
	add(schemas.HeaderCode, l.Code)
	add(schemas.HeaderTopic, string(l.Topic))
	add(schemas.HeaderPartition, strconv.FormatInt(int64(l.Partition), 10))
	add(schemas.HeaderOffset, strconv.FormatInt(l.Offset, 10))
	add(schemas.HeaderTime, l.Time.String())
	return &kgo.Record{Topic: string(l.Topic.DeadLetter()), Key: l.Key, Value: l.Value, Headers: headers}
}

func isDeadLetterHeader(key string) bool {
	switch key {
	case schemas.HeaderReason, schemas.HeaderCode, schemas.HeaderTopic,
		schemas.HeaderPartition, schemas.HeaderOffset, schemas.HeaderTime:
		return true
	}
	return false
}
