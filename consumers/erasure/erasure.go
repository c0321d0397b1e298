// Package erasure forgets: it removes what an erasure request is about from
// ClickHouse and the objects its attachments refer to, keeps it from coming back, and says
// which artifacts still hold it.
//
// The end offsets at the moment a request is accepted are its snapshot. When ingest has
// stored everything below it and history knows every export, the exports that hold a row
// are written down, each by its own filter, range and snapshots: once the rows are gone,
// nothing says that any more. Then the rows are written down by position, removed, and
// counted again. Where nothing is stored of the subject, nothing was forgotten, and the
// erasure ends as that. From then on ingest drops them should they be read from Kafka again;
// what was produced later is a new fact and stays. Who was erased goes back to Kafka
// too, on cdds.erased, for the day ClickHouse is lost or restored from a backup of before. An
// export at work on the rows fails at the part that has fewer than planned. Kafka itself keeps
// its records for as long as its topics' retention says, and artifacts with recipients are
// beyond reach.
//
// That an erasure was accepted, what was found and how it ended are decided in the bucket, once
// each. History in ClickHouse shows that, and is made to show it again if it is lost.
package erasure

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Options of a Handler.
type Options struct {
	Log       Log
	Rows      Rows
	Decisions Decisions
	History   History
	Objects   Objects
	Publisher Publisher
	Holds     Holds
	// Name identifies this process in events, such as host and process id.
	Name   string
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Handler carries out erasure requests; it is a consumers.Handler.
type Handler struct{ Options }

// New returns a Handler. It starts nothing.
func New(o Options) *Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Handler{o}
}

// Handle carries out the requests of a batch. An erasure is never given up: an error
// means that it is handled again, from where it stands.
func (h *Handler) Handle(ctx context.Context, b schemas.Batch[*schemas.ErasureRequest]) error {
	for _, r := range b.Records {
		if err := h.erase(ctx, *r.Event); err != nil {
			return fmt.Errorf("erasure %s of %s: %w", r.Event.ErasureID, r.Event.TenantID, err)
		}
	}
	return nil
}

func (h *Handler) erase(ctx context.Context, r schemas.ErasureRequest) error {
	key := pipeline.KeyOf(r)
	shown, known, err := h.History.Erasure(ctx, r.TenantID, r.ErasureID)
	if err != nil {
		return err
	}
	e, err := h.accept(ctx, r, shown, known)
	switch {
	case err != nil:
		return err
	case !e.Request.SameAs(r):
		other := schemas.Erasure{Request: r, State: "conflict"}
		return h.audit(ctx, other, schemas.OutcomeRefused, "the erasure id is already used for something else; choose another id")
	}
	if ended, err := h.showEnded(ctx, key, shown); ended || err != nil {
		return err
	}
	if err := h.Decisions.Open(ctx, key); err != nil {
		return err
	}
	if !known {
		if err := h.audit(ctx, e, schemas.OutcomeDone, e.About()); err != nil {
			return err
		}
	}
	found, was, err := h.Decisions.Found(ctx, key)
	if err != nil {
		return err
	}
	if was {
		e = found
	}
	if !known {
		if err := h.History.SaveErasure(ctx, e); err != nil {
			return err
		}
	} else if !shown.Ended() {
		e.State, e.HoldID, e.Waiting, e.Objects = shown.State, shown.HoldID, shown.Waiting, max(e.Objects, shown.Objects)
		e.Reason = shown.Reason // what could not be removed
	}
	if !was {
		return h.find(ctx, e)
	}
	return h.goOnRemoving(ctx, e)
}

// goOnRemoving removes what was found, of which some may be gone already. What ClickHouse has lost
// comes back first: a hold may keep it.
func (h *Handler) goOnRemoving(ctx context.Context, e schemas.Erasure) error {
	as := e
	_, left, err := h.look(ctx, &as)
	if err != nil {
		return err
	}
	if left.Versions > 0 { // exports that began since it was written down
		since, err := h.holding(ctx, e, left)
		if err != nil {
			return err
		}
		e.Exports = joined(e.Exports, since)
	}
	if held, err := h.held(ctx, &e, left); err != nil || held {
		return err
	}
	return h.remove(ctx, e, left)
}

