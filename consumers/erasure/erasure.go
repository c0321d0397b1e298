// Package erasure forgets: it removes what an erasure request is about from
// ClickHouse and the objects its attachments refer to, keeps it from coming back, and says which artifacts still hold it.
//
// The end offsets at the moment a request is accepted are its snapshot. When ingest
// has stored everything below it, the rows are written down by position, removed, and
// counted again. From then on ingest drops them should they be read from Kafka again;
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

	"cdds/schemas"
)

// Log tells how far the topics with rows have come.
type Log interface {
	// EndOffsets is the snapshot that holds every record acknowledged by now.
	EndOffsets(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error)
	// Ingested is, per partition, the first offset not yet stored or dead-lettered.
	Ingested(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error)
}

// Store is where rows, exports and erasures are; *warehouse.Warehouse is one.
type Store interface {
	Erasure(ctx context.Context, tenantID, erasureID string) (schemas.Erasure, bool, error)
	SaveErasure(ctx context.Context, e schemas.Erasure) error
	// ErasableBodies calls each with every version with attachments Erase would remove.
	ErasableBodies(ctx context.Context, e schemas.Erasure, each func(body string) error) error
	// Erase returns once no row is left. It is safe to repeat.
	Erase(ctx context.Context, e schemas.Erasure) error
	// CameBack returns the erasures that were done at or past t and of whose rows some are
	// stored again.
	CameBack(ctx context.Context, t time.Time) ([]schemas.Erasure, error)
	// EraseAgain removes rows that were stored after Erase, and returns how many.
	EraseAgain(ctx context.Context, e schemas.Erasure) (int64, error)
	// ErasedSubjects calls each with what Erase found the erasure to be about, some at a time.
	ErasedSubjects(ctx context.Context, e schemas.Erasure, each func([]*schemas.ErasedSubject) error) error
	ErasedRows(ctx context.Context, e schemas.Erasure) (int64, error)
	// ErasedIn is how many of the erased versions an export may hold.
	ErasedIn(ctx context.Context, e schemas.Erasure, x schemas.Export) (int64, error)
	ExportsIn(ctx context.Context, states []schemas.State, afterTenant, afterExport string, limit int) ([]schemas.Export, error)
}

// Publisher publishes events and returns once they are acknowledged.
type Publisher interface {
	Publish(ctx context.Context, events ...schemas.Event) error
}

// Objects is the bucket of attachments; *bucket.Bucket is one.
type Objects interface {
	// Remove of an object that is not there is no error.
	Remove(ctx context.Context, key string) error
}

// Options of a Handler.
type Options struct {
	Log       Log
	Store     Store
	Objects   Objects
	Publisher Publisher
	// Name is told in events, such as host and process id.
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
	e, known, err := h.Store.Erasure(ctx, r.TenantID, r.ErasureID)
	switch {
	case err != nil:
		return err
	case known && !e.Request.SameAs(r):
		other := schemas.Erasure{Request: r, State: "conflict"}
		return h.audit(ctx, other, schemas.OutcomeRefused, "the erasure id is already used for something else; choose another id")
	case known && e.State == schemas.ErasureDone:
		return nil
	case !known:
		if e, err = h.accept(ctx, r); err != nil {
			return err
		}
	}
	if err := h.audit(ctx, e, schemas.OutcomeDone, about(r)); err != nil {
		return err
	}
	if err := h.awaitIngest(ctx, e); err != nil {
		return err
	}
	// Before the rows, which alone say where they are.
	if err := h.removeAttachments(ctx, &e); err != nil {
		return err
	}
	if err := h.Store.Erase(ctx, e); err != nil {
		return err
	}
	if err := h.remember(ctx, e); err != nil {
		return err
	}
	if e.Rows, err = h.Store.ErasedRows(ctx, e); err != nil {
		return err
	}
	if e.Exports, err = h.affected(ctx, e); err != nil {
		return err
	}
	if r.DeleteArtifacts {
		if err := h.deleteExports(ctx, &e); err != nil {
			return err
		}
	}
	e.State, e.Waiting, e.DoneAt = schemas.ErasureDone, "", schemas.TimeOf(h.Now())
	if err := h.audit(ctx, e, schemas.OutcomeDone, fmt.Sprintf("%s: %s and %s of attachments removed, %s with artifacts held some", about(r), schemas.Counted(e.Rows, "version"), schemas.Counted(e.Objects, "object"), schemas.Counted(len(e.Exports), "export"))); err != nil {
		return err
	}
	h.Logger.InfoContext(ctx, "erased", "tenant", r.TenantID, "erasure", r.ErasureID, "rows", e.Rows, "exports", len(e.Exports))
	return h.Store.SaveErasure(ctx, e)
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
	return e, h.Store.SaveErasure(ctx, e)
}

