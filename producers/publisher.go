// Package producers is the only place that produces to Kafka: events with their
// CloudEvents headers, and dead letters.
//
// Metrics: cdds_producer_records_total{topic} counts acknowledged records,
// cdds_producer_errors_total{topic} those that could not be delivered.
package producers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

const (
	// maxBuffered bounds the bytes waiting to be acknowledged; Publish waits beyond.
	maxBuffered = 32 << 20
	// deliveryTimeout bounds how long a record may wait for its acknowledgement.
	deliveryTimeout = 2 * time.Minute
)

// Publisher produces events. It is safe for concurrent use.
type Publisher struct {
	client  *kgo.Client
	source  string
	records *prometheus.CounterVec
	errors  *prometheus.CounterVec
}

// New returns a Publisher; kafka says how to reach the brokers, source is the
// CloudEvents source of what it publishes. It connects on first use. Close it.
func New(kafka []kgo.Opt, source string, reg prometheus.Registerer) (*Publisher, error) {
	opts := append(append([]kgo.Opt(nil), kafka...),
		// Idempotent, acknowledged by all in-sync replicas: franz-go's defaults,
		// said here because everything else rests on them.
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(schemas.MaxDeadLetterBytes),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.NoCompression()),
		kgo.ProducerLinger(2*time.Millisecond),
		kgo.MaxBufferedBytes(maxBuffered),
		kgo.RecordDeliveryTimeout(deliveryTimeout),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("kafka producer: %w", err)
	}
	p := &Publisher{
		client: client, source: source,
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cdds_producer_records_total", Help: "Records acknowledged, by topic."}, []string{"topic"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cdds_producer_errors_total", Help: "Records that could not be delivered, by topic."}, []string{"topic"}),
	}
	if reg != nil {
		if err := errors.Join(reg.Register(p.records), reg.Register(p.errors)); err != nil {
			client.Close()
			return nil, fmt.Errorf("producer metrics: %w", err)
		}
	}
	return p, nil
}

// Close waits for what is being published and closes the connection.
func (p *Publisher) Close() { p.client.Close() }

// Publish produces events, in order for equal keys, and returns when all are
// acknowledged, or with the first error. Events after a failed one may have been
// published all the same.
func (p *Publisher) Publish(ctx context.Context, events ...schemas.Event) error {
	records := make([]*kgo.Record, len(events))
	for i, e := range events {
		r, err := p.record(e)
		if err != nil {
			return err
		}
		records[i] = r
	}
	return p.produce(ctx, records)
}

// PublishAsync produces one event and returns as soon as it is buffered; done is
// called once with the outcome. It waits while maxBuffered bytes are outstanding.
func (p *Publisher) PublishAsync(ctx context.Context, e schemas.Event, done func(error)) {
	r, err := p.record(e)
	if err != nil {
		done(err)
		return
	}
	p.client.Produce(ctx, r, func(r *kgo.Record, err error) {
		p.count(r, err)
		done(err)
	})
}

// Flush waits until everything published so far is acknowledged or failed.
func (p *Publisher) Flush(ctx context.Context) error { return p.client.Flush(ctx) }

// Put produces dead letters to the dead-letter topics of where they came from:
// original key, value and headers, and headers that say why and where.
func (p *Publisher) Put(ctx context.Context, letters []schemas.DeadLetter) error {
	records := make([]*kgo.Record, len(letters))
	for i, l := range letters {
		headers := make([]kgo.RecordHeader, 0, len(l.Headers)+6)
		for _, h := range l.Headers {
			headers = append(headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		add := func(key, value string) {
			headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
		}
		add(schemas.HeaderReason, l.Reason)
		add(schemas.HeaderCode, l.Code)
		add(schemas.HeaderTopic, string(l.Topic))
		add(schemas.HeaderPartition, strconv.Itoa(int(l.Partition)))
		add(schemas.HeaderOffset, strconv.FormatInt(l.Offset, 10))
		add(schemas.HeaderTime, l.Time.String())
		records[i] = &kgo.Record{Topic: string(l.Topic.DeadLetter()), Key: l.Key, Value: l.Value, Headers: headers}
	}
	return p.produce(ctx, records)
}

func (p *Publisher) produce(ctx context.Context, records []*kgo.Record) error {
	var first error
	for _, result := range p.client.ProduceSync(ctx, records...) {
		p.count(result.Record, result.Err)
		if result.Err != nil && first == nil {
			first = fmt.Errorf("publish to %s: %w", result.Record.Topic, result.Err)
		}
	}
	return first
}

func (p *Publisher) count(r *kgo.Record, err error) {
	if err != nil {
		p.errors.WithLabelValues(r.Topic).Inc()
		return
	}
	p.records.WithLabelValues(r.Topic).Inc()
}

// record is the event in the CloudEvents 1.0 Kafka binary binding.
func (p *Publisher) record(e schemas.Event) (*kgo.Record, error) {
	value, err := schemas.Encode(e)
	if err != nil {
		return nil, err
	}
	r := &kgo.Record{
		Topic: string(e.Topic()), Key: []byte(e.Key()), Value: value,
		Headers: []kgo.RecordHeader{
			{Key: schemas.HeaderSpecVersion, Value: []byte(schemas.SpecVersion)},
			{Key: schemas.HeaderID, Value: []byte(e.ID())},
			{Key: schemas.HeaderType, Value: []byte(e.Type())},
			{Key: schemas.HeaderSource, Value: []byte(p.source)},
			{Key: schemas.HeaderContentType, Value: []byte(schemas.ContentTypeJSON)},
		},
	}
	if at := e.At(); !at.IsZero() {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: schemas.HeaderEventTime, Value: []byte(at.String())})
	}
	return r, nil
}