// joined are the exports of both lists, those of the first as they stand there.
func joined(first, others []schemas.AffectedExport) []schemas.AffectedExport {
	all := slices.Clone(first)
	for _, x := range others {
		if !slices.ContainsFunc(first, func(f schemas.AffectedExport) bool { return f.ExportID == x.ExportID }) {
			all = append(all, x)
		}
	}
	return all
}

// accept takes the snapshot, once. Where history shows an erasure of which nothing was decided,
// the bucket is a new one: what history shows counts.
func (h *Handler) accept(ctx context.Context, r schemas.ErasureRequest, shown schemas.Erasure, known bool) (schemas.Erasure, error) {
	e, accepted, err := h.Decisions.Accepted(ctx, pipeline.KeyOf(r))
	if err != nil || accepted {
		return e, err
	}
	e = schemas.Erasure{Request: r, State: schemas.ErasureAccepted, AcceptedAt: schemas.TimeOf(h.Now()), Exports: []schemas.AffectedExport{}}
	switch {
	case known && !shown.Restored() && shown.Ended():
		if e, err = h.Decisions.End(ctx, shown); err != nil {
			return e, err
		}
		return h.Decisions.Accept(ctx, e)
	case known && !shown.Restored():
		if !shown.FoundAt.IsZero() { // some of it may be gone
			if _, err := h.Decisions.Find(ctx, shown); err != nil {
				return e, err
			}
		}
		e.Request, e.AcceptedAt, e.Interactions, e.Contacts = shown.Request, shown.AcceptedAt, shown.Interactions, shown.Contacts
		return h.Decisions.Accept(ctx, e)
	}
	if e.Interactions, err = h.Log.EndOffsets(ctx, schemas.TopicInteractions); err != nil {
		return e, err
	}
	if e.Contacts, err = h.Log.EndOffsets(ctx, schemas.TopicContacts); err != nil {
		return e, err
	}
	return h.Decisions.Accept(ctx, e)
}

// find writes down what the erasure is about and which exports hold it, and removes it.
func (h *Handler) find(ctx context.Context, e schemas.Erasure) error {
	known, impact, err := h.look(ctx, &e)
	if err != nil {
		return err
	}
	// Another process may have removed some of it since: it wrote down before what it found.
	if found, was, err := h.Decisions.Found(ctx, pipeline.KeyOf(e.Request)); err != nil {
		return err
	} else if was {
		return h.goOnRemoving(ctx, found)
	}
	if !known {
		e.Reason = fmt.Sprintf("tenant %s is unknown: nothing was ever stored for it", e.Request.TenantID)
		return h.end(ctx, e, schemas.ErasureRefused)
	}
	e.Subjects = impact.Outcomes()
	unknown, err := h.describeUnknown(ctx, &e)
	if err != nil {
		return err
	}
	if impact.Versions == 0 || len(unknown) > 0 && !e.Request.SkipUnknown {
		e.Reason = nothingOf(e, unknown)
		return h.end(ctx, e, schemas.ErasureNothingFound)
	}
	if e.Exports, err = h.holding(ctx, e, impact); err != nil {
		return err
	}
	if held, err := h.held(ctx, &e, impact); err != nil || held {
		return err
	}
	e.Rows, e.FoundAt = impact.Versions, schemas.TimeOf(h.Now())
	first, err := h.Decisions.Find(ctx, e)
	if err != nil {
		return err
	}
	if !first.FoundAt.Equal(e.FoundAt.Time) {
		return h.goOnRemoving(ctx, first)
	}
	if err := h.History.SaveErasure(ctx, e); err != nil {
		return err
	}
	return h.remove(ctx, e, impact)
}

// describeUnknown returns the subjects of which nothing is stored, and adds similar ids to
// them.
func (h *Handler) describeUnknown(ctx context.Context, e *schemas.Erasure) (unknown []schemas.Subject, err error) {
	for _, s := range e.Subjects {
		if s.Outcome == schemas.ErasureNothingFound {
			unknown = append(unknown, s.Subject)
		}
	}
	e.Requested, e.NotFound = len(e.Subjects), len(unknown)
	if len(unknown) == 0 {
		return nil, nil
	}
	similar, err := h.Rows.Similar(ctx, e.Request.TenantID, unknown)
	for i := range e.Subjects {
		e.Subjects[i].Similar = similar[e.Subjects[i].Subject]
	}
	return unknown, err
}

