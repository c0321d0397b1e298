package history_test

import (
	"context"
	"slices"

	"cdds/schemas"
)

// store keeps events by offset, exports by id and artifacts by name, as the ClickHouse tables
// do. It fails at call number failAt, from 1.
type store struct {
	events    map[int64]*schemas.ExportStatus
	exports   map[string]schemas.Export
	artifacts map[string]artifact
	stale     bool // reads do not show what was inserted

	calls, failAt int
	// written counts the rows of exports and artifacts that were written, folds the folds, and
	// read the events whose bodies were read.
	written, folds, read int
}

type artifact struct {
	schemas.Artifact
	version int
}

func newStore() *store {
	return &store{events: make(map[int64]*schemas.ExportStatus), exports: make(map[string]schemas.Export), artifacts: make(map[string]artifact)}
}

func (s *store) call() error {
	if s.calls++; s.calls == s.failAt {
		return errDown
	}
	return nil
}

func (s *store) InsertStatus(_ context.Context, b schemas.Batch[*schemas.ExportStatus]) error {
	for _, r := range b.Records {
		s.events[r.Offset] = r.Event
	}
	return s.call()
}

func (s *store) of(tenantID, exportID string) (list []*schemas.ExportStatus) {
	for _, e := range s.events {
		if !s.stale && e.TenantID == tenantID && e.ExportID == exportID {
			list = append(list, e)
		}
	}
	return list
}

func (s *store) StatusEvents(_ context.Context, tenantID, exportID string, parts ...int) (events []*schemas.ExportStatus, others schemas.Tally, err error) {
	s.folds++
	for _, e := range schemas.Distinct(s.of(tenantID, exportID)...) {
		if e.StoresPart() && !slices.Contains(parts, e.Part.Number) {
			others.Add(max(e.Attempt, 1), e.Time, schemas.Total([]schemas.Receipt{*e.Part}))
			continue
		}
		events = append(events, e)
	}
	s.read += len(events)
	return events, others, s.call()
}

func (s *store) SaveArtifacts(_ context.Context, exports []schemas.Export) error {
	for _, e := range exports {
		for _, a := range schemas.Artifacts(e) {
			s.written++
			if s.artifacts[a.Key].version <= e.Events {
				s.artifacts[a.Key] = artifact{a, e.Events}
			}
		}
	}
	return s.call()
}

func (s *store) SaveAllArtifacts(ctx context.Context, e schemas.Export) error {
	e.Parts = schemas.Fold(s.of(e.TenantID, e.ExportID)...).Parts
	s.read += len(e.Parts)
	return s.SaveArtifacts(ctx, []schemas.Export{e})
}

func (s *store) SaveExports(ctx context.Context, exports []schemas.Export) error {
	if err := s.SaveArtifacts(ctx, exports); err != nil {
		return err
	}
	for _, e := range exports {
		s.written++
		id := e.TenantID + "/" + e.ExportID
		if e.Parts = nil; s.exports[id].Events <= e.Events {
			s.exports[id] = e
		}
	}
	return s.call()
}

func (s *store) Unfolded(_ context.Context, _ string, limit int, each func(tenantID, exportID string) error) error {
	ids := map[[2]string]bool{}
	for _, e := range s.events {
		ids[[2]string{e.TenantID, e.ExportID}] = true
	}
	for id := range ids {
		if len(schemas.Distinct(s.of(id[0], id[1])...)) > s.exports[id[0]+"/"+id[1]].Events && limit > 0 {
			limit--
			if err := each(id[0], id[1]); err != nil {
				return err
			}
		}
	}
	return s.call()
}
