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
// Of the whole log that is what is not done, for it may have been broken off: an erasure counts
// as done last. Of what comes later it is what is not recorded: whoever published it had
// recorded it, and may be at it.
func (f *Forgetting) carryOut(ctx context.Context, whole bool) (erasures int, err error) {
	unknown := map[string]*schemas.ErasedSubject{} // one of each erasure
	missing := f.notRecorded
	if whole {
		missing = f.notDone
	}
	err = f.log.Read(ctx, func(subjects []*schemas.ErasedSubject) error {
		f.read = false // until all of it is carried out
		for page := range tables.Fitting(subjects, func(s *schemas.ErasedSubject) int {
			return max(len(s.Request.TenantID), len(s.Request.ErasureID), len(s.SubjectID))
		}) {
			missed, err := missing(ctx, page)
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

// notRecorded returns the subjects that ClickHouse does not know of.
func (f *Forgetting) notRecorded(ctx context.Context, subjects []*schemas.ErasedSubject) (missed []*schemas.ErasedSubject, err error) {
	all := make([]Erased, len(subjects))
	for i, s := range subjects {
		all[i] = erasedOf(s)
	}
	there, err := f.tables.Recorded(ctx, all)
	for i, s := range subjects {
		if !there[all[i]] {
			missed = append(missed, s)
		}
	}
	return missed, err
}

// notDone returns the subjects whose erasures are not done as far as ClickHouse knows.
func (f *Forgetting) notDone(ctx context.Context, subjects []*schemas.ErasedSubject) (missed []*schemas.ErasedSubject, err error) {
	requests := make([]schemas.ErasureRequest, len(subjects))
	for i, s := range subjects {
		requests[i] = s.Request
	}
	done, err := f.record.DoneErasures(ctx, requests)
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
