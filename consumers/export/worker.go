// Package export runs exports: it accepts requests, waits until ingest has stored
// what was produced before them, and drives package pipeline part by part,
// reporting each step as a status event.
//
// Handling a request again, here or on another worker, continues where the store
// says it stands and reports the same facts under the same event ids. A request
// that cannot be granted becomes a refused status, an export that was given up a
// failed one; neither is an error of Handle. Handle returns an error only when the
// request must be handled again.
package export

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/pipeline"
	"cdds/pipeline/spans"
	"cdds/schemas"
)

// SourceLog tells how far the topics with rows have come, in positions.
type SourceLog interface {
	// Seal takes the snapshot that holds every record that readers can see by now, and records
	// that it was taken.
	Seal(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error)
	// Ingested is, per partition, the first position not yet stored or dead-lettered.
	Ingested(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error)
	// Used returns the positions below a snapshot that records had.
	Used(ctx context.Context, topic schemas.Topic, to schemas.Snapshot) ([]schemas.Run, error)
	// Gone returns what of runs Kafka does not have any more.
	Gone(ctx context.Context, topic schemas.Topic, runs []schemas.Run) ([]schemas.Run, error)
}

// Requests reads the topic of requests back.
type Requests interface {
	// Earlier is the last message of a partition before a position that asks for this
	// export; nil if there is none.
	Earlier(ctx context.Context, partition int32, before int64, tenantID, exportID string) (*schemas.ExportRequest, error)
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
	// admins why there is none.
	Recipient(tenantID, fingerprint string) (schemas.Certificate, error)
	// Certificate is the registered one itself, also when it was removed or replaced.
	Certificate(tenantID, fingerprint string) (schemas.Certificate, bool)
}

// Options of a Worker.
type Options struct {
	Exporter  *pipeline.Exporter
	Log       SourceLog
	Requests  Requests
	Ledger    Ledger
	Publisher Publisher
	Tenants   Tenants
	// HistoryFrom is before when rows of a tenant are kept no longer, the zero time if all
	// are. Nil: all are.
	HistoryFrom func(ctx context.Context, tenantID, entity string) (schemas.Time, error)
	// Certificates may be nil; then none is registered.
	Certificates Certificates
	// Name is told in status events, such as host and process id.
	Name string
	// Slots is how many parts are exported at once; 0 means one per CPU.
	Slots int
	// TenantSlots bounds how many of them are one tenant's; 0 means Slots.
	TenantSlots int
	// InlineCertificates allows a request to bring its recipients' certificates. Off,
	// write access to the topic is not access to anybody's data.
	InlineCertificates bool
	// IngestWait bounds how long an export waits for ingest; 0 means 10 minutes.
	IngestWait time.Duration
	// RetryFor bounds how long a failing step is tried again; 0 means 15 minutes.
	RetryFor time.Duration
	// Steady takes chance out of the pauses between retries, so that a run can be repeated.
	Steady     bool
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Worker handles messages of cdds.export.requests.
type Worker struct {
	Options
	slots   *slots
	metrics *metrics

	mu      sync.Mutex
	running map[exportKey]*run
	turns   turns
}

type exportKey struct{ tenantID, exportID string }

// run is an export this worker has in hand.
type run struct {
	digest string
	since  time.Time
	stop   context.CancelCauseFunc
	done   chan struct{}
}

// New returns a Worker. It starts nothing.
func New(o Options) *Worker {
	if o.Slots <= 0 {
		o.Slots = runtime.GOMAXPROCS(0)
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
		Options: o,
		slots:   newSlots(o.Slots, o.TenantSlots),
		metrics: newMetrics(o.Registerer),
		running: map[exportKey]*run{},
		turns:   newTurns(),
	}
	w.metrics.watchOldest(o.Registerer, w.oldest)
	watchWaiting(o.Registerer, w.slots.length)
	return w
}

// Handle carries out the requests of a batch. It returns when they are done, which
// for an export can be hours, or with ctx's error when ctx ends.
func (w *Worker) Handle(ctx context.Context, b schemas.Batch[*schemas.ExportRequest]) error {
	for _, r := range b.Records {
		ctx := w.about(ctx, r.Event.TenantID, r.Event.ExportID)
		turn, err := w.await(ctx, r)
		if err != nil {
			return err
		}
		if err := w.auditControl(ctx, r.Event); err != nil {
			return err
		}
		switch r.Event.Action {
		case schemas.ActionCancel:
			err = w.cancel(ctx, r.Event)
		case schemas.ActionDelete:
			err = w.delete(ctx, r.Event)
		case schemas.ActionRetry:
			err = w.again(ctx, r, turn.decide)
		default:
			err = w.carryOut(ctx, r.Event, 1, turn.decide)
		}
		if err != nil {
			return err
		}
		w.done(r, turn)
	}
	return nil
}

// errCancelled is the cause of a run's context when the export is to be left, because
// an admin cancelled or deleted it.
var errCancelled = errors.New("the export was cancelled")

// carryOut runs an attempt at the export a request asks for. It calls decided as
// soon as it stands what becomes of the request.
func (w *Worker) carryOut(ctx context.Context, r *schemas.ExportRequest, attempt int, decided func()) (err error) {
	ctx, span := spans.Start(ctx, "export", spans.Export.String(r.ExportID), spans.Attempt.Int(attempt), spans.Entity.String(r.Entity))
	defer func() { spans.End(span, err) }()
	runCtx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	this, another := w.begin(r, stop)
	if another {
		if this == nil { // sent twice: the first is in hand
			return nil
		}
		if err := r.Validate(); err != nil && r.JobID == "" {
			return w.refuse(ctx, r, err.Error())
		}
		return w.refuse(ctx, r, pipeline.ErrConflict.Error())
	}
	defer w.end(r, this)

	err = w.export(runCtx, r, attempt, decided)
	if errors.Is(context.Cause(runCtx), errCancelled) || errors.Is(err, pipeline.ErrGone) {
		return w.leave(ctx, r.TenantID, r.ExportID, r.JobID)
	}
	return err
}

// begin registers the run unless the export is in hand already. Then it returns
// true, with a run if the one in hand is of another request.
func (w *Worker) begin(r *schemas.ExportRequest, stop context.CancelCauseFunc) (this *run, another bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := exportKey{r.TenantID, r.ExportID}
	digest := r.Digest()
	if old, ok := w.running[key]; ok {
		if old.digest == digest {
			return nil, true
		}
		return old, true
	}
	this = &run{digest: digest, since: w.Now(), stop: stop, done: make(chan struct{})}
	w.running[key] = this
	w.metrics.active.Set(float64(len(w.running)))
	w.metrics.begin(r.TenantID)
	return this, false
}

// oldest is how long the oldest export in hand has been there.
func (w *Worker) oldest() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var oldest time.Duration
	for _, r := range w.running {
		oldest = max(oldest, w.Now().Sub(r.since))
	}
	return oldest
}

