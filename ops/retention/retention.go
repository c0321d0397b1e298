// Package retention removes artifacts whose time is over and keeps bucket and history
// in agreement. It removes first and reports afterwards, under event ids that depend on
// the fact alone: a process that dies between the two repeats both without effect,
// and so may several processes at once.
//
// It deletes nothing on a guess. Events can be forged and history can be lost or
// restored, so history only says where to look: what may go is what the bucket's own
// documents say, the manifest above all. See Keeper.Sweep.
//
// # Metrics
//
//	cdds_retention_expired_total           exports whose artifacts were removed because their time was over
//	cdds_retention_orphans_total           objects removed because neither history nor the bucket knows their export
//	cdds_retention_leftovers_total         exports that had ended and still had objects, which were removed
//	cdds_retention_lost_total              completed exports that objects were missing of
//	cdds_retention_history_behind_events   status events that Kafka has and history lacks; nothing is removed until it is 0
//	cdds_retention_disagreements{kind}     exports about which bucket and history disagree after the last sweep, by kind: orphan, lost, leftover, ended, unproven
//	cdds_retention_stopped_exports         exports that an operator must confirm before the sweep goes on; 0 if it is not stopped
//	cdds_retention_failures_total{pass}    passes that failed, by pass: expire, sweep; the next one tries again
//	cdds_retention_last_success_timestamp_seconds{pass}  when the last pass that worked ended, in Unix time
//	cdds_artifacts_exports                 exports whose artifacts are kept, as of the last pass
//	cdds_artifacts_bytes                   their sealed bytes
//	cdds_artifacts_overdue_exports         those of them whose time is over
//	cdds_artifacts_next_expiry_timestamp_seconds  when the next of them are to go, in Unix time; 0 where there are none
//	cdds_tenant_artifacts_exports{tenant}  exports kept, of the tenants that keep most bytes, the rest as ~other
//	cdds_tenant_artifacts_bytes{tenant}    their sealed bytes
package retention

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// History is what is known about exports; *ledger.Ledger is one.
type History interface {
	// ExportsIn pages through exports in these states by tenant and id.
	ExportsIn(ctx context.Context, states []schemas.State, afterTenant, afterExport string, limit int) ([]schemas.Export, error)
	// States returns where some exports stand, by tenant and id; those that are unknown are
	// not in it.
	States(ctx context.Context, exports [][2]string) (map[[2]string]schemas.State, error)
	// Export returns one export without its parts, false if it is unknown.
	Export(ctx context.Context, tenantID, exportID string) (schemas.Export, bool, error)
	// EachPart calls each with every stored part of some exports.
	EachPart(ctx context.Context, exports [][2]string, each func(export [2]string, r schemas.Receipt) error) error
}

// Account says what became of positions; *warehouse.Warehouse does.
type Account interface {
	// Missing is how many of these positions of the status topic are not accounted for.
	Missing(ctx context.Context, topic schemas.Topic, runs []schemas.Run) (int64, error)
}

// Objects are what is stored; *bucket.Bucket is one.
type Objects interface {
	Folders(ctx context.Context, prefix string) iter.Seq2[string, error]
	List(ctx context.Context, prefix string) ([]bucket.Object, error)
	// Remains is List with the keys of which only older versions are left.
	Remains(ctx context.Context, prefix string) ([]bucket.Object, error)
	// PutBytes is bucket.ErrExists if the key is taken, GetBytes bucket.ErrNotFound if it
	// has no object.
	PutBytes(ctx context.Context, key string, content []byte, contentType string) error
	GetBytes(ctx context.Context, key string, limit int64) ([]byte, error)
	Remove(ctx context.Context, key string) error
	// RemoveAll is Remove of many objects, in any order. After an error some may be gone.
	RemoveAll(ctx context.Context, keys []string) error
}