const (
	ingestPoll = 50 * time.Millisecond
	// ingestWait bounds one wait; the erasure is then handled again.
	ingestWait = 5 * time.Minute
)

// awaitIngest waits until everything below the snapshot is stored: what came later
// would not be found.
func (h *Handler) awaitIngest(ctx context.Context, e schemas.Erasure) error {
	ctx, cancel := context.WithTimeout(ctx, ingestWait)
	defer cancel()
	ticker := time.NewTicker(ingestPoll)
	defer ticker.Stop()
	told := false
	for {
		var behind int64
		for topic, snapshot := range map[schemas.Topic]schemas.Snapshot{schemas.TopicInteractions: e.Interactions, schemas.TopicContacts: e.Contacts} {
			done, err := h.Log.Ingested(ctx, topic)
			if err != nil {
				return err
			}
			behind += snapshot.Behind(done)
		}
		if behind == 0 {
			return nil
		}
		if !told {
			told = true
			e.Waiting = fmt.Sprintf("waiting for ingest: %s behind", schemas.Counted(behind, "record"))
			if err := h.Store.SaveErasure(ctx, e); err != nil {
				return err
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("ingest is %s behind; check the ingest role: %w", schemas.Counted(behind, "record"), ctx.Err())
		}
	}
}

// removeAttachments removes the objects that any erased version refers to, also those
// that another interaction refers to as well: what they hold is to be forgotten.
// Objects that are not below the tenant's prefix are nobody's to remove.
func (h *Handler) removeAttachments(ctx context.Context, e *schemas.Erasure) error {
	e.Objects = 0
	removed := map[string]bool{}
	return h.Store.ErasableBodies(ctx, *e, func(body string) error {
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
			e.Objects++
		}
		return nil
	})
}

// remember publishes who and what was erased. Repeated, it is the same facts again.
func (h *Handler) remember(ctx context.Context, e schemas.Erasure) error {
	return h.Store.ErasedSubjects(ctx, e, func(subjects []*schemas.ErasedSubject) error {
		events := make([]schemas.Event, len(subjects))
		for n, s := range subjects {
			s.ErasedAt = schemas.TimeOf(h.Now())
			events[n] = s
		}
		return h.Publisher.Publish(ctx, events...)
	})
}

const pageSize = 200

// affected lists the tenant's exports whose artifacts may hold what was erased, those
// still at work included.
func (h *Handler) affected(ctx context.Context, e schemas.Erasure) ([]schemas.AffectedExport, error) {
	states := []schemas.State{schemas.Requested, schemas.Planned, schemas.Running, schemas.Failed, schemas.Completed}
	var all []schemas.AffectedExport
	for after := ""; ; {
		page, err := h.Store.ExportsIn(ctx, states, e.Request.TenantID, after, pageSize)
		if err != nil {
			return nil, err
		}
		for _, x := range page {
			if x.TenantID != e.Request.TenantID { // the walk goes on to the next tenant
				return all, nil
			}
			n, err := h.Store.ErasedIn(ctx, e, x)
			if err != nil {
				return nil, err
			}
			if n > 0 {
				held := schemas.AffectedExport{ExportID: x.ExportID, State: x.State, Rows: n}
				if x.Completion != nil {
					held.ExpiresAt = x.Completion.ExpiresAt
				}
				all = append(all, held)
			}
			after = x.ExportID
		}
		if len(page) < pageSize {
			return all, nil
		}
	}
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

// about names the subject.
func about(r schemas.ErasureRequest) string {
	if r.ContactID != "" {
		return "contact " + strings.ToValidUTF8(r.ContactID, "")
	}
	return "interaction " + strings.ToValidUTF8(r.InteractionID, "")
}
