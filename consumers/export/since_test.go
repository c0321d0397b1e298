package export_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// broken is a source that refuses to be read while it is set.
type broken struct {
	pipeline.Source
	is *atomic.Bool
}

func (b broken) Rows(ctx context.Context, q warehouse.Query, first, last schemas.RowKey) (warehouse.Lines, error) {
	if b.is.Load() {
		return nil, pipeline.Permanent(errors.New("the disk is on fire"))
	}
	return b.Source.Rows(ctx, q, first, last)
}

// TestRunsSinceTheLastHoldEachVersionOnceWhateverFailed draws histories of new, updated
// and late interactions and of runs that complete, fail, are retried or cancelled, each
// since the last that was completed. A run must hold, of each interaction, the newest
// version of those it is about; the model is the log.
func TestRunsSinceTheLastHoldEachVersionOnceWhateverFailed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScene()
		var burning atomic.Bool
		w := s.worker(nil, func(inner pipeline.Source) pipeline.Source { return broken{inner, &burning} })
		handle := func(r *schemas.ExportRequest) {
			if err := s.handle(context.Background(), w, r); err != nil {
				t.Fatal(err)
			}
		}
		since, reached, held := "", schemas.Snapshot{0, 0}, map[string]string{}
		completed := func(id string) {
			all := s.statuses(id)
			if last := all[len(all)-1]; last.State != schemas.Completed {
				t.Fatalf("%s is %s: %s %+v", id, last.State, last.Reason, last.Failure)
			}
			snapshot := all[0].Snapshot
			want := newest(s.log(), reached, snapshot)
			if got := digests(all); got != digest(lines(want)) && len(want) > 0 || (got == "") != (len(want) == 0) {
				t.Fatalf("%s from %v to %v is not the %d versions of the log: %s", id, reached, snapshot, len(want), got)
			}
			maps.Copy(held, want)
			since, reached = id, snapshot
		}
		for n := range rapid.IntRange(2, 8).Draw(t, "runs") {
			s.publish(t)
			id := fmt.Sprint("run-", n)
			r := request(id)
			r.SinceExport = since
			fate := rapid.SampledFrom([]string{"completed", "failed", "retried", "cancelled"}).Draw(t, "fate")
			burning.Store(fate != "completed")
			handle(r)
			burning.Store(false)
			failed := s.states(id)[len(s.states(id))-1] == schemas.Failed // one without rows reads nothing
			switch {
			case !failed:
				completed(id)
			case fate == "retried":
				s.publish(t) // late: not in it, in the next
				handle(control(schemas.ActionRetry, id))
				completed(id)
			case fate == "cancelled":
				handle(control(schemas.ActionCancel, id))
			}
		}
		r := request("last")
		r.SinceExport = since
		handle(r)
		completed("last")
		if want := newest(s.log(), schemas.Snapshot{0, 0}, reached); !maps.Equal(held, want) {
			t.Fatalf("the runs together hold %d interactions, the log %d, or other versions", len(held), len(want))
		}
	})
}

func TestOnlyACompletedExportOfTheSameEntityCanBeContinued(t *testing.T) {
	s := newScene(pipelinetest.Records(100)...)
	var burning atomic.Bool
	w := s.worker(nil, func(inner pipeline.Source) pipeline.Source { return broken{inner, &burning} })
	check(t, s.handle(t.Context(), w, request("whole")))
	burning.Store(true)
	for _, id := range []string{"failed", "cancelled", "deleted"} {
		check(t, s.handle(t.Context(), w, request(id)))
	}
	burning.Store(false)
	check(t, s.handle(t.Context(), w, control(schemas.ActionCancel, "cancelled")))
	check(t, s.handle(t.Context(), w, control(schemas.ActionDelete, "deleted")))
	for name, c := range map[string]struct {
		since string
		edit  func(*schemas.ExportRequest)
		says  string
	}{
		"unknown":          {"nothing", nil, "has no export nothing"},
		"failed":           {"failed", nil, "was not completed"},
		"cancelled":        {"cancelled", nil, "was not completed"},
		"never completed":  {"deleted", nil, "was not completed"},
		"of contacts":      {"whole", func(r *schemas.ExportRequest) { r.Entity = schemas.EntityContact }, "is of entity interaction"},
		"past a snapshot":  {"whole", func(r *schemas.ExportRequest) { r.Snapshot = schemas.Snapshot{1, 1} }, "reaches past the snapshot"},
		"another tenant's": {"whole", func(r *schemas.ExportRequest) { r.TenantID = "globex" }, "tenant globex has no export whole"},
	} {
		r := request("since-" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), "'", ""))
		if r.SinceExport = c.since; c.edit != nil {
			c.edit(r)
		}
		check(t, s.handle(t.Context(), w, r))
		all := s.statuses(r.ExportID)
		if last := all[len(all)-1]; last.State != schemas.Refused || !strings.Contains(last.Reason, c.says) {
			t.Errorf("%s: it is %s because %q; want refused, saying %q", name, last.State, last.Reason, c.says)
		}
	}
}