// Artifacts removes those of an export; *pipeline.Exporter does.
type Artifacts interface {
	// Standing is what the bucket itself says of an export.
	Standing(ctx context.Context, tenantID, exportID string) (pipeline.Standing, error)
	// GivenUp reports whether the last attempt at an export failed.
	GivenUp(ctx context.Context, tenantID, exportID string) (bool, error)
	// End records how the export ended, unless that stands already: a failed one that
	// is expired cannot be retried.
	End(ctx context.Context, tenantID, exportID string, state schemas.State) (schemas.State, error)
	// MarkCancelled keeps the export from being made again when its request is.
	MarkCancelled(ctx context.Context, tenantID, exportID string) error
	// Discard removes the artifacts, the manifest first. It is safe to repeat, and a
	// *pipeline.KeptError if a lock of the store keeps some.
	Discard(ctx context.Context, tenantID, exportID string) error
	// Receipts gives each the parts that the stored manifest lists, one after the other.
	Receipts(ctx context.Context, tenantID, exportID string, each func(schemas.Receipt) error) error
}

// Publisher reports what was done. It returns once events are acknowledged.
type Publisher interface {
	Publish(ctx context.Context, events ...schemas.Event) error
}

// Options of a Keeper.
type Options struct {
	History   History
	Account   Account
	Log       Log
	Objects   Objects
	Artifacts Artifacts
	Publisher Publisher
	Holds     Holds
	// Lifetime is how long a tenant's artifacts live where no manifest says: those of
	// failed exports.
	Lifetime func(tenantID string) time.Duration
	// Every and SweepEvery are the pauses between passes of the two kinds.
	Every, SweepEvery time.Duration
	// Grace is how old a disagreement must be to count, and how long it must stand from
	// then on to be settled.
	Grace time.Duration
	// Name identifies this process in events, such as host and process id.
	Name       string
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Keeper is the retention role.
type Keeper struct {
	Options
	expired, orphans, leftovers, lost prometheus.Counter
	failures                          *prometheus.CounterVec
	last                              *prometheus.GaugeVec
	kept, keptBytes, overdue, next    prometheus.Gauge
	historyBehind, stoppedExports     prometheus.Gauge
	disagreements                     *prometheus.GaugeVec
	tenants                           *tenants
	seen                              sightings
}

// New returns a Keeper. It starts nothing.
func New(o Options) *Keeper {
	if o.Now == nil {
		o.Now = time.Now
	}
	f := promauto.With(o.Registerer)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "cdds_retention_" + name, Help: help})
	}
	byTenant := newTenants()
	if o.Registerer != nil {
		o.Registerer.MustRegister(byTenant)
	}
	return &Keeper{
		tenants:   byTenant,
		seen:      sightings{},
		Options:   o,
		expired:   counter("expired_total", "Exports whose artifacts were removed because their time was over."),
		orphans:   counter("orphans_total", "Objects removed because neither history nor the bucket knows their export."),
		leftovers: counter("leftovers_total", "Exports that had ended and still had objects, which were removed."),
		lost:      counter("lost_total", "Completed exports that objects were missing of."),
		failures: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cdds_retention_failures_total", Help: "Passes that failed, by pass."}, []string{"pass"}),
		last: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "cdds_retention_last_success_timestamp_seconds", Help: "When the last pass that worked ended, in Unix time, by pass."}, []string{"pass"}),
		historyBehind: f.NewGauge(prometheus.GaugeOpts{
			Name: "cdds_retention_history_behind_events", Help: "Status events that Kafka has and history lacks; nothing is removed until it is 0."}),
		disagreements: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "cdds_retention_disagreements", Help: "Exports about which bucket and history disagree after the last sweep, by kind."}, []string{"kind"}),
		stoppedExports: f.NewGauge(prometheus.GaugeOpts{
			Name: "cdds_retention_stopped_exports", Help: "Exports that an operator must confirm before the sweep goes on; 0 if it is not stopped."}),
		kept: f.NewGauge(prometheus.GaugeOpts{
			Name: "cdds_artifacts_exports", Help: "Exports whose artifacts are kept, as of the last pass."}),
		keptBytes: f.NewGauge(prometheus.GaugeOpts{
			Name: "cdds_artifacts_bytes", Help: "Sealed bytes of the artifacts that are kept, as of the last pass."}),
		overdue: f.NewGauge(prometheus.GaugeOpts{
			Name: "cdds_artifacts_overdue_exports", Help: "Exports whose artifacts should be gone and are not, after the last pass."}),
		next: f.NewGauge(prometheus.GaugeOpts{
			Name: "cdds_artifacts_next_expiry_timestamp_seconds", Help: "When the next artifacts are to go, in Unix time, as of the last pass; 0 where none are kept."}),
	}
}

