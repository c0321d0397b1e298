package simulate

import (
	"context"
	"fmt"
	"time"

	"cdds/consumers"
	"cdds/consumers/erasure"
	"cdds/ops/connect"
	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// erase runs the role of that name.
func (p *process) erase(ctx context.Context, k conn, settler *consumers.Settler, offsets *connect.Offsets) {
	handler := erasure.New(erasure.Options{
		Log: p.erasureLog(offsets), Rows: tables{p}, Decisions: pipeline.Erasures{Store: objects{p}}, History: past{p}, Objects: attachments{p}, Publisher: k, Holds: holds{p},
		Name: p.name(), Logger: p.w.log, Now: p.now,
	})
	run(ctx, p, consumers.Options[*schemas.ErasureRequest]{
		Cluster: k, GroupID: schemas.GroupErasure, Topic: schemas.TopicErasureRequests,
		Decode: schemas.DecodeErasureRequest, Handler: handler, DeadLetters: consumers.Letters{Topic: k, Account: tables{p}},
		MaxRecords: 1, Tracer: places{}, Positions: settler, Steady: true, Drain: time.Second, Logger: p.w.log,
	})
	p.running.Go(func() { _ = handler.Watch(ctx) })
}

// looksEvery is how often ingest looks whether ClickHouse still knows who was erased.
const looksEvery = 15 * time.Second

// forgetting is what ingest stores by.
func (p *process) forgetting(k conn) *warehouse.Forgetting {
	return warehouse.NewForgetting(tables{p}, &erasedLog{k: k}, past{p}, p.w.log)
}

// erasedLog is the topic of who was erased.
type erasedLog struct {
	k    conn
	next int
}

// Rewind implements warehouse.ErasedLog.
func (l *erasedLog) Rewind() { l.next = 0 }

// Read implements warehouse.ErasedLog.
func (l *erasedLog) Read(ctx context.Context, each func([]*schemas.ErasedSubject) error) error {
	var all []*schemas.ErasedSubject
	err := l.k.p.ask(ctx, atKafka, "read who was erased", func() error {
		t, err := l.k.c.find(schemas.TopicErased)
		if err != nil {
			return err
		}
		for _, e := range t.partitions[0].present()[l.next:] {
			s, err := schemas.DecodeErasedSubject(e.value)
			if err != nil {
				return err
			}
			all = append(all, s)
		}
		return nil
	})
	if err != nil || len(all) == 0 {
		return err
	}
	if err := each(all); err != nil {
		return err
	}
	l.next += len(all)
	return nil
}

// erasureLog is what the role knows of topics.
func (p *process) erasureLog(offsets *connect.Offsets) erasure.Log {
	if p.w.hasContacts() {
		return offsets
	}
	return erasureLog{offsets}
}

// erasureLog has no contacts.
type erasureLog struct{ *connect.Offsets }

// EndOffsets implements erasure.Log.
func (l erasureLog) EndOffsets(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error) {
	if topic == schemas.TopicContacts {
		return schemas.Snapshot{}, nil
	}
	return l.Offsets.EndOffsets(ctx, topic)
}

// Handled implements erasure.Log.
func (l erasureLog) Handled(ctx context.Context, group string, topic schemas.Topic) (schemas.Snapshot, error) {
	if topic == schemas.TopicContacts {
		return schemas.Snapshot{}, nil
	}
	return l.Offsets.Handled(ctx, group, topic)
}

// Present implements erasure.Log.
func (l erasureLog) Present(ctx context.Context, topic schemas.Topic, to schemas.Snapshot) ([]schemas.Run, error) {
	if topic == schemas.TopicContacts {
		return nil, nil
	}
	return l.Offsets.Present(ctx, topic, to)
}

// Erasure implements erasure.History.
func (h past) Erasure(ctx context.Context, tenantID, erasureID string) (e schemas.Erasure, known bool, err error) {
	err = h.p.ask(ctx, atClickHouse, "erasure "+erasureID, func() (err error) {
		e, known, err = h.p.w.tables.Erasure(ctx, tenantID, erasureID)
		return err
	})
	return e, known, err
}

// SaveErasure implements erasure.History.
func (h past) SaveErasure(ctx context.Context, e schemas.Erasure) error {
	var version time.Time
	err := h.p.ask(ctx, atClickHouse, "version of erasure "+e.Request.ErasureID, func() (err error) {
		version, err = h.p.w.tables.ErasureVersion(ctx, e, h.p.now())
		return err
	})
	if err != nil {
		return err
	}
	return h.p.change(ctx, atClickHouse, "save erasure "+e.Request.ErasureID+" "+e.State, func() error {
		h.p.w.model.saved(e)
		return h.p.w.tables.SaveErasure(ctx, e, version)
	})
}

// RememberErasure implements warehouse.ErasureRecord.
func (h past) RememberErasure(ctx context.Context, e schemas.Erasure) error {
	e, err := pipeline.Erasures{Store: objects(h)}.Recalled(ctx, e)
	if err != nil {
		return err
	}
	return h.p.change(ctx, atClickHouse, "remember erasure "+e.Request.ErasureID, func() error {
		return h.p.w.tables.RememberErasure(ctx, e, h.p.now())
	})
}

// ErasuresSince implements erasure.History.
func (h past) ErasuresSince(ctx context.Context, t time.Time) (all []schemas.Erasure, err error) {
	err = h.p.ask(ctx, atClickHouse, "erasures of late", func() error {
		all = h.p.w.tables.Erasures(func(e schemas.Erasure, saved time.Time) bool {
			return e.State == schemas.ErasureDone && !saved.Before(t)
		})
		return nil
	})
	return all, err
}

// WaitingErasures implements erasure.History.
func (h past) WaitingErasures(ctx context.Context) (all []schemas.Erasure, err error) {
	err = h.p.ask(ctx, atClickHouse, "erasures that wait", func() error {
		all = h.p.w.tables.Erasures(func(e schemas.Erasure, _ time.Time) bool { return !e.Ended() })
		return nil
	})
	return all, err
}

// DoneErasures implements warehouse.ErasureRecord.
func (h past) DoneErasures(ctx context.Context, requests []schemas.ErasureRequest) (map[string]bool, error) {
	done := map[string]bool{}
	err := h.p.ask(ctx, atClickHouse, "look for erasures", func() error {
		for _, r := range requests {
			e, known, err := h.p.w.tables.Erasure(ctx, r.TenantID, r.ErasureID)
			if err != nil {
				return err
			}
			done[r.ID()] = known && e.State == schemas.ErasureDone
		}
		return nil
	})
	return done, err
}

// steps takes the statements of an erasure one after the other: others may come between.
func (t tables) steps(ctx context.Context, e schemas.Erasure, all []pipelinetest.ErasingStep) error {
	for _, step := range all {
		if err := t.p.change(ctx, atClickHouse, "erase "+e.Request.ErasureID+": "+step.Name, func() error { return step.Do(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

// Erase implements erasure.Rows.
func (t tables) Erase(ctx context.Context, e schemas.Erasure) error {
	return t.steps(ctx, e, t.p.w.tables.ErasingSteps(e))
}

// RemoveErased implements warehouse.ErasedTables.
func (t tables) RemoveErased(ctx context.Context, e schemas.Erasure) error {
	return t.steps(ctx, e, t.p.w.tables.RemovingSteps(e))
}

// ErasableBodies implements erasure.Rows.
func (t tables) ErasableBodies(ctx context.Context, e schemas.Erasure, each func(string) error) error {
	var all []string
	err := t.p.ask(ctx, atClickHouse, "erasable bodies", func() error {
		return t.p.w.tables.ErasableBodies(ctx, e, func(body string) error { all = append(all, body); return nil })
	})
	for _, body := range all {
		if err == nil {
			err = each(body)
		}
	}
	return err
}

// Similar implements erasure.Rows.
func (tables) Similar(context.Context, string, []schemas.Subject) (map[schemas.Subject][]string, error) {
	return nil, nil
}

// CameBack implements erasure.Rows.
func (t tables) CameBack(ctx context.Context, erasures []schemas.Erasure) (back []schemas.Erasure, err error) {
	err = t.p.ask(ctx, atClickHouse, "came back", func() (err error) { back, err = t.p.w.tables.CameBack(ctx, erasures); return err })
	return back, err
}

// EraseAgain implements erasure.Rows.
func (t tables) EraseAgain(ctx context.Context, e schemas.Erasure) (n int64, err error) {
	err = t.p.ask(ctx, atClickHouse, "count what came back", func() error {
		n, err = t.p.w.tables.CountErasable(ctx, e)
		return err
	})
	if err != nil || n == 0 {
		return 0, err
	}
	return n, t.RemoveErased(ctx, e)
}

// ErasedSubjects implements erasure.Rows.
func (t tables) ErasedSubjects(ctx context.Context, e schemas.Erasure, each func([]*schemas.ErasedSubject) error) error {
	var all []*schemas.ErasedSubject
	err := t.p.ask(ctx, atClickHouse, "erased subjects", func() error {
		return t.p.w.tables.ErasedSubjects(ctx, e, func(some []*schemas.ErasedSubject) error { all = append(all, some...); return nil })
	})
	if err != nil || len(all) == 0 {
		return err
	}
	return each(all)
}

// ErasedRows implements erasure.Rows.
func (t tables) ErasedRows(ctx context.Context, e schemas.Erasure) (n int64, err error) {
	err = t.p.ask(ctx, atClickHouse, "erased rows", func() (err error) { n, err = t.p.w.tables.ErasedRows(ctx, e); return err })
	return n, err
}

// Impact implements erasure.Rows.
func (t tables) Impact(ctx context.Context, e schemas.Erasure) (i warehouse.Impact, err error) {
	err = t.p.ask(ctx, atClickHouse, "impact of "+e.Request.ErasureID, func() (err error) { i, err = t.p.w.tables.Impact(ctx, e); return err })
	return i, err
}

// RecordSubjects implements warehouse.ErasedTables.
func (t tables) RecordSubjects(ctx context.Context, subjects []*schemas.ErasedSubject) error {
	if len(subjects) == 0 {
		return nil
	}
	return t.p.change(ctx, atClickHouse, fmt.Sprintf("record %d subjects", len(subjects)), func() error { return t.p.w.tables.RecordSubjects(ctx, subjects) })
}

// RecordErased implements warehouse.ErasedTables.
func (t tables) RecordErased(ctx context.Context, rows []warehouse.ErasedRow) error {
	name := "record erased"
	for _, r := range rows {
		name += fmt.Sprintf(" %d/%d", r.Partition, r.Offset)
	}
	return t.p.change(ctx, atClickHouse, name, func() error { return t.p.w.tables.RecordErased(ctx, rows) })
}

// ErasedState implements warehouse.ErasedTables.
func (t tables) ErasedState(ctx context.Context) (s warehouse.ErasedState, err error) {
	err = t.p.ask(ctx, atClickHouse, "erased state", func() (err error) { s, err = t.p.w.tables.ErasedState(ctx); return err })
	return s, err
}

// EachErased implements warehouse.ErasedTables.
func (t tables) EachErased(ctx context.Context, since time.Time, each func(warehouse.Erased, time.Time)) error {
	return t.p.ask(ctx, atClickHouse, "read erasures", func() error { return t.p.w.tables.EachErased(ctx, since, each) })
}

// Recorded implements warehouse.ErasedTables.
func (t tables) Recorded(ctx context.Context, all []warehouse.Erased) (there map[warehouse.Erased]bool, err error) {
	err = t.p.ask(ctx, atClickHouse, fmt.Sprintf("are %d recorded", len(all)), func() (err error) { there, err = t.p.w.tables.Recorded(ctx, all); return err })
	return there, err
}

// ErasuresOf implements warehouse.ErasedTables.
func (t tables) ErasuresOf(ctx context.Context, subjects []warehouse.Subject, each func(warehouse.Subject, warehouse.Forgotten)) error {
	return t.p.ask(ctx, atClickHouse, fmt.Sprintf("look up %d subjects", len(subjects)), func() error { return t.p.w.tables.ErasuresOf(ctx, subjects, each) })
}
