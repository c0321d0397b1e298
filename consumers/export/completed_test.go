package export_test

import (
	"context"
	"slices"
	"testing"

	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// publishing publishes to a scene until before objects.
type publishing struct {
	*scene
	before func(events []schemas.Event) error
}

func (p publishing) Publish(ctx context.Context, events ...schemas.Event) error {
	if err := p.before(events); err != nil {
		return err
	}
	return p.scene.Publish(ctx, events...)
}

func TestTheManyPartsOfACompletedExportAreReportedTogetherWhenItsWorkerDied(t *testing.T) {
	s := newScene(pipelinetest.Records(3000)...)
	r := request("e")
	r.SplitSize = 64 << 10
	ctx, die := context.WithCancel(t.Context())
	first := s.worker(nil, nil)
	first.Publisher = publishing{s, func(events []schemas.Event) error {
		if slices.ContainsFunc(events, func(e schemas.Event) bool {
			is, ok := e.(*schemas.ExportStatus)
			return ok && is.State == schemas.Completed
		}) {
			die()
			return context.Canceled
		}
		return nil
	}}
	_ = s.handle(ctx, first, r)
	e := schemas.Fold(s.statuses("e")...)
	parts := e.Done.Parts
	if e.State != schemas.Running || parts < 10 {
		t.Fatalf("the export is %s with %d parts when its worker dies", e.State, parts)
	}
	s.told = nil // Kafka lost it, too
	published := 0
	second := s.worker(nil, nil)
	second.Publisher = publishing{s, func([]schemas.Event) error { published++; return nil }}
	check(t, s.handle(t.Context(), second, r))
	if e = schemas.Fold(s.statuses("e")...); e.State != schemas.Completed || e.Done.Parts != parts || published > 6 {
		t.Errorf("it is %s with %d of %d parts, reported in %d messages", e.State, e.Done.Parts, parts, published)
	}
}
