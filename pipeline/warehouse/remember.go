package warehouse

import (
	"context"
	"maps"
	"slices"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// carryOut reads on in the log, and carries out again what this ClickHouse does not know of,
// because it is new or restored from an older backup: none of it is stored when it returns, and
// Forgetting keeps it so. It returns how many erasures those were. After an error everything is
// to be read again. It holds some 300 bytes for each erasure that it carries out again, whatever
// that is about.
//
// It does not know of what is not recorded. Of the whole log that is also what is not done, for
// that may have been broken off: an erasure counts as done last. What comes later may not be
// done because whoever published it is at it.
func (f *Forgetting) carryOut(ctx context.Context, whole bool) (erasures int, err error) {
	unknown := map[string]*schemas.ErasedSubject{} // one of each erasure
	err = f.log.Read(ctx, func(subjects []*schemas.ErasedSubject) error {
		f.read = false // until all of it is carried out
		for page := range tables.Fitting(subjects, func(s *schemas.ErasedSubject) int {
			return max(len(s.Request.TenantID), len(s.Request.ErasureID), len(s.SubjectID))
		}) {
			missed, err := f.missing(ctx, page, whole)
			if err != nil {
				return err
			}
			if err := f.tables.RecordSubjects(ctx, missed); err != nil {
				return err
			}
			for _, s := range missed {
				unknown[s.Request.ID()] = s
			}
			last := erasedOf(page[len(page)-1])
			f.witnesses.read = &last
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

// missing returns the subjects that are not recorded, or, of the whole log, whose erasures are not
// done as far as ClickHouse knows.
func (f *Forgetting) missing(ctx context.Context, subjects []*schemas.ErasedSubject, whole bool) (missed []*schemas.ErasedSubject, err error) {
	all, requests := make([]Erased, len(subjects)), make([]schemas.ErasureRequest, len(subjects))
	for i, s := range subjects {
		all[i], requests[i] = erasedOf(s), s.Request
	}
	there, err := f.tables.Recorded(ctx, all)
	if err != nil {
		return nil, err
	}
	var done map[string]bool
	if whole {
		if done, err = f.record.DoneErasures(ctx, requests); err != nil {
			return nil, err
		}
	}
	for i, s := range subjects {
		if !there[all[i]] || whole && !done[s.Request.ID()] {
			missed = append(missed, s)
		}
	}
	return missed, nil
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
	// How much is only read again later is unknown.
	if e.Rows, err = f.tables.ErasedRows(ctx, e); err != nil {
		return err
	}
	return f.record.RememberErasure(ctx, e)
}
