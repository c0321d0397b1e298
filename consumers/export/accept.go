package export

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"cdds/pipeline"
	"cdds/pipeline/spans"
	"cdds/schemas"
)

// atOnce is how many messages are decided at once; those about one export in their order.
const atOnce = 16

// Handle decides the messages of a batch. It returns when what was decided is recorded and
// reported, not when it is carried out. An error means that some could not be decided yet;
// handling them again decides nothing twice.
func (w *Worker) Handle(ctx context.Context, b schemas.Batch[*schemas.ExportRequest]) error {
	var order []exportKey
	of := map[exportKey][]schemas.Record[*schemas.ExportRequest]{}
	for _, r := range b.Records {
		key := exportKey{r.Event.TenantID, r.Event.ExportID}
		if of[key] == nil {
			order = append(order, key)
		}
		of[key] = append(of[key], r)
	}
	batch := newBatch(w)
	var group errgroup.Group // what cannot be decided yet does not keep the rest from being
	group.SetLimit(atOnce)
	if w.Steady {
		group.SetLimit(1)
	}
	for _, key := range order {
		group.Go(func() error {
			for _, r := range of[key] {
				ctx := w.about(spans.Continue(ctx, r.Trace), key.tenantID, key.exportID)
				if err := w.decide(ctx, batch, r); err != nil {
					w.notDecided(ctx, r, err)
					return err
				}
				w.decided(r)
			}
			return nil
		})
	}
	return group.Wait()
}

// decide decides one message.
func (w *Worker) decide(ctx context.Context, b *batch, r schemas.Record[*schemas.ExportRequest]) error {
	err := w.grant(ctx, b, r)
	var refused refusal
	if !errors.As(err, &refused) && !pipeline.IsPermanent(err) {
		return err
	}
	reason := err.Error()
	if refused.reason != "" {
		reason = refused.reason
	}
	if refused.unrecorded {
		return w.report(ctx, w.refusalStatus(r.Event, reason, ""))
	}
	if reason, err = w.Exporter.Refuse(ctx, r.Event.TenantID, r.Event.ExportID, originOf(r), reason); err != nil {
		return err
	}
	return w.refuse(ctx, r.Event, reason)
}

func originOf(r schemas.Record[*schemas.ExportRequest]) pipeline.Origin {
	return pipeline.Origin{Partition: r.Partition, Offset: r.Offset}
}

// grant does what a message asks for. A refusal, or an error that stays for ever, is why it
// does not.
func (w *Worker) grant(ctx context.Context, b *batch, r schemas.Record[*schemas.ExportRequest]) error {
	if !r.Event.Controls() && !w.isOld(r.Time) {
		return w.accept(ctx, b, r)
	}
	a, found, err := w.Exporter.Accepted(ctx, r.Event.TenantID, r.Event.ExportID)
	switch {
	case err != nil:
		return err
	case !w.isOld(r.Time):
		return w.control(ctx, b, r, a, found)
	case !found:
		return tooOld(r)
	}
	return nil // it was decided, and is read again
}

// isOld reports whether a message is so old that what was decided about it may be gone from
// the bucket.
func (w *Worker) isOld(at schemas.Time) bool {
	return !at.IsZero() && w.Now().Sub(at.Time) > w.DecisionLifetime
}

// tooOld is why a message is refused about which nothing is known any more: it may have been
// granted long ago. It is not recorded, because it stays so.
func tooOld(r schemas.Record[*schemas.ExportRequest]) refusal {
	return refusal{unrecorded: true, reason: fmt.Sprintf("the request is too old: it came to Kafka at %s, and what was decided then is not kept; send it again under another id", r.Time)}
}

// accept records what the export is and opens it, or finds that it was accepted before.
func (w *Worker) accept(ctx context.Context, b *batch, r schemas.Record[*schemas.ExportRequest]) (err error) {
	of := ctx
	ctx, span := spans.Start(ctx, "accept", spans.Export.String(r.Event.ExportID))
	defer func() { spans.End(span, err) }()
	defer w.admitOne(b, r.Event.TenantID)()
	taken := false
	a, err := w.Exporter.Accept(ctx, r.Event, originOf(r), func() (a pipeline.Acceptance, err error) {
		// Refused once, it stays so however often it is read.
		reason, refused, err := w.Exporter.Refused(ctx, r.Event.TenantID, r.Event.ExportID, originOf(r))
		if err != nil || refused {
			return a, cmp.Or(err, error(refusal{reason: reason}))
		}
		taken = true
		return w.take(ctx, b, r.Event)
	})
	if err != nil {
		return err
	}
	if w.isOld(a.AcceptedAt) {
		return refusal{reason: fmt.Sprintf("export id %s was used at %s; choose another id", r.Event.ExportID, a.AcceptedAt)}
	}
	o := pipeline.Open{Shard: shardOf(a, r.Partition), TenantID: r.Event.TenantID, ExportID: r.Event.ExportID, Attempt: 1}
	over := false
	if fresh := taken && a.Origin != nil && *a.Origin == originOf(r); !fresh {
		if over, err = w.isOver(ctx, o); err != nil {
			return err
		}
	}
	here, home, err := w.isHere(ctx, o.Shard, r.Partition)
	switch {
	case err != nil || over && !here:
		return err
	case !here: // sent twice, through different partitions
		return w.forward(ctx, r.Event, home)
	case !over:
		if err := w.Exporter.Open(ctx, o); err != nil {
			return err
		}
		w.open(r.Partition, w.opened(of, o, a))
	}
	return w.report(ctx, &schemas.ExportStatus{
		TenantID: r.Event.TenantID, ExportID: r.Event.ExportID, EventID: "requested", State: schemas.Requested,
		Request: withoutCertificates(a.Request), RequestDigest: a.Digest, Snapshot: a.Snapshot,
		Recipients: pipeline.CertificateRefs(parsed(a)),
	})
}