func (w *Worker) end(r *schemas.ExportRequest, this *run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running, exportKey{r.TenantID, r.ExportID})
	w.metrics.active.Set(float64(len(w.running)))
	close(this.done)
}

// inHand is the run of an export on this worker, or nil.
func (w *Worker) inHand(tenantID, exportID string) *run {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running[exportKey{tenantID, exportID}]
}

// ended waits until the run has ended.
func (r *run) ended(ctx context.Context) error {
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refuse reports that a request was not granted.
func (w *Worker) refuse(ctx context.Context, r *schemas.ExportRequest, reason string) error {
	digest := r.Digest()
	w.metrics.end(r.TenantID, schemas.Refused)
	jobID := r.JobID
	if reason == pipeline.ErrConflict.Error() {
		jobID = "" // the export of this id, whose job may be told, goes on
	}
	return w.report(ctx, &schemas.ExportStatus{
		TenantID: r.TenantID, ExportID: r.ExportID, EventID: refusalOf(r), State: schemas.Refused,
		Request: withoutCertificates(r), RequestDigest: digest, Reason: reason, JobID: jobID,
	})
}

// refusalOf names the refusal of a request. Asking for something to be done with an
// export again has the same digest, and yet is to be answered again: whoever asked
// waits for it.
func refusalOf(r *schemas.ExportRequest) string {
	id := "refused/" + r.Digest()[:16]
	if r.Controls() && !r.RequestedAt.IsZero() {
		id += "/" + r.RequestedAt.String()
	}
	return id
}

// report publishes a status event, trying until ctx ends: an export never goes on
// with its history behind it unknown.
func (w *Worker) report(ctx context.Context, s *schemas.ExportStatus) error {
	s.Time, s.Worker = schemas.TimeOf(w.Now()), w.Name
	if log := w.log(ctx).With("event", s.EventID); s.Failure != nil {
		log.WarnContext(ctx, "export failed", "stage", s.Failure.Stage, "part", s.Failure.Part, "reason", s.Failure.Reason)
	} else {
		log.InfoContext(ctx, "export "+string(s.State), "reason", s.Reason)
	}
	return w.retry(ctx, "report", func() error { return w.Publisher.Publish(ctx, schemas.Audited(s)...) })
}

// maxTold bounds, in bytes, the request that a status repeats.
const maxTold = 64 << 10

// withoutCertificates is the request as admins read it: recipients are told apart
// from it, by reference.
func withoutCertificates(r *schemas.ExportRequest) *schemas.ExportRequest {
	told := *r
	told.Recipients = nil
	if b, err := schemas.Encode(&told); err != nil || len(b) > maxTold {
		return nil // a message can be larger than a status about it may be
	}
	return &told
}
