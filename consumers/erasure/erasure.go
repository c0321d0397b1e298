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
// too, on cdds.erased, for the day ClickHouse is lost or restored from a backup of before. An export at work on the rows fails
// at the part that has fewer than planned. Kafka itself keeps its records for as long
// as its topics' retention says, and artifacts with recipients are beyond reach.
package erasure

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Log tells how far topics and the groups that store them have come.
type Log interface {
	// EndOffsets is the snapshot that holds every record that readers can see by now.
	EndOffsets(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error)
	// Handled is, per partition, the first position that a group has not handled.
	Handled(ctx context.Context, group string, topic schemas.Topic) (schemas.Snapshot, error)
	// Present returns the positions below a snapshot whose records Kafka still has.
	Present(ctx context.Context, topic schemas.Topic, to schemas.Snapshot) ([]schemas.Run, error)
}

// History is what became of exports and erasures; *ledger.Ledger is one.
type History interface {
	Erasure(ctx context.Context, tenantID, erasureID string) (schemas.Erasure, bool, error)
	SaveErasure(ctx context.Context, e schemas.Erasure) error
	// ErasuresSince returns the erasures that were done at or past t.
	ErasuresSince(ctx context.Context, t time.Time) ([]schemas.Erasure, error)
	// HeldErasures returns the summaries of the erasures that wait for holds.
	HeldErasures(ctx context.Context) ([]schemas.Erasure, error)
	// ExportsHoldingRows calls each with every export of a tenant that has artifacts, or is
	// about to have some.
	ExportsHoldingRows(ctx context.Context, tenantID string, each func(schemas.Export) error) error
	// ExportsWithParts calls each with some exports of a tenant, with their parts.
	ExportsWithParts(ctx context.Context, tenantID string, exportIDs []string, each func(schemas.Export) error) error
	// Downloads returns who downloaded files of some exports, by export id.
	Downloads(ctx context.Context, tenantID string, exportIDs []string) (map[string][]schemas.Download, error)
}

// Rows are the interactions and contacts, and their account; *warehouse.Warehouse has them.
type Rows interface {
	// ErasableBodies calls each with every version with attachments Erase would remove.
	ErasableBodies(ctx context.Context, e schemas.Erasure, each func(body string) error) error
	// Erase returns once no row is left. It is safe to repeat.
	Erase(ctx context.Context, e schemas.Erasure) error
	// CameBack returns which of some erasures have rows that are stored again.
	CameBack(ctx context.Context, erasures []schemas.Erasure) ([]schemas.Erasure, error)
	// EraseAgain removes rows that were stored after Erase, and returns how many.
	EraseAgain(ctx context.Context, e schemas.Erasure) (int64, error)
	// ErasedSubjects calls each with what Erase found the erasure to be about, some at a time.
	ErasedSubjects(ctx context.Context, e schemas.Erasure, each func([]*schemas.ErasedSubject) error) error
	ErasedRows(ctx context.Context, e schemas.Erasure) (int64, error)
	// HasTenant reports whether anything was ever stored for a tenant.
	HasTenant(ctx context.Context, tenantID string) (bool, error)
	// Missing is how many of these positions of a topic are not accounted for.
	Missing(ctx context.Context, topic schemas.Topic, runs []schemas.Run) (int64, error)
	// Impact reads what Erase would remove.
	Impact(ctx context.Context, e schemas.Erasure) (warehouse.Impact, error)
	// Similar returns, for subjects of which nothing is stored, ids that differ by letter
	// case or blanks only.
	Similar(ctx context.Context, tenantID string, subjects []schemas.Subject) (map[schemas.Subject][]string, error)
}

// Publisher publishes events and returns once they are acknowledged.
type Publisher interface {
	Publish(ctx context.Context, events ...schemas.Event) error
}

// Holds knows what may not be removed; *definitions.Definitions does.
type Holds interface {
	// Held returns the active holds of a tenant as of now.
	Held(ctx context.Context, tenantID string) (schemas.Holds, error)
	// Changed is closed when there is a hold more, or one less.
	Changed() <-chan struct{}
}

// Objects is the bucket of attachments; *bucket.Bucket is one.
type Objects interface {
	// Remove of an object that is not there is no error.
	Remove(ctx context.Context, key string) error
}

// Options of a Handler.
type Options struct {
	Log       Log
	Rows      Rows
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
	e, known, err := h.History.Erasure(ctx, r.TenantID, r.ErasureID)
	switch {
	case err != nil:
		return err
	case known && !e.IsOf(r):
		other := schemas.Erasure{Request: r, State: "conflict"}
		return h.audit(ctx, other, schemas.OutcomeRefused, "the erasure id is already used for something else; choose another id")
	case known && e.Ended() && !e.Restored():
		return nil
	case !known || e.Restored(): // what was restored may be a part of the list
		if e, err = h.accept(ctx, r); err != nil {
			return err
		}
	}
	if err := h.audit(ctx, e, schemas.OutcomeDone, e.About()); err != nil {
		return err
	}
	if e.FoundAt.IsZero() {
		return h.find(ctx, e)
	}
	// A process died: some of it may be gone already.
	left, err := h.Rows.Impact(ctx, e)
	if err != nil {
		return err
	}
	if held, err := h.held(ctx, &e, left); err != nil || held {
		return err
	}
	return h.remove(ctx, e, nil)
}