// admitOne begins the turn of a request of a tenant with a quota, until the returned function
// ends it: this worker opens what it accepts before it counts what is open for the next.
func (w *Worker) admitOne(b *batch, tenantID string) (end func()) {
	if !w.Quotas.Bounds(tenantID) || b.full(tenantID) != nil {
		return func() {}
	}
	w.mu.Lock()
	a, ok := w.admitting[tenantID]
	if !ok {
		a = &admission{turn: newTurn()}
		w.admitting[tenantID] = a
	}
	a.waiting++
	w.mu.Unlock()
	a.turn.lock()
	return func() {
		a.turn.unlock()
		w.mu.Lock()
		defer w.mu.Unlock()
		if a.waiting--; a.waiting == 0 { // tenants are what producers say: there is no end of them
			delete(w.admitting, tenantID)
		}
	}
}

// admission is the turn of a tenant's requests, and how many wait for it or have it.
type admission struct {
	turn    turn
	waiting int
}

// opened is an export that was opened just now.
func (w *Worker) opened(ctx context.Context, o pipeline.Open, a pipeline.Acceptance) *open {
	topic, _ := schemas.SourceOf(a.Request.Entity)
	e := &open{Open: o, since: w.Now(), topic: topic, snapshot: a.Snapshot}
	if span := trace.SpanFromContext(ctx); span.SpanContext().IsValid() {
		e.span = span
	}
	return e
}

// isOver reports whether an attempt needs nothing any more: the export ended, or the attempt
// was given up. Whoever decided that reports it.
func (w *Worker) isOver(ctx context.Context, o pipeline.Open) (bool, error) {
	state, err := w.Exporter.Ended(ctx, o.TenantID, o.ExportID)
	if err != nil || state != "" {
		return state != "", err
	}
	failed, err := w.Exporter.Failed(ctx, o.TenantID, o.ExportID, o.Attempt)
	return failed != nil, err
}

// take is what an export is accepted with, if it is.
func (w *Worker) take(ctx context.Context, b *batch, r *schemas.ExportRequest) (a pipeline.Acceptance, err error) {
	if err := r.Validate(); err != nil {
		return a, refusal{reason: err.Error()}
	}
	if _, err := w.lifetime(r); err != nil {
		return a, err
	}
	if a.Certificates, err = w.resolve(ctx, r); err != nil {
		return a, err
	}
	if a.PolicyKeyID, err = w.Exporter.PolicyKeyID(r); err != nil {
		return a, refusal{reason: "field_policy: " + err.Error()}
	}
	if err := b.admit(ctx, r.TenantID, instead(r)); err != nil {
		return a, err
	}
	topic, _ := schemas.SourceOf(r.Entity) // Validate knows the entity
	taken, err := b.snapshot(ctx, topic)
	if err != nil {
		return a, err
	}
	a.Snapshot, a.Epochs = taken.snapshot, taken.epochs
	if r.Snapshot != nil {
		if err := checkSnapshot(r.Snapshot, a.Snapshot); err != nil {
			return a, err
		}
		a.Snapshot, a.Epochs = r.Snapshot, nil
	}
	a.Since, err = w.since(ctx, r, a.Snapshot)
	return a, err
}

// batch is what the decisions of one batch share: a snapshot that was taken after the last
// message was published is one for all of them.
type batch struct {
	w     *Worker
	mu    turn
	taken map[schemas.Topic]sealed
	over  sync.Map // of tenants whose quota is used up: *pipeline.QuotaError
}

