package retention

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cdds/schemas"
)

// Rows are the history of tenants; *warehouse.Warehouse is one.
type Rows interface {
	// TenantsBefore lists the tenants that have rows of an entity from before a time.
	TenantsBefore(ctx context.Context, entity string, before time.Time) ([]string, error)
	// Age removes rows of a tenant from before a time and returns how many. It is safe to
	// repeat.
	Age(ctx context.Context, tenantID, entity string, before, now time.Time) (int64, error)
	// EarliestHeld is the time of the first row from before a time that a hold keeps.
	EarliestHeld(ctx context.Context, tenantID, entity string, holds schemas.Holds, before time.Time) (time.Time, bool, error)
}

// Holds knows what may not be removed; *definitions.Definitions does.
type Holds interface {
	// Held returns the active holds of a tenant as of now.
	Held(ctx context.Context, tenantID string) (schemas.Holds, error)
}

// AgeingOptions of an Ageing; all are required but Clock, Registerer and Now.
type AgeingOptions struct {
	Rows Rows
	// Keep is how long rows of a tenant are kept; 0 keeps them for ever. Least is the
	// shortest of all tenants', 0 if none exists.
	Keep  func(tenantID, entity string) time.Duration
	Least func(entity string) time.Duration
	Holds Holds
	// Every is the pause between passes.
	Every time.Duration
	// Publisher puts what was removed on record.
	Publisher  Publisher
	Name       string
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	// Clock is that of the database with the rows. Nothing is removed while ours differs from
	// it by more than maxSkew: rows that go by a clock that jumped are gone for good. Nil: ours
	// is right.
	Clock func(ctx context.Context) (time.Time, error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// maxSkew is how far the clock of the database may be from ours.
const maxSkew = 15 * time.Minute

// AgeingGrace is how much longer than the policy says rows are kept. An export that is
// accepted leaves out what is older than the policy, so that nothing is removed under it
// for so long.
const AgeingGrace = 24 * time.Hour

// Ageing removes rows that were kept as long as the policy says. With Registerer it has
//
//	cdds_history_aged_rows_total{entity}  rows removed because they were kept as long as the policy says
//	cdds_history_ageing_failures_total    passes that failed; the next one goes on
type Ageing struct {
	AgeingOptions
	rows     *prometheus.CounterVec
	failures prometheus.Counter
}

// NewAgeing returns an Ageing. It starts nothing.
func NewAgeing(o AgeingOptions) *Ageing {
	if o.Now == nil {
		o.Now = time.Now
	}
	f := promauto.With(o.Registerer)
	return &Ageing{
		AgeingOptions: o,
		rows: f.NewCounterVec(prometheus.CounterOpts{
			Name: "cdds_history_aged_rows_total", Help: "Rows removed because they were kept as long as the policy says."}, []string{"entity"}),
		failures: f.NewCounter(prometheus.CounterOpts{
			Name: "cdds_history_ageing_failures_total", Help: "Passes of ageing that failed; the next one goes on."}),
	}
}

// Run makes a pass at once and then at intervals, until ctx ends; it then returns nil.
func (a *Ageing) Run(ctx context.Context) error {
	for {
		if err := a.Pass(ctx); err != nil && ctx.Err() == nil {
			a.failures.Inc()
			a.Logger.Error("history did not age; the next pass goes on", "error", err)
		}
		select {
		case <-time.After(a.Every):
		case <-ctx.Done():
			return nil
		}
	}
}

// Pass removes what is due now.
func (a *Ageing) Pass(ctx context.Context) error {
	now := a.Now()
	for _, topic := range schemas.SourceTopics() {
		entity := schemas.EntityOf(topic)
		least := a.Least(entity)
		if least == 0 {
			continue
		}
		if err := a.checkClock(ctx, now); err != nil {
			return err
		}
		tenants, err := a.Rows.TenantsBefore(ctx, entity, now.Add(-least-AgeingGrace))
		if err != nil {
			return err
		}
		for _, tenant := range tenants {
			if err := a.age(ctx, tenant, entity, now); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Ageing) checkClock(ctx context.Context, now time.Time) error {
	if a.Clock == nil {
		return nil
	}
	theirs, err := a.Clock(ctx)
	if err != nil {
		return err
	}
	if skew := now.Sub(theirs); skew.Abs() > maxSkew {
		return fmt.Errorf("no history is removed: our clock is %s from ClickHouse's; synchronise both with NTP", skew.Round(time.Second))
	}
	return nil
}

func (a *Ageing) age(ctx context.Context, tenantID, entity string, now time.Time) error {
	keep := a.Keep(tenantID, entity)
	if keep == 0 {
		return nil
	}
	before := schemas.TimeOf(now.Add(-keep - AgeingGrace))
	holds, err := a.Holds.Held(ctx, tenantID)
	if err != nil {
		return err
	}
	// What aged out ends at one instant, so that exports and chains know what is gone: nothing
	// past the first row that is held goes.
	first, held, err := a.Rows.EarliestHeld(ctx, tenantID, entity, holds, before.Time)
	if err != nil {
		return err
	}
	if held {
		a.Logger.Info("a hold keeps history from ageing", "tenant", tenantID, "entity", entity, "kept_from", schemas.TimeOf(first))
		before = schemas.TimeOf(first)
	}
	rows, err := a.Rows.Age(ctx, tenantID, entity, before.Time, now)
	if err != nil || rows == 0 {
		return err
	}
	a.rows.WithLabelValues(entity).Add(float64(rows))
	a.Logger.Info("history aged out", "tenant", tenantID, "entity", entity, "before", before, "rows", rows)
	return a.Publisher.Publish(ctx, &schemas.AuditRecord{
		AuditID: fmt.Sprintf("aged/%s/%s/%s", tenantID, entity, before), Time: schemas.TimeOf(now), TenantID: tenantID, Actor: a.Name, From: a.Name,
		Action: "history.age_out", Subject: entity, Outcome: schemas.OutcomeDone,
		Detail: fmt.Sprintf("%s from before %s", schemas.Counted(rows, "version"), before),
	})
}