// publish appends some interactions, new and old ones, early and late.
func (s *scene) publish(t *rapid.T) {
	ends := s.ends()
	for range rapid.IntRange(0, 6).Draw(t, "published") {
		n := rapid.IntRange(0, 9).Draw(t, "interaction")
		p := n % 2
		from := pipelinetest.Everything().Filter.From
		e := &schemas.Interaction{
			InteractionID: fmt.Sprint("i", n), TenantID: pipelinetest.Tenant, MediaType: "chat",
			StartedAt: schemas.TimeOf(from.Add(time.Duration(n*37%10) * time.Hour)), Text: fmt.Sprint("version at ", p, "/", ends[p]),
		}
		body, err := schemas.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		e.Body = body
		s.records = append(s.records, schemas.Record[*schemas.Interaction]{Event: e, Partition: int32(p), Offset: ends[p]})
		ends[p]++
	}
}

// newest is the newest version of each interaction from since to snapshot, by key.
func newest(log []schemas.Record[*schemas.Interaction], since, snapshot schemas.Snapshot) map[string]string {
	all := map[string]string{}
	for _, r := range log { // in order of offsets
		if r.Offset >= since[r.Partition] && r.Offset < snapshot[r.Partition] {
			all[fmt.Sprint(r.Event.StartedAt.UnixMilli(), r.Event.InteractionID)] = string(r.Event.Body)
		}
	}
	return all
}

func lines(of map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(of)) {
		b.WriteString(of[key] + "\n")
	}
	return b.String()
}

// digests is that of the one part an export has, or "".
func digests(all []*schemas.ExportStatus) (sums string) {
	for _, e := range all {
		if e.Part != nil {
			sums += e.Part.JSONLSHA256
		}
	}
	return sums
}

func TestAnExportStartsOverWhenWhatItContinuesMayHaveRecordsThatWereWrittenOff(t *testing.T) {
	s := newScene(pipelinetest.Records(10)...)
	w := s.worker(nil, nil)
	check(t, s.handle(t.Context(), w, request("first")))
	of := pipeline.WriteOffs{Store: s.store}
	last := func(id string) schemas.Export {
		r := request(id)
		r.SinceExport = "first"
		check(t, s.handle(t.Context(), w, r))
		return schemas.Fold(s.statuses(id)...)
	}
	if e := last("nothing"); e.State != schemas.Completed || e.Done.Rows != 0 || e.Continues == nil || e.StartsOver != "" {
		t.Fatalf("nothing was written off, and the export has %d rows, continues %v, starts over: %q", e.Done.Rows, e.Continues, e.StartsOver)
	}
	_, err := of.Record(t.Context(), schemas.WriteOff{
		Topic: schemas.TopicInteractions, Runs: []schemas.Run{{Partition: 0, First: 0, Next: 1}}, Reason: "the disk burned", By: "ada", At: schemas.TimeOf(s.now()),
	})
	check(t, err)
	if e := last("lost"); e.State != schemas.Completed || e.Done.Rows == 0 || e.Continues != nil || !strings.Contains(e.StartsOver, "written off") {
		t.Errorf("a record was written off, and the export has %d rows, continues %v, starts over: %q", e.Done.Rows, e.Continues, e.StartsOver)
	}
}

func TestAnExportStartsOverWhenNobodyKnowsAnyMoreOfRecordsThatItContinues(t *testing.T) {
	s := newScene(pipelinetest.Records(10)...)
	w := s.worker(nil, nil)
	check(t, s.handle(t.Context(), w, request("first")))
	// The topic is made again, and ClickHouse lost: what is known of it begins anew.
	s.records = s.records[:2]
	for i := range s.records {
		s.records[i].Offset += schemas.MaxOffset + 1
	}
	r := request("second")
	r.SinceExport = "first"
	check(t, s.handle(t.Context(), w, r))
	if e := schemas.Fold(s.statuses("second")...); e.State != schemas.Completed || e.Done.Rows != 2 || e.Continues != nil || !strings.Contains(e.StartsOver, "nobody knows") {
		t.Errorf("the export has %d rows, continues %v, starts over: %q", e.Done.Rows, e.Continues, e.StartsOver)
	}
}
