// Package export decides about requests and carries out exports.
//
// # Deciding
//
// The topic of requests carries decisions only. Handle accepts or refuses each request,
// and decides each control (cancel, delete, retry), records that once in the bucket and
// returns; the Group commits. So whatever waits, and for however long, what is published
// behind it is decided as soon as it is read. While the bucket or Kafka is away nothing can
// be decided: Handle fails, the Group repeats it, the partition waits and says so.
//
// # Carrying out
//
// What is accepted and has not ended is open: an object of the bucket says so until the end
// was decided and reported (see pipeline.Decisions). The owner of a partition of the topic
// carries out the exports whose requests came through it: Own lists them when the partition
// becomes this worker's, Handle adds what it accepts. Nothing of that is in Kafka's offsets,
// so a restart, a rebalance or a takeover costs one listing, and a control about an export
// finds its worker: it comes through the same partition, or is published again to it.
//
// An open export waits for ingest first, with all the others of its topic (see watch), then
// for its turn (see queue). Then it is in hand: a goroutine drives package pipeline part by
// part, reporting each step as a status event. A worker that takes an export up adopts what
// is stored of it, and reports the same facts under the same event ids. If its end cannot be
// recorded, the export stays open and is tried again.
package export

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"cdds/pipeline"
	"cdds/schemas"
)

// SourceLog reports how far the topics with rows have come, in positions.
type SourceLog interface {
	// Seal takes the snapshot that holds every record that readers can see by now, and records
	// that it was taken, and under which leader epochs.
	Seal(ctx context.Context, topic schemas.Topic) (s schemas.Snapshot, epochs []int32, err error)
	// Now returns the positions of a sealed snapshot as they are known by now: its log may have
	// lost its tail before that was known.
	Now(ctx context.Context, topic schemas.Topic, s schemas.Snapshot, epochs []int32) (schemas.Snapshot, error)
	// Ingested is, per partition, the first position not yet stored or dead-lettered.
	Ingested(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error)
	// Used returns the positions below a snapshot that records had.
	Used(ctx context.Context, topic schemas.Topic, to schemas.Snapshot) ([]schemas.Run, error)
	// Gone returns what of runs Kafka does not have any more.
	Gone(ctx context.Context, topic schemas.Topic, runs []schemas.Run) ([]schemas.Run, error)
}

// Requests is the topic of requests.
type Requests interface {
	// Partitions is how many partitions it has.
	Partitions(ctx context.Context) (int32, error)
	// Forward publishes a control again, to a partition. It returns once it is acknowledged.
	Forward(ctx context.Context, partition int32, r *schemas.ExportRequest) error
}

// Ledger knows what is accounted for now, whatever ingest has committed.
type Ledger interface {
	// Missing is how many of the positions in use are not accounted for.
	Missing(ctx context.Context, topic schemas.Topic, used []schemas.Run) (int64, error)
	// Gaps are the runs that Missing counts, at most limit of them, and whether there are more.
	Gaps(ctx context.Context, topic schemas.Topic, used []schemas.Run, limit int) (gaps []schemas.Run, more bool, err error)
}

// Publisher reports status events. It returns once they are acknowledged.
type Publisher interface {
	Publish(ctx context.Context, events ...schemas.Event) error
}

// Tenants knows which tenants have any data.
type Tenants interface {
	HasTenant(ctx context.Context, tenantID string) (bool, error)
}

// Certificates knows the recipients registered for tenants; *definitions.Definitions is
// one.
type Certificates interface {
	// Sync returns once every certificate acknowledged before the call is known.
	Sync(ctx context.Context) error
	// Recipient is the certificate to use where fingerprint is named; its error says to
	// admins why none exists.
	Recipient(tenantID, fingerprint string) (schemas.Certificate, error)
	// Certificate is the registered one itself, also when it was removed or replaced.
	Certificate(tenantID, fingerprint string) (schemas.Certificate, bool)
}

// Holds knows what may not be removed; *definitions.Definitions does.
type Holds interface {
	// Held returns the active holds of a tenant as of now.
	Held(ctx context.Context, tenantID string) (schemas.Holds, error)
}

// Options of a Worker.
type Options struct {
	Exporter  *pipeline.Exporter
	Log       SourceLog
	Requests  Requests
	Ledger    Ledger
	Publisher Publisher
	Tenants   Tenants
	// Certificates may be nil; then none is registered.
	Certificates Certificates
	// Holds may be nil; then there are none.
	Holds Holds
	// Name identifies this process in status events, such as host and process id.
	Name string
	// Slots is how many parts are exported at once; 0 means one per CPU.
	Slots int
	// TenantSlots bounds how many of them are one tenant's; 0 means Slots.
	TenantSlots int
	// Quotas bound the exports of tenants; nil bounds none.
	Quotas *pipeline.Quotas
	// InlineCertificates allows a request to bring its recipients' certificates. Off,
	// write access to the topic is not access to anybody's data.
	InlineCertificates bool
	// DecisionLifetime is how long decisions must be in the bucket, which never removes them by
	// itself: an older message is refused if nothing was decided about it. 0 means
	// 400 days.
	DecisionLifetime time.Duration
	// IngestWait bounds how long an export waits for ingest; 0 means 10 minutes.
	IngestWait time.Duration
	// RetryFor bounds how long a failing step is tried again; 0 means 15 minutes.
	RetryFor time.Duration
	// Steady takes chance out of the pauses between retries, and decides one message at a
	// time, so that a run can be repeated.
	Steady     bool
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Worker handles messages of cdds.export.requests and carries out exports.
type Worker struct {
	Options
	slots   *slots
	metrics *metrics
	watches map[schemas.Topic]*watch

	mu     sync.Mutex // held for moments only
	owners map[int32]*owner
	queue  queue
	// undecided is since when records could not be decided, by position.
	undecided map[pipeline.Origin]*undecided
	// admitting has a turn for each tenant with a quota.
	admitting map[string]*admission
}

type exportKey struct{ tenantID, exportID string }

// New returns a Worker. It starts nothing.
func New(o Options) *Worker {
	if o.Slots <= 0 {
		o.Slots = runtime.GOMAXPROCS(0)
	}
	if o.DecisionLifetime == 0 {
		o.DecisionLifetime = 400 * day
	}
	if o.IngestWait == 0 {
		o.IngestWait = 10 * time.Minute
	}
	if o.RetryFor == 0 {
		o.RetryFor = 15 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &Worker{
		Options:   o,
		slots:     newSlots(o.Slots, o.TenantSlots),
		metrics:   newMetrics(o.Registerer),
		watches:   map[schemas.Topic]*watch{},
		owners:    map[int32]*owner{},
		queue:     newQueue(max(minInHand, 4*o.Slots)),
		undecided: map[pipeline.Origin]*undecided{},
		admitting: map[string]*admission{},
	}
	for _, topic := range schemas.SourceTopics() {
		w.watches[topic] = newWatch(topic)
	}
	w.metrics.watch(o.Registerer, w)
	return w
}

// Run watches how far ingest is for the exports that wait for it, and says what exports
// wait for, until ctx ends; it then returns nil.
func (w *Worker) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, watched := range w.watches {
		group.Go(func() error { w.keepLooking(ctx, watched); return nil })
	}
	group.Go(func() error { w.keepTelling(ctx); return nil })
	return group.Wait()
}

// cancelled is why an export ended that an admin cancelled, who gave no reason.
const cancelled = "the export was cancelled"
