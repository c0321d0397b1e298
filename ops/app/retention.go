package app

import (
	"time"

	"cdds/ops/retention"
	"cdds/pipeline"
)

func buildRetention(a *App) ([]role, error) {
	now := a.Now
	if now == nil {
		now = time.Now
	}
	c := a.Config
	keeper := retention.New(retention.Options{
		History: a.warehouse, Log: a.offsets, Objects: a.bucket, Publisher: a.publisher,
		// Removing needs nothing but the store.
		Artifacts: pipeline.New(pipeline.Options{Store: a.bucket, Now: now}),
		Lifetime:  c.Export.LifetimeOf,
		Every:     c.Retention.Every, SweepEvery: c.Retention.SweepEvery, Grace: c.Retention.Grace,
		Name: a.Name, Registerer: a.Registry, Logger: a.Logger.With("role", "retention"), Now: now,
	})
	ready := func() error { return nil } // a pass that fails shows in its metric
	seen, err := a.presence("retention")
	return []role{{"retention", keeper.Run, ready}, seen}, err
}