// nothingOf says why an erasure removed nothing.
func nothingOf(e schemas.Erasure, unknown []schemas.Subject) string {
	if len(e.Subjects) == 1 {
		return fmt.Sprintf("nothing is stored of %s for tenant %s", e.About(), e.Request.TenantID)
	}
	some := fmt.Sprintf("%s %q", unknown[0].Kind, strings.ToValidUTF8(unknown[0].ID, ""))
	return fmt.Sprintf("nothing is stored of %s of %s for tenant %s, such as %s; nothing was removed",
		schemas.Grouped(int64(len(unknown))), schemas.Counted(len(e.Subjects), "subject"), e.Request.TenantID, some)
}

// remove removes what was found. found is what is left of it, which no hold keeps.
func (h *Handler) remove(ctx context.Context, e schemas.Erasure, found warehouse.Impact) error {
	// Before the rows, which alone say where they are.
	if err := h.removeAttachments(ctx, &e); err != nil {
		return err
	}
	if err := h.Rows.Erase(ctx, e); err != nil {
		return err
	}
	if err := h.remember(ctx, e); err != nil {
		return err
	}
	var err error
	if e.Rows, err = h.Rows.ErasedRows(ctx, e); err != nil {
		return err
	}
	for i := range e.Subjects {
		if e.Subjects[i].Outcome == schemas.SubjectFound {
			e.Subjects[i].Outcome = schemas.ErasureDone
		}
	}
	if found.Versions > 0 { // exports that began, or failed, since it was written down
		now, err := h.holding(ctx, e, found)
		if err != nil {
			return err
		}
		e.Exports = joined(now, e.Exports)
	}
	if e.Request.DeleteArtifacts {
		if err := h.deleteExports(ctx, &e); err != nil {
			return err
		}
	}
	return h.end(ctx, e, schemas.ErasureDone)
}

const (
	waitPoll = 50 * time.Millisecond
	// waitAtMost bounds one wait; the erasure is then handled again.
	waitAtMost = 5 * time.Minute
)

// remember publishes who and what was erased. Repeated, it is the same facts again. Whatever
// the request names is recorded, unless ClickHouse lost it meanwhile: then it is to be found and
// removed once more.
func (h *Handler) remember(ctx context.Context, e schemas.Erasure) error {
	published := 0
	err := h.Rows.ErasedSubjects(ctx, e, func(subjects []*schemas.ErasedSubject) error {
		published += len(subjects)
		events := make([]schemas.Event, len(subjects))
		for n, s := range subjects {
			s.ErasedAt = schemas.TimeOf(h.Now())
			events[n] = s
		}
		return h.Publisher.Publish(ctx, events...)
	})
	named := map[schemas.Subject]bool{}
	for _, s := range e.Erasable() {
		named[s] = true
	}
	if err == nil && published < len(named) {
		return fmt.Errorf("of %s that were erased ClickHouse knows %d: it lost the others", schemas.Counted(len(named), "subject"), published)
	}
	return err
}

// deleteExports asks for the deletion of each affected export, as an admin would.
func (h *Handler) deleteExports(ctx context.Context, e *schemas.Erasure) error {
	var events []schemas.Event
	for i := range e.Exports {
		actions := []string{schemas.ActionDelete}
		if !e.Exports[i].State.Ended() { // only what has ended can be deleted
			actions = []string{schemas.ActionCancel, schemas.ActionDelete}
		}
		for _, action := range actions {
			events = append(events, &schemas.ExportRequest{
				Action: action, TenantID: e.Request.TenantID, ExportID: e.Exports[i].ExportID,
				RequestedAt: schemas.TimeOf(h.Now()), RequestedBy: "erasure " + e.Request.ErasureID,
			})
		}
		e.Exports[i].Deleted = true
	}
	return h.Publisher.Publish(ctx, events...)
}

func (h *Handler) audit(ctx context.Context, e schemas.Erasure, outcome, detail string) error {
	return h.Publisher.Publish(ctx, schemas.AuditOfErasure(e, h.Name, outcome, detail, schemas.TimeOf(h.Now())))
}
