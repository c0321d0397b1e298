package simulate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"cdds/consumers"
	projector "cdds/consumers/history"
	"cdds/ops/connect"
	"cdds/schemas"
)

// told is what ClickHouse has of exports, as package ledger keeps it: status events by
// position, and what was folded of them.
type told struct {
	events  map[position]*schemas.ExportStatus
	exports map[exportID]schemas.Export
}

// exportID is the tenant and the id of an export.
type exportID = [2]string

func (t told) clone() told {
	all := told{map[position]*schemas.ExportStatus{}, map[exportID]schemas.Export{}}
	maps.Copy(all.events, t.events)
	maps.Copy(all.exports, t.exports)
	return all
}

// of are the events of an export.
func (t told) of(id exportID) (all []*schemas.ExportStatus) {
	for _, s := range t.events {
		if s.TenantID == id[0] && s.ExportID == id[1] {
			all = append(all, s)
		}
	}
	return all
}

// parts are those of an export that were stored.
func (t told) parts(id exportID) []schemas.Receipt { return schemas.Fold(t.of(id)...).Parts }

// missing are the runs of used positions that have no event.
func (t told) missing(used []schemas.Run) (all []schemas.Run) {
	for _, r := range used {
		for at := r.First; at < r.Next; at++ {
			if _, is := t.events[position{schemas.TopicExportStatus, r.Partition, at}]; !is {
				all = append(all, schemas.Run{Partition: r.Partition, First: at, Next: at + 1})
			}
		}
	}
	return all
}

// in are the exports that are, in order.
func (t told) in(is func(schemas.Export) bool) (all []schemas.Export) {
	for _, e := range t.exports {
		if is(e) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b schemas.Export) int {
		return cmp.Or(cmp.Compare(a.TenantID, b.TenantID), cmp.Compare(a.ExportID, b.ExportID))
	})
	return all
}

// history runs the role of that name.
func (p *process) history(ctx context.Context, k conn, settler *consumers.Settler, offsets *connect.Offsets) {
	project, err := projector.New(past{p}, nil)
	if err != nil {
		panic(err)
	}
	group := run(ctx, p, consumers.Options[*schemas.ExportStatus]{
		Cluster: k, GroupID: schemas.GroupHistory, Topic: schemas.TopicExportStatus,
		Decode: schemas.DecodeExportStatus, Handler: project, DeadLetters: consumers.Letters{Topic: k, Account: tables{p}},
		MaxRecords: batchRecords, SpanPerRecord: true, Tracer: places{}, Positions: settler, Healed: true, Steady: true, Drain: drain, Logger: p.w.log,
	})
	healer := consumers.Healer{
		GroupID: schemas.GroupHistory, Topic: schemas.TopicExportStatus, Group: group, Log: offsets, Ledger: tables{p}, Logger: p.w.log,
	}
	p.running.Go(func() { _ = healer.Run(ctx) })
	p.running.Go(func() { _ = project.KeepFolded(ctx, refoldEvery, p.w.log) })
}

// refoldEvery is shorter than in life: a history is over after minutes.
const refoldEvery = time.Minute

// past is history as a process reaches it in ClickHouse: it is the store of the history role,
// and what the erasure and retention roles know of exports.
type past struct{ p *process }

// look asks ClickHouse.
func (h past) look(ctx context.Context, what string, effect func(t told)) error {
	return h.p.ask(ctx, atClickHouse, what, func() error { effect(h.p.w.told); return nil })
}

// InsertStatus implements history.Store.
func (h past) InsertStatus(ctx context.Context, b schemas.Batch[*schemas.ExportStatus]) error {
	insert := func(records []schemas.Record[*schemas.ExportStatus]) {
		for _, r := range records {
			h.p.w.told.events[position{schemas.TopicExportStatus, r.Partition, r.Offset}] = r.Event
		}
	}
	return h.p.wait(ctx, &call{service: atClickHouse, name: fmt.Sprintf("insert status %d/%d", b.Partition, b.First), changes: true,
		effect: func() error { insert(b.Records); return nil },
		half:   func() { insert(b.Records[:len(b.Records)/2]) }})
}

// StatusEvents implements history.Store.
func (h past) StatusEvents(ctx context.Context, tenantID, exportID string, parts ...int) (events []*schemas.ExportStatus, others schemas.Tally, err error) {
	err = h.look(ctx, "events of "+exportID, func(t told) {
		for _, e := range schemas.Distinct(t.of([2]string{tenantID, exportID})...) {
			if e.StoresPart() && !slices.Contains(parts, e.Part.Number) {
				others.Add(max(e.Attempt, 1), e.Time, schemas.Total([]schemas.Receipt{*e.Part}))
				continue
			}
			events = append(events, e)
		}
	})
	return events, others, err
}

// SaveArtifacts implements history.Store: no law asks what is listed.
func (past) SaveArtifacts(context.Context, []schemas.Export) error { return nil }

// SaveAllArtifacts implements history.Store.
func (past) SaveAllArtifacts(context.Context, schemas.Export) error { return nil }

// SaveExports implements history.Store.
func (h past) SaveExports(ctx context.Context, exports []schemas.Export) error {
	if len(exports) == 0 {
		return nil
	}
	return h.p.change(ctx, atClickHouse, "save export "+exports[0].ExportID, func() error {
		for _, e := range exports {
			id := exportID{e.TenantID, e.ExportID}
			if e.Parts = nil; h.p.w.told.exports[id].Events <= e.Events {
				h.p.w.told.exports[id] = e
			}
		}
		return nil
	})
}