// find writes down what the erasure is about and which exports hold it, and removes it.
func (h *Handler) find(ctx context.Context, e schemas.Erasure) error {
	known, impact, err := h.look(ctx, &e)
	if err != nil {
		return err
	}
	if !known {
		e.Reason = fmt.Sprintf("tenant %s is unknown: nothing was ever stored for it", e.Request.TenantID)
		return h.end(ctx, e, schemas.ErasureRefused, schemas.OutcomeRefused, e.About()+": "+e.Reason)
	}
	e.Subjects = impact.Outcomes()
	unknown, err := h.describeUnknown(ctx, &e)
	if err != nil {
		return err
	}
	if impact.Versions == 0 || len(unknown) > 0 && !e.Request.SkipUnknown {
		e.Reason = nothingOf(e, unknown)
		return h.end(ctx, e, schemas.ErasureNothingFound, schemas.OutcomeFailed, e.Reason)
	}
	if e.Exports, err = h.holding(ctx, e, impact); err != nil {
		return err
	}
	if held, err := h.held(ctx, &e, impact); err != nil || held {
		return err
	}
	e.Rows, e.FoundAt = impact.Versions, schemas.TimeOf(h.Now())
	if err := h.History.SaveErasure(ctx, e); err != nil {
		return err
	}
	return h.remove(ctx, e, &impact)
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

// remove removes what was found. What was found is known unless a process died meanwhile.
func (h *Handler) remove(ctx context.Context, e schemas.Erasure, found *warehouse.Impact) error {
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
	if found != nil { // exports that began, or failed, since it was written down
		if e.Exports, err = h.holding(ctx, e, *found); err != nil {
			return err
		}
	}
	if e.Request.DeleteArtifacts {
		if err := h.deleteExports(ctx, &e); err != nil {
			return err
		}
	}
	return h.end(ctx, e, schemas.ErasureDone, schemas.OutcomeDone, fmt.Sprintf("%s: removed %s and %s of attachments; artifacts that hold some: %s",
		e.About(), schemas.Counted(e.Rows, "version"), schemas.Counted(e.Objects, "object"), schemas.Counted(len(e.Exports), "export")))
}

// end records how an erasure ended.
func (h *Handler) end(ctx context.Context, e schemas.Erasure, state, outcome, detail string) error {
	e.State, e.Waiting, e.DoneAt = state, "", schemas.TimeOf(h.Now())
	if e.Exports == nil {
		e.Exports = []schemas.AffectedExport{}
	}
	if err := h.audit(ctx, e, outcome, detail); err != nil {
		return err
	}
	h.Logger.InfoContext(ctx, "erasure ended", "tenant", e.Request.TenantID, "erasure", e.Request.ErasureID, "state", state, "rows", e.Rows, "exports", len(e.Exports))
	return h.History.SaveErasure(ctx, e)
}

// accept takes the snapshot, once.
func (h *Handler) accept(ctx context.Context, r schemas.ErasureRequest) (schemas.Erasure, error) {
	e := schemas.Erasure{Request: r, State: schemas.ErasureAccepted, AcceptedAt: schemas.TimeOf(h.Now())}
	var err error
	if e.Interactions, err = h.Log.EndOffsets(ctx, schemas.TopicInteractions); err != nil {
		return e, err
	}
	if e.Contacts, err = h.Log.EndOffsets(ctx, schemas.TopicContacts); err != nil {
		return e, err
	}
	return e, h.History.SaveErasure(ctx, e)
}

const (
	waitPoll = 50 * time.Millisecond
	// waitAtMost bounds one wait; the erasure is then handled again.
	waitAtMost = 5 * time.Minute
)

// removeAttachments removes the objects that any erased version refers to, also those
// that another interaction refers to as well: what they hold is to be forgotten.
// Objects outside of the tenant's prefix are never removed.
func (h *Handler) removeAttachments(ctx context.Context, e *schemas.Erasure) error {
	removed := map[string]bool{}
	err := h.Rows.ErasableBodies(ctx, *e, func(body string) error {
		_, attachments, err := schemas.StoredAttachments([]byte(body))
		if err != nil {
			return err
		}
		for _, a := range attachments {
			if a.Object == "" || removed[a.Object] || a.CheckObject(e.Request.TenantID) != nil {
				continue
			}
			if err := h.Objects.Remove(ctx, a.Object); err != nil {
				return err
			}
			removed[a.Object] = true
		}
		return nil
	})
	if err != nil || len(removed) == 0 {
		return err
	}
	e.Objects = int64(len(removed))
	return h.History.SaveErasure(ctx, *e) // once the rows are gone nobody can count them
}

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
