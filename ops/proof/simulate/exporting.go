package simulate

import (
	"context"
	"time"

	"cdds/consumers"
	"cdds/consumers/account"
	"cdds/consumers/export"
	"cdds/ops/connect"
	"cdds/pipeline"
	"cdds/schemas"
)

// Bounds of the export role: short, so that a history sees their ends.
const (
	ingestWait = 2 * time.Minute
	retryFor   = time.Minute
)

// export runs the role of that name.
func (p *process) export(ctx context.Context, k conn, settler *consumers.Settler, offsets *connect.Offsets) {
	certificate, signer := seal()
	worker := export.New(export.Options{
		Exporter: pipeline.New(pipeline.Options{
			Source: tables{p}, Store: objects{p}, Objects: attachments{p}, PseudonymSecret: []byte(pseudonymSecret), Spools: pipeline.NewSpools(64 << 20),
			Certificate: certificate, Key: signer, Lifetime: lifetime,
			HistoryFrom: p.historyFrom, Now: p.now,
		}),
		Log: offsets, Requests: requestTopic{k}, Ledger: tables{p},
		Publisher: k, Tenants: tables{p}, Holds: holds{p}, Quotas: p.quotas(), Name: p.name(), Slots: 1, InlineCertificates: true,
		IngestWait: ingestWait, RetryFor: retryFor, Steady: true, Logger: p.w.log, Now: p.now,
	})
	run(ctx, p, consumers.Options[*schemas.ExportRequest]{
		Cluster: k, GroupID: schemas.GroupExport, Topic: schemas.TopicExportRequests,
		Decode: schemas.DecodeExportRequest, Handler: worker, DeadLetters: consumers.Letters{Topic: k, Account: tables{p}},
		MaxRecords: batchRecords, SpanPerRecord: true, Tracer: places{}, Positions: settler, Steady: true, Drain: time.Second, Logger: p.w.log,
	})
	p.running.Go(func() { _ = worker.Run(ctx) })
}

// requestTopic is the topic of requests as the export role needs it.
type requestTopic struct{ conn }

// Partitions implements export.Requests.
func (t requestTopic) Partitions(ctx context.Context) (int32, error) {
	starts, err := t.Starts(ctx, schemas.TopicExportRequests)
	return int32(len(starts)), err
}

// Forward implements export.Requests.
func (t requestTopic) Forward(ctx context.Context, partition int32, r *schemas.ExportRequest) error {
	value, err := schemas.Encode(r)
	if err != nil {
		return err
	}
	return t.p.change(ctx, atKafka, "forward "+r.ExportID, func() error {
		topic, err := t.c.find(schemas.TopicExportRequests)
		if err != nil {
			return err
		}
		topic.partitions[partition].append(&entry{key: []byte(r.Key()), value: value, event: r}, t.p.w.now())
		return nil
	})
}

// book is the account as an operator sees it, who waits for nobody.
func (w *world) book(a *auditor) account.Book {
	return account.Book{Log: a.offsets, Store: w.tables, Decisions: pipeline.WriteOffs{Store: w.objects}, Publisher: unheard{}}
}

// unheard is a publisher of what nobody reads.
type unheard struct{}

func (unheard) Publish(context.Context, ...schemas.Event) error { return nil }

// writeOff is an operator who writes off what is lost for good.
func (w *world) writeOff(int, int, int) bool {
	if w.cluster.off {
		return false
	}
	some := false
	for _, topic := range w.topics {
		_, err := w.book(w.auditor()).WriteOff(context.Background(), topic, nil, "simulated", "operator", "", w.now())
		some = some || err == nil
	}
	return some
}

// writeOffs are those that were decided of a topic.
func (w *world) writeOffs(topic schemas.Topic) []schemas.WriteOff {
	all, err := pipeline.WriteOffs{Store: w.objects}.All(context.Background(), topic, nil)
	if err != nil {
		w.failf("the write-offs cannot be read: %v", err)
	}
	return all
}
