// Package producers publishes to Kafka. [Publisher] is the only place in CDDS that
// does; the roles that decide what to publish are the packages below.
//
// Metrics, given a registerer:
//
//	cdds_producer_records_total{topic}  records the broker acknowledged
//	cdds_producer_errors_total{topic}   records given up: too large, refused, or not acknowledged in time
package producers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/pipeline/answer"
	"cdds/schemas"
)

const (
	// linger lets records of a burst share a batch; a lone status event waits as long.
	linger = 2 * time.Millisecond
	// deliveryTimeout outlasts the election of a new leader. Kafka's own default,
	// two minutes, would leave callers without an answer for too long.
	deliveryTimeout = time.Minute
	closeTimeout    = 15 * time.Second

	maxBufferedRecords = 20_000
	maxBufferedBytes   = 24 << 20

	// Beside the value, a record of CDDS has its key and the CloudEvents headers:
	// a few ids of at most 256 bytes.
	maxEventBatch = schemas.MaxEventBytes + 64<<10
	// A batch may not be larger than the topic takes; it is 61 bytes (KIP-98) and
	// a few per record more than what is in it.
	maxDeadLetterBatch = schemas.MaxDeadLetterBytes - 1<<10
)

// Publisher produces events and dead letters, each record acknowledged by all
// in-sync replicas and written once by the idempotent producer. It is safe for
// concurrent use and keeps at most 24 MiB waiting; beyond that callers wait.
type Publisher struct {
	options []kgo.Opt
	client  atomic.Pointer[kgo.Client]
	renewal sync.Mutex // held while client is replaced
	closed  bool
	source  []byte
	sent    *prometheus.CounterVec
	failed  *prometheus.CounterVec
}

// New returns a Publisher that connects with the options in kafka on first use.
// source is the CloudEvents source of what it publishes, a URI reference such as
// "cdds/worker-1". reg may be nil. The caller closes it.
func New(kafka []kgo.Opt, source string, reg prometheus.Registerer) (*Publisher, error) {
	if source == "" {
		return nil, errors.New("publisher: source is empty; CloudEvents need one, such as \"cdds/worker-1\"")
	}
	options := append(append([]kgo.Opt(nil), kafka...),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(linger),
		kgo.RecordPartitioner(byRecord{kgo.UniformBytesPartitioner(64<<10, true, true, nil)}),
		kgo.ProducerBatchMaxBytesFn(maxBatch),
		// On interactions Snappy is a third faster than LZ4 for the same size; zstd
		// is a quarter smaller at a third of the speed.
		kgo.ProducerBatchCompression(kgo.SnappyCompression(), kgo.NoCompression()),
		kgo.MaxBufferedRecords(maxBufferedRecords),
		kgo.MaxBufferedBytes(maxBufferedBytes),
		kgo.RecordDeliveryTimeout(deliveryTimeout),
		// Without it, a record whose request got no answer could never be given
		// up, and neither cancelling nor Close would end. The price, a record
		// that is there although its publication failed, costs CDDS nothing:
		// every event can be published again without effect.
		kgo.AllowIdempotentProduceCancellation(),
	)
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	p := &Publisher{
		options: options,
		source:  []byte(source),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cdds_producer_records_total", Help: "Records the broker acknowledged.",
		}, []string{"topic"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cdds_producer_errors_total", Help: "Records given up: too large, refused, or not acknowledged in time.",
		}, []string{"topic"}),
	}
	p.client.Store(client)
	if reg != nil {
		for _, c := range []prometheus.Collector{p.sent, p.failed} {
			if err := reg.Register(c); err != nil {
				client.Close()
				return nil, fmt.Errorf("publisher metrics: %w", err)
			}
		}
	}
	return p, nil
}

func maxBatch(topic string) int32 {
	if schemas.IsDeadLetter(schemas.Topic(topic)) {
		return maxDeadLetterBatch
	}
	return maxEventBatch
}

// Publish returns when every event is acknowledged, or with the first error. After
// an error any of them may have been published all the same; publishing them again
// is safe. Events of one key keep their order. It does not validate.
func (p *Publisher) Publish(ctx context.Context, events ...schemas.Event) error {
	records := make([]*kgo.Record, len(events))
	for n, e := range events {
		r, err := p.record(e)
		if err != nil {
			return err
		}
		records[n] = r
	}
	return p.produce(ctx, records)
}

// PublishTo is Publish of one request to a partition of the topic of export requests, whatever
// its key.
func (p *Publisher) PublishTo(ctx context.Context, partition int32, r *schemas.ExportRequest) error {
	record, err := p.record(r)
	if err != nil {
		return err
	}
	return p.produce(context.WithValue(ctx, chosen{}, partition), []*kgo.Record{record})
}

// PublishAsync hands the event over and returns; done is called with the outcome,
// on a goroutine of the client that it must not block, and must not call the
// Publisher. While the buffer is full PublishAsync waits: that is the back-pressure
// of a bulk producer. Events of one key keep their order of calls.
func (p *Publisher) PublishAsync(ctx context.Context, e schemas.Event, done func(error)) {
	r, err := p.record(e)
	if err != nil {
		done(err)
		return
	}
	client := p.client.Load()
	client.Produce(ctx, r, func(r *kgo.Record, err error) {
		if stale(err) { // not here: the client is not to be waited for on its own goroutine
			go func() { done(p.produceAnew(ctx, client, r)) }()
			return
		}
		done(p.outcome(r, err))
	})
}

// Flush waits until everything handed to PublishAsync has its outcome. Its error
// is that of ctx; outcomes went to done.
func (p *Publisher) Flush(ctx context.Context) error { return p.client.Load().Flush(ctx) }

// Close flushes for up to 15 seconds, gives up what is left then, and ends the
// connections.
func (p *Publisher) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	p.renewal.Lock()
	defer p.renewal.Unlock()
	p.closed = true
	client := p.client.Load()
	_ = client.Flush(ctx) // those who wait for an outcome get it, here or from Close
	client.Close()
}

// outcome counts the record and explains its error.
func (p *Publisher) outcome(r *kgo.Record, err error) error {
	if err == nil {
		p.sent.WithLabelValues(r.Topic).Inc()
		return nil
	}
	p.failed.WithLabelValues(r.Topic).Inc()
	var kafka *kerr.Error
	if errors.As(err, &kafka) {
		err = &answer.Error{Service: "Kafka", Meaning: answer.Kafka(kafka.Code), Err: err}
	}
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("publish to %s: %w; `cdds provision` creates the topics", r.Topic, err)
	case errors.Is(err, kerr.MessageTooLarge):
		return fmt.Errorf("publish to %s: %w (%s); raise the topic's max.message.bytes to %d", r.Topic, err, schemas.Counted(len(r.Value), "byte"), limit(r.Topic))
	case errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, kgo.ErrRecordRetries):
		return fmt.Errorf("publish to %s: no acknowledgement within %s; check that its brokers are up: %w", r.Topic, deliveryTimeout, err)
	}
	return fmt.Errorf("publish to %s: %w", r.Topic, err)
}

func limit(topic string) int {
	if schemas.IsDeadLetter(schemas.Topic(topic)) {
		return schemas.MaxDeadLetterBytes
	}
	return schemas.MaxRecordBytes
}