// admit is a refusal if the tenant may not have another open export, beside one that it takes the
// place of. Of a tenant whose quota was found used up nothing is counted again: however many
// requests it sends at once, those of others do not wait for that.
func (b *batch) admit(ctx context.Context, tenantID, instead string) error {
	over := b.full(tenantID)
	if over != nil && (instead == "" || over.Open > over.Exports) {
		if bound, _ := over.Exceeded(); b.w.Quotas.Refused != nil {
			b.w.Quotas.Refused(tenantID, bound)
		}
		return refusal{reason: over.Reason}
	}
	err := b.w.Quotas.AdmitOpen(ctx, tenantID, instead)
	if errors.As(err, &over) {
		b.over.Store(tenantID, over)
		return refusal{reason: over.Reason}
	}
	return err
}

// instead is the export that a request takes the place of, or "".
func instead(r *schemas.ExportRequest) string {
	if r.Supersedes != "" && r.ExportID == r.Supersedes+successor {
		return r.Supersedes
	}
	return ""
}

// full is how the quota of a tenant was found used up, or nil.
func (b *batch) full(tenantID string) *pipeline.QuotaError {
	over, _ := b.over.Load(tenantID)
	full, _ := over.(*pipeline.QuotaError)
	return full
}

// sealed is a snapshot, and the leader epochs it was taken under.
type sealed struct {
	snapshot schemas.Snapshot
	epochs   []int32
}

func newBatch(w *Worker) *batch {
	return &batch{w: w, mu: newTurn(), taken: map[schemas.Topic]sealed{}}
}

func (b *batch) snapshot(ctx context.Context, topic schemas.Topic) (s sealed, err error) {
	b.mu.lock()
	defer b.mu.unlock()
	if s, ok := b.taken[topic]; ok {
		return s, nil
	}
	if s.snapshot, s.epochs, err = b.w.Log.Seal(ctx, topic); err != nil {
		return s, err
	}
	b.taken[topic] = s
	return s, nil
}

// since is the snapshot of the export that the request continues, nil if it
// continues none.
func (w *Worker) since(ctx context.Context, r *schemas.ExportRequest, snapshot schemas.Snapshot) (schemas.Snapshot, error) {
	if r.SinceExport == "" {
		return nil, nil
	}
	refuse := func(format string, args ...any) error {
		return refusal{reason: fmt.Sprintf("since_export: "+format, args...)}
	}
	earlier, found, err := w.Exporter.Accepted(ctx, r.TenantID, r.SinceExport)
	if err != nil {
		return nil, err
	}
	state, err := w.Exporter.Ended(ctx, r.TenantID, r.SinceExport)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, refuse("tenant %s has no export %s", r.TenantID, r.SinceExport)
	case state != schemas.Completed:
		return nil, refuse("export %s was not completed; name one that was", r.SinceExport)
	case earlier.Request != nil && earlier.Request.Entity != r.Entity:
		return nil, refuse("export %s is of entity %s", r.SinceExport, earlier.Request.Entity)
	}
	plan, planned, err := w.Exporter.Planned(ctx, r.TenantID, r.SinceExport)
	if err != nil {
		return nil, err
	}
	was := earlier.Snapshot
	if planned {
		was = plan.Snapshot
	}
	if p, past := snapshot.Past(was); past {
		return nil, refuse("export %s reaches past the snapshot in partition %d; name an earlier one", r.SinceExport, p)
	}
	return was, nil
}

// checkSnapshot refuses a snapshot that lies in the future.
func checkSnapshot(asked, end schemas.Snapshot) error {
	if p, past := end.Past(asked); past {
		return refusal{reason: fmt.Sprintf("snapshot: partition %d has no offset %d yet; use the snapshot of an earlier export", p, asked[p])}
	}
	return nil
}

// undecided is a message that cannot be decided yet.
type undecided struct{ since, toldAt time.Time }

// How long a message must be undecided to be reported so, how often that is repeated, and how
// many messages it is done for.
const (
	undecidedAfter = 2 * time.Second
	undecidedEvery = 30 * time.Second
	maxUndecided   = 1000
)

// notDecided reports that a message waits for the services that decisions need.
func (w *Worker) notDecided(ctx context.Context, r schemas.Record[*schemas.ExportRequest], err error) {
	now := w.Now()
	w.mu.Lock()
	u := w.undecided[originOf(r)]
	if u == nil && len(w.undecided) < maxUndecided {
		w.undecided[originOf(r)] = &undecided{since: now}
	}
	tell := u != nil && now.Sub(u.since) >= undecidedAfter && now.Sub(u.toldAt) >= undecidedEvery
	if tell {
		u.toldAt = now
	}
	w.mu.Unlock()
	if tell && !r.Event.Controls() {
		w.tell(ctx, &schemas.ExportStatus{
			TenantID: r.Event.TenantID, ExportID: r.Event.ExportID, State: schemas.Requested,
			Waiting: fmt.Sprintf("waiting to be accepted; retrying: %v", err),
		})
	}
}

func (w *Worker) decided(r schemas.Record[*schemas.ExportRequest]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.undecided, originOf(r))
}
