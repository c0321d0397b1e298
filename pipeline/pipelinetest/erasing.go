package pipelinetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// erasing is what the tables have of erasures.
type erasing struct {
	// subjects are what erasures are about, and when that was recorded last.
	subjects map[erasedSubject]recorded
	// gone are the rows that were erased.
	gone map[warehouse.ErasedRow]bool
	// erasures are how they stand, by the ID of their requests.
	erasures map[string]savedErasure
}

type erasedSubject struct {
	warehouse.Subject
	erasureID string
}

type recorded struct {
	warehouse.Forgotten
	at []time.Time
}

type savedErasure struct {
	schemas.Erasure
	saved time.Time
	// remembered says that it was saved by RememberErasure.
	remembered bool
}

func (e erasing) clone() erasing {
	all := erasing{map[erasedSubject]recorded{}, map[warehouse.ErasedRow]bool{}, map[string]savedErasure{}}
	maps.Copy(all.subjects, e.subjects)
	maps.Copy(all.gone, e.gone)
	maps.Copy(all.erasures, e.erasures)
	return all
}

// source is the rows of an entity of a tenant as a Source.
func (w *Warehouse) source(tenantID, entity string) *Source {
	topic, _ := schemas.SourceOf(entity)
	s := NewSource(w.Records(topic)...)
	w.mu.Lock()
	defer w.mu.Unlock()
	for subject, r := range w.subjects {
		if subject.TenantID == tenantID && subject.Kind == entity {
			s.erased[subject.ID] = append(s.erased[subject.ID], r.at...)
		}
	}
	return s
}