// Run makes both kinds of passes, at once and then at their intervals, until ctx
// ends; it then returns nil. A pass that fails is logged, counted and made again at
// the next interval.
func (k *Keeper) Run(ctx context.Context) error {
	expire, sweep := time.NewTicker(k.Every), time.NewTicker(k.SweepEvery)
	defer expire.Stop()
	defer sweep.Stop()
	k.pass(ctx, "expire", k.Expire)
	k.pass(ctx, "sweep", k.Sweep)
	for {
		select {
		case <-expire.C:
			k.pass(ctx, "expire", k.Expire)
		case <-sweep.C:
			k.pass(ctx, "sweep", k.Sweep)
		case <-ctx.Done():
			return nil
		}
	}
}

func (k *Keeper) pass(ctx context.Context, name string, do func(context.Context) (Report, error)) {
	report, err := do(ctx)
	if report != (Report{}) {
		k.Logger.Info("retention "+name, "expired", report.Expired, "orphans", report.Orphans, "leftovers", report.Leftovers, "ended", report.Ended, "lost", report.Lost)
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		k.failures.WithLabelValues(name).Inc()
		k.Logger.Error("retention "+name+" did not finish; the next pass goes on", "error", err)
	default:
		k.last.WithLabelValues(name).SetToCurrentTime()
	}
}

// Report says what a pass did.
type Report struct {
	// Expired exports were removed because their time was over.
	Expired int
	// Orphans are objects removed because neither history nor the bucket knows their export.
	Orphans int
	// Leftovers are exports that had ended and still had objects, now removed.
	Leftovers int
	// Ended are exports that had ended, which history had missed.
	Ended int
	// Lost are completed exports that objects were missing of.
	Lost int
	// Stopped is how many exports wait for an operator's word.
	Stopped int
}

// pageSize is how many exports are held at once.
const pageSize = 200

// Expire removes the artifacts of every export whose time is over, by history and by the
// bucket, and says so. What fails does not keep the rest from being done; the error
// joins all.
func (k *Keeper) Expire(ctx context.Context) (Report, error) {
	var report Report
	if err := k.awaitHistory(ctx); err != nil {
		return report, err
	}
	var kept, bytes, overdue, next float64
	tenants := map[string]holding{}
	err := k.each(ctx, []schemas.State{schemas.Completed, schemas.Failed}, func(e schemas.Export) error {
		lifetime := k.Lifetime(e.TenantID)
		if !Due(e, lifetime, k.Now()) {
			kept++
			bytes += float64(e.Done.SealedBytes)
			of := tenants[e.TenantID]
			tenants[e.TenantID] = holding{of.exports + 1, of.bytes + float64(e.Done.SealedBytes)}
			if at, ok := dueAt(e, lifetime); ok && (next == 0 || float64(at.Unix()) < next) {
				next = float64(at.Unix())
			}
			return nil
		}
		standing, err := k.Artifacts.Standing(ctx, e.TenantID, e.ExportID)
		switch {
		case err != nil:
			overdue++
			return err
		case standing.Accepted == nil && standing.Manifest == nil:
			return nil // nothing is there: if there was something, the sweep finds out
		case !standing.Cancelled && !standing.Over(k.Now(), lifetime):
			kept++ // whatever history says, the manifest promises more
			return nil
		}
		held, err := k.held(ctx, e.TenantID, e.ExportID)
		if err != nil || held {
			kept++
			return err
		}
		if err := k.remove(ctx, e, "its artifacts were kept as long as agreed"); err != nil {
			overdue++
			return err
		}
		report.Expired++
		k.expired.Inc()
		return nil
	})
	k.kept.Set(kept)
	k.keptBytes.Set(bytes)
	k.overdue.Set(overdue)
	k.next.Set(next)
	k.tenants.set(tenants)
	return report, err
}

