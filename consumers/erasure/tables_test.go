package erasure_test

import (
	"context"
	"slices"
	"time"

	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// rows is the twin of ClickHouse as a handler works on it: it is an erasure.Rows.
type rows struct {
	*pipelinetest.Warehouse
	s *scene
}

// Erase takes the twin's steps, one after the other.
func (r rows) Erase(ctx context.Context, e schemas.Erasure) error {
	for _, step := range r.ErasingSteps(e) {
		if err := r.s.meanwhile(step.Name); err != nil {
			return err
		}
		if err := step.Do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Impact implements erasure.Rows.
func (r rows) Impact(ctx context.Context, e schemas.Erasure) (warehouse.Impact, error) {
	if err := r.s.meanwhile(beforeLooking); err != nil {
		return warehouse.Impact{}, err
	}
	return r.Warehouse.Impact(ctx, e)
}

// EraseAgain implements erasure.Rows.
func (r rows) EraseAgain(ctx context.Context, e schemas.Erasure) (int64, error) {
	if err := r.s.meanwhile(beforeErasingAgain + e.Request.ErasureID); err != nil {
		return 0, err
	}
	return r.Warehouse.EraseAgain(ctx, e)
}

// Similar implements erasure.Rows: nothing is.
func (rows) Similar(context.Context, string, []schemas.Subject) (map[schemas.Subject][]string, error) {
	return nil, nil
}

// past is history: it is an erasure.History.
type past struct{ s *scene }

// Erasure implements erasure.History.
func (p past) Erasure(ctx context.Context, tenantID, erasureID string) (schemas.Erasure, bool, error) {
	return p.s.tables.Erasure(ctx, tenantID, erasureID)
}

// SaveErasure implements erasure.History.
func (p past) SaveErasure(ctx context.Context, e schemas.Erasure) error {
	version, err := p.s.tables.ErasureVersion(ctx, e, time.Now())
	if err != nil {
		return err
	}
	return p.s.tables.SaveErasure(ctx, e, version)
}

// ErasuresSince implements erasure.History.
func (p past) ErasuresSince(_ context.Context, t time.Time) ([]schemas.Erasure, error) {
	return p.s.tables.Erasures(func(e schemas.Erasure, saved time.Time) bool {
		return e.State == schemas.ErasureDone && !saved.Before(t)
	}), nil
}

// WaitingErasures implements erasure.History.
func (p past) WaitingErasures(context.Context) ([]schemas.Erasure, error) {
	return p.s.tables.Erasures(func(e schemas.Erasure, _ time.Time) bool { return !e.Ended() }), nil
}

// ExportsHoldingRows implements erasure.History.
func (p past) ExportsHoldingRows(_ context.Context, _ string, each func(schemas.Export) error) error {
	if err := p.s.meanwhile(beforeListing); err != nil {
		return err
	}
	for _, x := range p.s.exports {
		if err := each(x); err != nil {
			return err
		}
	}
	return nil
}

// Unfolded implements erasure.History.
func (p past) Unfolded(_ context.Context, tenantID string, _ int, each func(tenantID, exportID string) error) error {
	for _, x := range p.s.unfolded {
		return each(tenantID, x.ExportID)
	}
	return nil
}

// ExportsWithParts implements erasure.History.
func (p past) ExportsWithParts(_ context.Context, _ string, ids []string, each func(schemas.Export) error) error {
	for _, x := range p.s.exports {
		if !slices.Contains(ids, x.ExportID) {
			continue
		}
		if err := each(x); err != nil {
			return err
		}
	}
	return nil
}

// Downloads implements erasure.History: there are none.
func (past) Downloads(context.Context, string, []string) (map[string][]schemas.Download, error) {
	return nil, nil
}
