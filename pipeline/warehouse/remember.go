package warehouse

import (
	"context"
	"maps"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// subjectsAtOnce bounds what ErasedSubjects hands over at a time.
const subjectsAtOnce = 1000

// ErasedSubjects calls each with what Erase found an erasure to be about, up to a
// thousand at a time, their ErasedAt left to the caller.
func (w *Warehouse) ErasedSubjects(ctx context.Context, e schemas.Erasure, each func([]*schemas.ErasedSubject) error) error {
	var page []*schemas.ErasedSubject
	err := w.db.Each(ctx, "read what erasure "+e.Request.ErasureID+" is about",
		"SELECT kind, id FROM erased_subjects FINAL WHERE tenant_id = {tenant:String} AND erasure_id = {erasure:String}", eraseArguments(e)[:2],
		func(rows driver.Rows) error {
			s := &schemas.ErasedSubject{Request: e.Request.WithoutLists(), Interactions: e.Interactions, Contacts: e.Contacts}
			err := rows.Scan(&s.Kind, &s.SubjectID)
			if page = append(page, s); err == nil && len(page) == subjectsAtOnce {
				err = each(page)
				page = nil
			}
			return err
		})
	if err != nil || len(page) == 0 {
		return err
	}
	return each(page)
}

// ErasureRecord says where erasures stand; *ledger.Ledger does.
type ErasureRecord interface {
	Erasure(ctx context.Context, tenantID, erasureID string) (schemas.Erasure, bool, error)
	SaveErasure(ctx context.Context, e schemas.Erasure) error
	// DoneErasures returns which of erasures are done, by the ID of their requests.
	DoneErasures(ctx context.Context, requests []schemas.ErasureRequest) (map[string]bool, error)
}

// Remember reads all that was ever erased, and carries out again what this ClickHouse does
// not know of, because it is new or restored from an older backup: none of it is stored
// when Remember returns, and Forgetting keeps it so. It returns how many erasures those
// were. It is safe to repeat, and to break off anywhere: an erasure counts as done last. It
// holds some 300 bytes for each erasure that it carries out again, whatever that is about.
func (w *Warehouse) Remember(ctx context.Context, log ErasedLog, record ErasureRecord) (erasures int, err error) {
	unknown := map[string]*schemas.ErasedSubject{} // one of each erasure
	err = log(ctx, func(subjects []*schemas.ErasedSubject) error {
		for page := range tables.Fitting(subjects, func(s *schemas.ErasedSubject) int { return max(len(s.Request.TenantID), len(s.Request.ErasureID)) }) {
			missed, err := notDone(ctx, record, page)
			if err != nil {
				return err
			}
			if err := w.insertSubjects(ctx, missed); err != nil {
				return err
			}
			for _, s := range missed {
				unknown[s.Request.ID()] = s
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, id := range slices.Sorted(maps.Keys(unknown)) {
		if err := w.rememberErasure(ctx, record, unknown[id]); err != nil {
			return erasures, err
		}
		erasures++
	}
	return erasures, nil
}

// notDone returns the subjects whose erasures are not done as far as ClickHouse knows.
func notDone(ctx context.Context, record ErasureRecord, subjects []*schemas.ErasedSubject) (missed []*schemas.ErasedSubject, err error) {
	requests := make([]schemas.ErasureRequest, len(subjects))
	for i, s := range subjects {
		requests[i] = s.Request
	}
	done, err := record.DoneErasures(ctx, requests)
	for _, s := range subjects {
		if !done[s.Request.ID()] {
			missed = append(missed, s)
		}
	}
	return missed, err
}

// rememberErasure carries out again the erasure of a subject, as of the point it had. All
// its subjects are recorded.
func (w *Warehouse) rememberErasure(ctx context.Context, record ErasureRecord, first *schemas.ErasedSubject) error {
	e := schemas.Erasure{
		Request: first.Request, State: schemas.ErasureDone, Interactions: first.Interactions, Contacts: first.Contacts,
		AcceptedAt: first.ErasedAt, DoneAt: first.ErasedAt, Exports: []schemas.AffectedExport{},
	}
	if err := w.removeErased(ctx, e); err != nil {
		return err
	}
	_, known, err := record.Erasure(ctx, e.Request.TenantID, e.Request.ErasureID)
	if err != nil || known { // the erasure role is at it
		return err
	}
	// Of what is read again only later it cannot be told how much it was.
	if e.Rows, err = w.ErasedRows(ctx, e); err != nil {
		return err
	}
	return record.SaveErasure(ctx, e)
}

func (w *Warehouse) insertSubjects(ctx context.Context, subjects []*schemas.ErasedSubject) error {
	return w.db.Insert(ctx, "erased_subjects", erasedSubjectsColumns, func(block driver.Batch) error {
		for _, s := range subjects {
			if err := block.Append(s.Request.TenantID, s.Kind, s.SubjectID, s.Request.ErasureID, []int64(s.Interactions), []int64(s.Contacts)); err != nil {
				return err
			}
		}
		return nil
	})
}