// held reports whether a hold keeps the files of an export.
func (k *Keeper) held(ctx context.Context, tenantID, exportID string) (bool, error) {
	holds, err := k.Holds.Held(ctx, tenantID)
	if err != nil {
		return false, err
	}
	h, held := holds.OfExport(exportID)
	if held {
		k.Logger.Info("a hold keeps the files of an export", "tenant", tenantID, "export_id", exportID, "hold", h.HoldID)
	}
	return held, nil
}

// Due reports whether at now the artifacts of an export are to go: a completed one's
// at the instant its manifest names, a failed one's when lifetime has passed since it
// failed. Others hold what somebody still works on, or nothing.
func Due(e schemas.Export, lifetime time.Duration, now time.Time) bool {
	at, ok := dueAt(e, lifetime)
	return ok && !now.Before(at)
}

func dueAt(e schemas.Export, lifetime time.Duration) (time.Time, bool) {
	switch {
	case e.State == schemas.Completed && e.Completion != nil && !e.Completion.ExpiresAt.IsZero():
		return e.Completion.ExpiresAt.Time, true
	case e.State == schemas.Failed && !e.EndedAt.IsZero():
		return e.EndedAt.Add(lifetime), true
	}
	return time.Time{}, false
}

// remove takes an export's artifacts away and reports why to history and audit.
func (k *Keeper) remove(ctx context.Context, e schemas.Export, reason string) error {
	if _, err := k.Artifacts.End(ctx, e.TenantID, e.ExportID, schemas.Expired); err != nil {
		return fmt.Errorf("expire export %s of %s: %w", e.ExportID, e.TenantID, err)
	}
	// The mark first: a request that comes again finds the export ended, not unmade.
	if err := k.Artifacts.MarkCancelled(ctx, e.TenantID, e.ExportID); err != nil {
		return fmt.Errorf("expire export %s of %s: %w", e.ExportID, e.TenantID, err)
	}
	reason, err := pipeline.Discarded(reason, k.Artifacts.Discard(ctx, e.TenantID, e.ExportID))
	if err != nil {
		return fmt.Errorf("expire export %s of %s: %w", e.ExportID, e.TenantID, err)
	}
	if err := k.Publisher.Publish(ctx, k.events(e, reason)...); err != nil {
		return fmt.Errorf("report that export %s of %s is expired: %w", e.ExportID, e.TenantID, err)
	}
	return nil
}

// events report that the artifacts of an export are gone.
func (k *Keeper) events(e schemas.Export, reason string) []schemas.Event {
	return schemas.Audited(&schemas.ExportStatus{
		TenantID: e.TenantID, ExportID: e.ExportID, EventID: "expired", State: schemas.Expired,
		Time: schemas.TimeOf(k.Now()), Worker: k.Name, Reason: reason,
	})
}

// each calls do with every export in one of the states, page by page. It goes on
// after an error of do and joins them, as many as can be read.
func (k *Keeper) each(ctx context.Context, states []schemas.State, do func(schemas.Export) error) error {
	var problems problems
	tenant, id := "", ""
	for {
		page, err := k.History.ExportsIn(ctx, states, tenant, id, pageSize)
		if err != nil {
			return errors.Join(problems.err(), err)
		}
		for _, e := range page {
			problems.add(do(e))
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if len(page) < pageSize {
			return problems.err()
		}
		tenant, id = page[len(page)-1].TenantID, page[len(page)-1].ExportID
	}
}

// problems keeps the first few errors and counts the rest: a store that is down
// fails once for every export.
type problems struct {
	first []error
	more  int
}

func (p *problems) add(err error) {
	switch {
	case err == nil:
	case len(p.first) < 5:
		p.first = append(p.first, err)
	default:
		p.more++
	}
}

func (p *problems) err() error {
	if p.more > 0 {
		return errors.Join(append(p.first, fmt.Errorf("and %d more", p.more))...)
	}
	return errors.Join(p.first...)
}
