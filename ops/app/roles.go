package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/consumers"
	"cdds/consumers/audit"
	"cdds/consumers/export"
	"cdds/consumers/history"
	"cdds/consumers/ingest"
	"cdds/ops/connect"
	"cdds/ops/metrics"
	"cdds/pipeline"
	"cdds/pipeline/warehouse"
	"cdds/producers"
	"cdds/schemas"
)

// role is something that runs until its context ends.
type role struct {
	name  string
	run   func(context.Context) error
	ready func() error
}

var builders = map[string]func(*App) ([]role, error){
	"ingest":    buildIngest,
	"export":    buildExport,
	"history":   buildHistory,
	"retention": buildRetention,
	"erasure":   buildErasure,
	"schedule":  buildSchedule,
	"web":       buildWeb,
	"webhooks":  buildWebhooks,
}

// Roles lists the roles a process can run.
func Roles() []string {
	return []string{"ingest", "export", "history", "retention", "erasure", "schedule", "webhooks", "web"}
}

func buildIngest(a *App) ([]role, error) {
	erased, err := newErasedLog(a)
	if err != nil {
		return nil, err
	}
	forgetting := warehouse.NewForgetting(a.warehouse, erased, erasureRecord{a.ledger, pipeline.Erasures{Store: a.bucket}, a.Logger.With("role", "ingest.erased")}, a.Logger.With("role", "ingest.erased"))
	storeInteractions, err := ingest.NewInteractions(forgetting, a.Registry)
	if err != nil {
		return nil, err
	}
	storeContacts, err := ingest.NewContacts(forgetting, a.Registry)
	if err != nil {
		return nil, err
	}
	interactions, group1, err := newGroup("ingest.interactions", consumers.Options[*schemas.Interaction]{
		GroupID: schemas.IngestGroup(schemas.TopicInteractions), Topic: schemas.TopicInteractions,
		Decode: schemas.DecodeInteractionRow, Handler: storeInteractions,
		MaxRecords: ingest.MaxRecords, MaxBytes: ingest.MaxBytes, Linger: ingest.Linger, Healed: true,
	}, a)
	if err != nil {
		return nil, err
	}
	contacts, group2, err := newGroup("ingest.contacts", consumers.Options[*schemas.Contact]{
		GroupID: schemas.IngestGroup(schemas.TopicContacts), Topic: schemas.TopicContacts,
		Decode: schemas.DecodeContactRow, Handler: storeContacts,
		MaxRecords: ingest.MaxRecords, MaxBytes: ingest.MaxBytes, Linger: ingest.Linger, Healed: true,
	}, a)
	if err != nil {
		return nil, err
	}
	return []role{
		buildRemember(a, forgetting), interactions, contacts,
		a.healer("ingest.heal", schemas.IngestGroup(schemas.TopicInteractions), schemas.TopicInteractions, group1),
		a.healer("ingest.heal", schemas.IngestGroup(schemas.TopicContacts), schemas.TopicContacts, group2),
	}, nil
}

func buildHistory(a *App) ([]role, error) {
	project, err := history.New(a.ledger, a.Registry)
	if err != nil {
		return nil, err
	}
	r, group, err := newGroup("history", consumers.Options[*schemas.ExportStatus]{
		GroupID: schemas.GroupHistory, Topic: schemas.TopicExportStatus,
		Decode: schemas.DecodeExportStatus, Handler: project,
		MaxRecords: history.MaxRecords, Linger: history.Linger, SpanPerRecord: true, Healed: true,
	}, a)
	if err != nil {
		return nil, err
	}
	trail, err := groupRole("history.audit", consumers.Options[*schemas.AuditRecord]{
		GroupID: schemas.GroupAudit, Topic: schemas.TopicAudit,
		Decode: schemas.DecodeAuditRecord, Handler: audit.New(a.ledger),
		MaxRecords: audit.MaxRecords, Linger: audit.Linger, SpanPerRecord: true,
	}, a)
	if err != nil {
		return nil, err
	}
	deliveries, err := groupRole("history.deliveries", consumers.Options[*schemas.WebhookDelivery]{
		GroupID: schemas.GroupDeliveries, Topic: schemas.TopicWebhookDeliveries,
		Decode: schemas.DecodeWebhookDelivery, Handler: history.Deliveries{Store: a.ledger},
		MaxRecords: history.MaxRecords, Linger: history.Linger, SpanPerRecord: true,
	}, a)
	fold := role{"history.fold", func(ctx context.Context) error {
		return project.KeepFolded(ctx, history.RefoldEvery, a.Logger.With("role", "history.fold"))
	}, func() error { return nil }}
	return []role{r, fold, a.healer("history.heal", schemas.GroupHistory, schemas.TopicExportStatus, group), trail, deliveries}, err
}

