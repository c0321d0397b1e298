package warehouse

import (
	"context"
	"maps"
	"slices"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// rememberAll reads all that was ever erased, and carries out again what this ClickHouse does
// not know of, because it is new or restored from an older backup: none of it is stored
// when it returns, and Forgetting keeps it so. It returns how many erasures those
// were. It is safe to repeat, and to break off anywhere: an erasure counts as done last. It
// holds some 300 bytes for each erasure that it carries out again, whatever that is about.
func (f *Forgetting) rememberAll(ctx context.Context) (erasures int, err error) {
	unknown := map[string]*schemas.ErasedSubject{} // one of each erasure
	err = f.log(ctx, func(subjects []*schemas.ErasedSubject) error {
		for page := range tables.Fitting(subjects, func(s *schemas.ErasedSubject) int { return max(len(s.Request.TenantID), len(s.Request.ErasureID)) }) {
			missed, err := notDone(ctx, f.record, page)
			if err != nil {
				return err
			}
			if err := f.tables.RecordSubjects(ctx, missed); err != nil {
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
		if err := f.rememberErasure(ctx, unknown[id]); err != nil {
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
func (f *Forgetting) rememberErasure(ctx context.Context, first *schemas.ErasedSubject) error {
	e := schemas.Erasure{
		Request: first.Request, State: schemas.ErasureDone, Interactions: first.Interactions, Contacts: first.Contacts,
		AcceptedAt: first.ErasedAt, DoneAt: first.ErasedAt, Exports: []schemas.AffectedExport{},
	}
	if err := f.tables.RemoveErased(ctx, e); err != nil {
		return err
	}
	_, known, err := f.record.Erasure(ctx, e.Request.TenantID, e.Request.ErasureID)
	if err != nil || known { // the erasure role is at it
		return err
	}
	// Of what is read again only later it cannot be told how much it was.
	if e.Rows, err = f.tables.ErasedRows(ctx, e); err != nil {
		return err
	}
	return f.record.SaveErasure(ctx, e)
}
