package producers

import (
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