// requestsTogether bounds the requests that are decided together.
const requestsTogether = 100

func buildExport(a *App) ([]role, error) {
	signer, err := LoadSigner(a.Config.Service)
	if err != nil {
		return nil, err
	}
	if err := metrics.Expiry(a.Registry, signer.Certificate.NotAfter); err != nil {
		return nil, err
	}
	registered, err := a.defined()
	if err != nil {
		return nil, err
	}
	quotas, err := a.quotas()
	if err != nil {
		return nil, err
	}
	c := a.Config.Export
	worker := export.New(export.Options{
		Exporter: pipeline.New(pipeline.Options{
			Source: a.warehouse, Store: a.bucket, Objects: a.bucket.Sibling(a.Config.S3.AttachmentsBucket), Spools: pipeline.NewSpools(int64(c.Memory)), SegmentBytes: int64(c.SegmentSize),
			Certificate: signer.Certificate, Key: signer.Key, PseudonymSecret: []byte(c.PseudonymSecret.Reveal()),
			Lifetime: c.Lifetime, LifetimeByTenant: c.LifetimeByTenant, HistoryFrom: a.historyFrom, Now: time.Now,
		}),
		Log: a.offsets, Requests: requestTopic{consumers.Kafka(a.client), a.publisher}, Ledger: a.warehouse,
		Publisher: a.publisher, Tenants: a.warehouse, Certificates: registered, Holds: registered,
		Name: a.Name, Slots: c.Slots, TenantSlots: c.TenantSlots,
		Quotas: quotas, InlineCertificates: c.InlineCertificates != nil && *c.InlineCertificates,
		IngestWait: c.IngestWait, RetryFor: c.RetryFor,
		Registerer: a.Registry, Logger: a.Logger.With("role", "export"),
	})
	r, err := groupRole("export", consumers.Options[*schemas.ExportRequest]{
		GroupID: schemas.GroupExport, Topic: schemas.TopicExportRequests,
		Decode: schemas.DecodeExportRequest, Handler: worker,
		MaxRecords: requestsTogether, SpanPerRecord: true,
		// An export resumes from the parts it stored; waiting for it would only
		// delay the next owner.
		Drain: time.Second,
	}, a)
	return []role{r, {"export.watch", worker.Run, func() error { return nil }}}, err
}

// requestTopic is the topic of export requests as the export role needs it.
type requestTopic struct {
	brokers   consumers.Brokers
	publisher *producers.Publisher
}

// Partitions implements export.Requests.
func (r requestTopic) Partitions(ctx context.Context) (int32, error) {
	starts, err := r.brokers.Starts(ctx, schemas.TopicExportRequests)
	return int32(len(starts)), err
}

// Forward implements export.Requests.
func (r requestTopic) Forward(ctx context.Context, partition int32, e *schemas.ExportRequest) error {
	return r.publisher.PublishTo(ctx, partition, e)
}

func groupRole[E any](name string, o consumers.Options[E], a *App) (role, error) {
	r, _, err := newGroup(name, o, a)
	return r, err
}

// newGroup completes what all consumer groups share.
func newGroup[E any](name string, o consumers.Options[E], a *App) (role, *consumers.Group[E], error) {
	var err error
	if o.Cluster, err = a.cluster(name, a.Registry); err != nil {
		return role{}, nil, err
	}
	o.Positions = a.settler
	o.DeadLetters = consumers.Letters{Topic: a.publisher, Account: a.warehouse}
	o.Registerer = a.Registry
	o.Tracer = a.traces.Tracer(name)
	o.Logger = a.Logger.With(slog.String("role", name))
	g, err := consumers.New(o)
	if err != nil {
		return role{}, nil, err
	}
	return role{name, g.Run, g.Ready}, g, nil
}

// cluster is the Kafka that a role reads. reg takes the metrics of its member.
func (a *App) cluster(name string, reg prometheus.Registerer) (consumers.Cluster, error) {
	members, err := connect.Kafka(a.Config.Kafka, name, reg)
	if err != nil {
		return nil, err
	}
	followers, err := connect.Kafka(a.Config.Kafka, name+".again", nil)
	if err != nil {
		return nil, err
	}
	return consumers.NewCluster(members, followers)
}

// errNoSigner names the way out.
var errNoSigner = errors.New("no certificate to sign manifests with: set service.cert_file and service.key_file (`cdds keygen --service` makes a pair)")