// Erase removes what an erasure is about.
func (w *Warehouse) Erase(ctx context.Context, e schemas.Erasure) error {
	for _, step := range w.ErasingSteps(e) {
		if err := step.Do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ErasingStep is a statement of Erase: others may come between it and the next.
type ErasingStep struct {
	Name string
	Do   func(ctx context.Context) error
}

// ErasingSteps are the statements of Erase, in order.
func (w *Warehouse) ErasingSteps(e schemas.Erasure) []ErasingStep {
	return append([]ErasingStep{
		{"record subjects", func(ctx context.Context) error {
			var all []*schemas.ErasedSubject
			for _, s := range e.Erasable() {
				all = append(all, &schemas.ErasedSubject{Request: e.Request, Kind: s.Kind, SubjectID: s.ID, Interactions: e.Interactions, Contacts: e.Contacts})
			}
			return w.RecordSubjects(ctx, all)
		}},
		{"record interactions of contacts", func(ctx context.Context) error {
			var all []*schemas.ErasedSubject
			for _, r := range w.Records(schemas.TopicInteractions) {
				if slices.Contains(e.Erasable(), schemas.Subject{Kind: schemas.ErasedContact, ID: r.Event.ContactID}) && r.Event.TenantID == e.Request.TenantID && below(e.Interactions, r.Partition, r.Offset) {
					all = append(all, &schemas.ErasedSubject{Request: e.Request, Kind: schemas.ErasedInteraction, SubjectID: r.Event.InteractionID, Interactions: e.Interactions, Contacts: e.Contacts})
				}
			}
			return w.RecordSubjects(ctx, all)
		}},
	}, w.RemovingSteps(e)...)
}

// RemoveErased removes the rows of an erasure whose subjects are recorded.
func (w *Warehouse) RemoveErased(ctx context.Context, e schemas.Erasure) error {
	for _, step := range w.RemovingSteps(e) {
		if err := step.Do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// RemovingSteps are the statements of RemoveErased, in order: each for every table. Where there is
// no topic of contacts there is no table of them.
func (w *Warehouse) RemovingSteps(e schemas.Erasure) (steps []ErasingStep) {
	for _, s := range []struct {
		name string
		do   func(topic schemas.Topic) error
	}{
		{"record", func(topic schemas.Topic) error {
			for _, r := range w.erasable(e, topic) {
				w.mu.Lock()
				w.gone[erasedRow(e, topic, r)] = true
				w.mu.Unlock()
			}
			return nil
		}},
		{"account for", func(topic schemas.Topic) error {
			for _, r := range w.erasable(e, topic) {
				w.mu.Lock()
				w.account(erased, topic, schemas.Run{Partition: r.Partition, First: r.Offset, Next: r.Offset + 1})
				w.mu.Unlock()
			}
			return nil
		}},
		{"delete", func(topic schemas.Topic) error {
			contacts := w.about(e, schemas.ErasedContact)
			doomed := w.erasable(e, topic)
			for _, r := range w.Records(topic) {
				if r.Event.TenantID == e.Request.TenantID && contacts[r.Event.ContactID] && below(belowIn(e, topic), r.Partition, r.Offset) {
					doomed = append(doomed, r)
				}
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, r := range doomed {
				delete(w.rows, idOf(topic, r))
			}
			return nil
		}},
		{"count", func(topic schemas.Topic) error {
			if left := len(w.erasable(e, topic)); left > 0 {
				return fmt.Errorf("erase %s: still in %s: %s", e.Request.ErasureID, topic, schemas.Counted(left, "row"))
			}
			return nil
		}},
	} {
		for _, t := range []struct {
			topic schemas.Topic
			name  string
		}{{schemas.TopicInteractions, "rows"}, {schemas.TopicContacts, "contacts"}} {
			if len(belowIn(e, t.topic)) > 0 || t.topic == schemas.TopicInteractions {
				steps = append(steps, ErasingStep{s.name + " " + t.name, func(context.Context) error { return s.do(t.topic) }})
			}
		}
	}
	return steps
}

// belowIn is the point in a topic as of which an erasure forgets.
func belowIn(e schemas.Erasure, topic schemas.Topic) schemas.Snapshot {
	if topic == schemas.TopicContacts {
		return e.Contacts
	}
	return e.Interactions
}

// about are the ids that an erasure is about, of a kind, as recorded.
func (w *Warehouse) about(e schemas.Erasure, kind string) map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := map[string]bool{}
	for s := range w.subjects {
		if s.TenantID == e.Request.TenantID && s.erasureID == e.Request.ErasureID && s.Kind == kind {
			ids[s.ID] = true
		}
	}
	return ids
}

// erasable are the rows of a topic that an erasure is about, below its snapshot.
func (w *Warehouse) erasable(e schemas.Erasure, topic schemas.Topic) (all []schemas.Record[*schemas.Interaction]) {
	ids := w.about(e, schemas.EntityOf(topic))
	for _, r := range w.Records(topic) {
		if r.Event.TenantID == e.Request.TenantID && ids[r.Event.InteractionID] && below(belowIn(e, topic), r.Partition, r.Offset) {
			all = append(all, r)
		}
	}
	return all
}

// ErasableBodies calls each with every version with attachments that an erasure is about, before
// anything is recorded of it.
func (w *Warehouse) ErasableBodies(_ context.Context, e schemas.Erasure, each func(body string) error) error {
	ids := map[string]bool{}
	for _, s := range e.Erasable() {
		ids[s.ID] = ids[s.ID] || s.Kind == schemas.ErasedInteraction
	}
	var all []schemas.Record[*schemas.Interaction]
	for _, r := range w.Records(schemas.TopicInteractions) {
		if r.Event.TenantID != e.Request.TenantID || !below(e.Interactions, r.Partition, r.Offset) {
			continue
		}
		all = append(all, r)
		if slices.Contains(e.Erasable(), schemas.Subject{Kind: schemas.ErasedContact, ID: r.Event.ContactID}) {
			ids[r.Event.InteractionID] = true
		}
	}
	slices.SortFunc(all, func(a, b schemas.Record[*schemas.Interaction]) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	for _, r := range all {
		if ids[r.Event.InteractionID] && len(r.Event.Attachments) > 0 {
			if err := each(string(r.Event.Body)); err != nil {
				return err
			}
		}
	}
	return nil
}

func below(s schemas.Snapshot, partition int32, offset int64) bool {
	return int(partition) < len(s) && offset < s[partition]
}

func idOf(topic schemas.Topic, r schemas.Record[*schemas.Interaction]) rowID {
	return rowID{topic, r.Event.TenantID, r.Event.StartedAt, r.Event.InteractionID, r.Partition, r.Offset}
}

func erasedRow(e schemas.Erasure, topic schemas.Topic, r schemas.Record[*schemas.Interaction]) warehouse.ErasedRow {
	return warehouse.ErasedRow{
		Topic: topic, Partition: r.Partition, Offset: r.Offset,
		TenantID: e.Request.TenantID, ErasureID: e.Request.ErasureID, Time: r.Event.StartedAt.Time,
	}
}

// cameBack are the rows of an erasure that are stored though they were erased.
func (w *Warehouse) cameBack(e schemas.Erasure) bool {
	return slices.ContainsFunc(rowTopics, func(topic schemas.Topic) bool {
		return slices.ContainsFunc(w.Records(topic), func(r schemas.Record[*schemas.Interaction]) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.gone[erasedRow(e, topic, r)]
		})
	})
}

// CameBack returns which of some erasures have rows that are stored again.
func (w *Warehouse) CameBack(_ context.Context, all []schemas.Erasure) ([]schemas.Erasure, error) {
	return slices.DeleteFunc(slices.Clone(all), func(e schemas.Erasure) bool { return !w.cameBack(e) }), nil
}

// CountErasable is how many rows an erasure would remove that began when some did that it
// removed.
func (w *Warehouse) CountErasable(_ context.Context, e schemas.Erasure) (n int64, _ error) {
	for _, topic := range rowTopics {
		times := map[time.Time]bool{}
		w.mu.Lock()
		for r := range w.gone {
			times[r.Time] = times[r.Time] || r.Topic == topic && r.TenantID == e.Request.TenantID && r.ErasureID == e.Request.ErasureID
		}
		w.mu.Unlock()
		for _, r := range w.erasable(e, topic) {
			if times[r.Event.StartedAt.Time] {
				n++
			}
		}
	}
	return n, nil
}

// EraseAgain removes rows that were stored after Erase, and returns how many.
func (w *Warehouse) EraseAgain(ctx context.Context, e schemas.Erasure) (int64, error) {
	n, err := w.CountErasable(ctx, e)
	if err != nil || n == 0 {
		return 0, err
	}
	return n, w.RemoveErased(ctx, e)
}

// ErasedRows is how many versions an erasure removed.
func (w *Warehouse) ErasedRows(_ context.Context, e schemas.Erasure) (n int64, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for r := range w.gone {
		if r.TenantID == e.Request.TenantID && r.ErasureID == e.Request.ErasureID {
			n++
		}
	}
	return n, nil
}

// ErasedSubjects calls each with what an erasure is about, as recorded.
func (w *Warehouse) ErasedSubjects(_ context.Context, e schemas.Erasure, each func([]*schemas.ErasedSubject) error) error {
	var all []*schemas.ErasedSubject
	for _, kind := range []string{schemas.ErasedContact, schemas.ErasedInteraction} {
		for _, id := range slices.Sorted(maps.Keys(w.about(e, kind))) {
			all = append(all, &schemas.ErasedSubject{Request: e.Request.WithoutLists(), Kind: kind, SubjectID: id, Interactions: e.Interactions, Contacts: e.Contacts})
		}
	}
	if len(all) == 0 {
		return nil
	}
	return each(all)
}

// RecordSubjects records what is erased.
func (w *Warehouse) RecordSubjects(_ context.Context, subjects []*schemas.ErasedSubject) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range subjects {
		subject := erasedSubject{warehouse.Subject{TenantID: s.Request.TenantID, Kind: s.Kind, ID: s.SubjectID}, s.Request.ErasureID}
		at := append(slices.Clone(w.subjects[subject].at), time.Now())
		w.subjects[subject] = recorded{warehouse.Forgotten{ErasureID: s.Request.ErasureID, Interactions: s.Interactions, Contacts: s.Contacts}, at}
	}
	return nil
}

// RecordErased notes and accounts for positions whose records were not stored because they are
// erased.
func (w *Warehouse) RecordErased(_ context.Context, rows []warehouse.ErasedRow) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range rows {
		w.gone[r] = true
		w.account(erased, r.Topic, schemas.Run{Partition: r.Partition, First: r.Offset, Next: r.Offset + 1})
	}
	return nil
}

// ErasedState says how much is recorded as erased.
func (w *Warehouse) ErasedState(context.Context) (s warehouse.ErasedState, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.subjects {
		for _, at := range r.at {
			if s.Count++; at.After(s.Newest) {
				s.Newest = at
			}
		}
	}
	return s, nil
}

// EachErased calls each with what was recorded at or past since.
func (w *Warehouse) EachErased(_ context.Context, since time.Time, each func(warehouse.Erased, time.Time)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s, r := range w.subjects {
		for _, at := range r.at {
			if !at.Before(since) {
				each(warehouse.Erased{Subject: s.Subject, ErasureID: s.erasureID}, at)
			}
		}
	}
	return nil
}

// Recorded returns which of some subjects are recorded.
func (w *Warehouse) Recorded(_ context.Context, all []warehouse.Erased) (map[warehouse.Erased]bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	there := map[warehouse.Erased]bool{}
	for _, e := range all {
		_, there[e] = w.subjects[erasedSubject{e.Subject, e.ErasureID}]
	}
	return there, nil
}

// ErasuresOf calls each with the erasures of subjects.
func (w *Warehouse) ErasuresOf(_ context.Context, subjects []warehouse.Subject, each func(warehouse.Subject, warehouse.Forgotten)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s, r := range w.subjects {
		if slices.Contains(subjects, s.Subject) {
			each(s.Subject, r.Forgotten)
		}
	}
	return nil
}

// Impact is what Erase would remove.
func (w *Warehouse) Impact(_ context.Context, e schemas.Erasure) (warehouse.Impact, error) {
	w.mu.Lock()
	before := map[string]map[string][]time.Time{schemas.ErasedInteraction: {}, schemas.ErasedContact: {}}
	for s, r := range w.subjects {
		if s.TenantID == e.Request.TenantID {
			before[s.Kind][s.ID] = append(before[s.Kind][s.ID], r.at...)
		}
	}
	w.mu.Unlock()
	stored := map[string][]schemas.Record[*schemas.Interaction]{}
	for _, topic := range rowTopics {
		stored[schemas.EntityOf(topic)] = w.Records(topic)
	}
	return warehouse.ImpactOf(e, stored, before), nil
}
