package app

import (
	"context"
	"time"

	"cdds/ops/connect"
	"cdds/ops/retention"
	"cdds/pipeline"
	"cdds/schemas"
)

func buildRetention(a *App) ([]role, error) {
	defined, err := a.defined()
	if err != nil {
		return nil, err
	}
	now, clock := a.Now, (func(context.Context) (time.Time, error))(nil)
	if now == nil {
		now, clock = time.Now, a.warehouse.Clock
	}
	c := a.Config
	keeper := retention.New(retention.Options{
		History: a.ledger, Account: a.warehouse, Log: a.offsets, Objects: a.bucket, Publisher: a.publisher, Holds: defined,
		// Removing needs nothing but the store.
		Artifacts: pipeline.New(pipeline.Options{Store: a.bucket, Now: now}),
		Lifetime:  c.Export.LifetimeOf,
		Every:     c.Retention.Every, SweepEvery: c.Retention.SweepEvery, Grace: c.Retention.Grace,
		Name: a.Name, Registerer: a.Registry, Logger: a.Logger.With("role", "retention"), Now: now,
	})
	ready := func() error { return nil } // a pass that fails shows in its metric
	seen, _, err := a.presence("retention")
	ageing := retention.NewAgeing(retention.AgeingOptions{
		Rows: a.warehouse, Keep: c.History.Keep, Least: c.History.Least, Every: c.History.AgeEvery, Publisher: a.publisher, Holds: defined, Clock: clock,
		Name: a.Name, Registerer: a.Registry, Logger: a.Logger.With("role", "retention.ageing"), Now: now,
	})
	holding := retention.NewHolding(retention.HoldingOptions{
		Holds: defined, Store: a.bucket, Every: c.Retention.Every, Registerer: a.Registry, Logger: a.Logger.With("role", "retention.holding"),
	})
	return []role{{"retention", keeper.Run, ready}, {"retention.holding", holding.Run, ready}, {"retention.ageing", ageing.Run, ready}, seen}, err
}

// historyFrom is when the rows of a tenant begin that are kept.
func (a *App) historyFrom(ctx context.Context, tenantID, entity string) (schemas.Time, error) {
	return connect.HistoryFrom(a.warehouse, a.Config.History, a.Now)(ctx, tenantID, entity)
}