// Unfolded implements history.Store and erasure.History.
func (h past) Unfolded(ctx context.Context, tenantID string, limit int, each func(tenantID, exportID string) error) error {
	var all []exportID
	err := h.look(ctx, "exports that are not folded", func(t told) {
		stored := map[exportID]map[string]bool{}
		for _, s := range t.events {
			id := exportID{s.TenantID, s.ExportID}
			if tenantID != "" && tenantID != id[0] {
				continue
			}
			if stored[id] == nil {
				stored[id] = map[string]bool{}
			}
			stored[id][s.EventID] = true
		}
		for id, events := range stored {
			if len(events) > t.exports[id].Events {
				all = append(all, id)
			}
		}
		slices.SortFunc(all, func(a, b exportID) int { return slices.Compare(a[:], b[:]) })
	})
	for _, id := range all[:min(len(all), limit)] {
		if err == nil {
			err = each(id[0], id[1])
		}
	}
	return err
}

// Export implements retention.History.
func (h past) Export(ctx context.Context, tenantID, id string) (e schemas.Export, known bool, err error) {
	err = h.look(ctx, "export "+id, func(t told) { e, known = t.exports[exportID{tenantID, id}] })
	return e, known, err
}

// ExportsIn implements retention.History.
func (h past) ExportsIn(ctx context.Context, states []schemas.State, afterTenant, afterExport string, limit int) (all []schemas.Export, err error) {
	err = h.look(ctx, fmt.Sprintf("exports in %v", states), func(t told) {
		all = t.in(func(e schemas.Export) bool {
			return slices.Contains(states, e.State) && cmp.Or(cmp.Compare(e.TenantID, afterTenant), cmp.Compare(e.ExportID, afterExport)) > 0
		})
		all = all[:min(len(all), limit)]
	})
	return all, err
}

// States implements retention.History.
func (h past) States(ctx context.Context, exports [][2]string) (states map[[2]string]schemas.State, err error) {
	states = map[[2]string]schemas.State{}
	err = h.look(ctx, fmt.Sprint("states of ", len(exports)), func(t told) {
		for _, id := range exports {
			if e, known := t.exports[id]; known {
				states[id] = e.State
			}
		}
	})
	return states, err
}

// EachPart implements retention.History.
func (h past) EachPart(ctx context.Context, exports [][2]string, each func(export [2]string, r schemas.Receipt) error) error {
	return h.p.ask(ctx, atClickHouse, fmt.Sprint("parts of ", len(exports)), func() error {
		for _, id := range exports {
			for _, r := range h.p.w.told.parts(id) {
				if err := each(id, r); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// holdsRows are the states of exports that have artifacts, or are about to.
var holdsRows = []schemas.State{schemas.Requested, schemas.Planned, schemas.Running, schemas.Failed, schemas.Completed}

// ExportsHoldingRows implements erasure.History.
func (h past) ExportsHoldingRows(ctx context.Context, tenantID string, each func(schemas.Export) error) error {
	return h.exports(ctx, each, func(e schemas.Export) bool {
		return e.TenantID == tenantID && slices.Contains(holdsRows, e.State)
	}, schemas.Failed)
}

// ExportsWithParts implements erasure.History.
func (h past) ExportsWithParts(ctx context.Context, tenantID string, ids []string, each func(schemas.Export) error) error {
	return h.exports(ctx, each, func(e schemas.Export) bool {
		return e.TenantID == tenantID && slices.Contains(ids, e.ExportID)
	}, "")
}

// Downloads implements erasure.History.
func (past) Downloads(context.Context, string, []string) (map[string][]schemas.Download, error) {
	return nil, nil
}

// exports gives each those that are; those in a state, or all of them, with their parts.
func (h past) exports(ctx context.Context, each func(schemas.Export) error, is func(schemas.Export) bool, whole schemas.State) error {
	var all []schemas.Export
	err := h.look(ctx, "exports of a tenant", func(t told) {
		all = t.in(is)
		for n, e := range all {
			if whole == "" || e.State == whole {
				all[n].Parts = t.parts(exportID{e.TenantID, e.ExportID})
			}
		}
	})
	for _, e := range all {
		if err == nil {
			err = each(e)
		}
	}
	return err
}

// settleHistory: history shows every export as its events have it, unless Kafka lost some.
func (w *world) settleHistory() {
	if !w.erases && !w.retains || w.model.untold {
		return
	}
	for range exportRounds {
		if !w.rest(restLimit) {
			w.failf("there is no end to what processes do")
		}
		if w.broken != "" || w.misshown() == "" {
			return
		}
		w.sleep(15 * time.Second)
	}
	w.failf("history does not show what was published: %s", w.misshown())
}

// misshown names an export that history shows otherwise than its events have it, or is empty.
func (w *world) misshown() string {
	for _, x := range w.model.exports {
		want, shown := w.fold(x), w.told.exports[exportID{x.request.TenantID, x.request.ExportID}]
		if want.State != shown.State || want.Done != shown.Done || want.Events != shown.Events {
			return fmt.Sprintf("%s is %q after %d events, and history shows %q after %d", x.name(), want.State, want.Events, shown.State, shown.Events)
		}
	}
	return ""
}
