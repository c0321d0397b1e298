package tracing

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kotel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"cdds/schemas"
)

// Kafka are the options of a client that produces: a span for each record, below the one
// in the record's context, that travels on as W3C traceparent in a header. The options
// serve one client only.
//
// Fetching is not among them: kotel makes a span for each record that is fetched, which
// is too many for ingest and too early for exports, which wait. consumers.Group makes
// spans of what is handled.
func (t *Traces) Kafka(client string) []kgo.Opt {
	if t == nil {
		return nil
	}
	return []kgo.Opt{kgo.WithHooks(t.producing(client))}
}

func (t *Traces) producing(client string) *producing {
	return &producing{t.ratio, kotel.NewTracer(kotel.TracerProvider(t.provider), kotel.TracerPropagator(propagation.TraceContext{}),
		kotel.ClientID("cdds-"+client), kotel.KeyFormatter(noKey))}
}

// producing are kotel's hooks of a client that produces, and no others.
//
// kotel does most of its work for traces that are not kept too, which would double what
// publishing an interaction costs. So of records of which there are many it gets only
// those whose trace is kept; nobody goes on with the others, as ingest only links.
type producing struct {
	ratio float64
	kotel *kotel.Tracer
}

// OnProduceRecordBuffered implements kgo.HookProduceRecordBuffered.
func (p *producing) OnProduceRecordBuffered(r *kgo.Record) {
	if isMany(r.Topic) && !trace.SpanContextFromContext(r.Context).IsValid() {
		if rand.Float64() >= p.ratio {
			return
		}
		r.Context = context.WithValue(r.Context, chosen{}, true)
	}
	p.kotel.OnProduceRecordBuffered(r)
}

// OnProduceRecordUnbuffered implements kgo.HookProduceRecordUnbuffered.
func (p *producing) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	if trace.SpanContextFromContext(r.Context).IsValid() {
		p.kotel.OnProduceRecordUnbuffered(r, err)
	}
}

func isMany(topic string) bool {
	return topic == string(schemas.TopicInteractions) || topic == string(schemas.TopicContacts)
}

// noKey keeps keys out of spans: they are the ids of tenants' things.
func noKey(*kgo.Record) (string, error) { return "", errNoKey }

var errNoKey = errors.New("keys are not traced")
