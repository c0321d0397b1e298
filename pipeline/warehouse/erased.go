package warehouse

import (
	"context"
	"time"

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
		"SELECT DISTINCT kind, id FROM erased_subjects WHERE tenant_id = {tenant:String} AND erasure_id = {erasure:String}", eraseArguments(e)[:2],
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
	// RememberErasure says that an erasure is done, unless more is known of it, by now or
	// meanwhile.
	RememberErasure(ctx context.Context, e schemas.Erasure) error
	// DoneErasures returns which of erasures are done, by the ID of their requests.
	DoneErasures(ctx context.Context, requests []schemas.ErasureRequest) (map[string]bool, error)
}

// RecordSubjects records what is erased. Recorded again, it is the same.
func (w *Warehouse) RecordSubjects(ctx context.Context, subjects []*schemas.ErasedSubject) error {
	return w.db.Insert(ctx, "erased_subjects", erasedSubjectsColumns, func(block driver.Batch) error {
		for _, s := range subjects {
			if err := block.Append(s.Request.TenantID, s.Kind, s.SubjectID, s.Request.ErasureID, []int64(s.Interactions), []int64(s.Contacts)); err != nil {
				return err
			}
		}
		return nil
	})
}

// RecordErased notes and accounts for the positions of records that were not stored
// because they are erased.
func (w *Warehouse) RecordErased(ctx context.Context, rows []ErasedRow) error {
	err := w.db.Insert(ctx, "erased_rows", erasedRowsColumns, func(block driver.Batch) error {
		for _, r := range rows {
			if err := block.Append(string(r.Topic), r.Partition, r.Offset, r.TenantID, r.Time, r.ErasureID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	byTopic := map[schemas.Topic][]schemas.Run{}
	for _, r := range rows {
		byTopic[r.Topic] = append(byTopic[r.Topic], schemas.Run{Partition: r.Partition, First: r.Offset, Next: r.Offset + 1})
	}
	for topic, runs := range byTopic {
		if err := w.account(ctx, topic, kindErased, runs); err != nil {
			return err
		}
	}
	return nil
}

// ErasedState says whether more was erased, or less is known, than before.
type ErasedState struct {
	Count uint64
	// Newest is when the last was recorded, by ClickHouse's clock.
	Newest time.Time
}

// ErasedState reads a projection of one row for each part.
func (w *Warehouse) ErasedState(ctx context.Context) (s ErasedState, err error) {
	err = w.db.Scan(ctx, "look for erasures", "SELECT count(), max(recorded_at) FROM erased_subjects", nil, &s.Count, &s.Newest)
	return s, err
}

// EachErased calls each with the subjects that were recorded at or past since.
func (w *Warehouse) EachErased(ctx context.Context, since time.Time, each func(Erased, time.Time)) error {
	sql := "SELECT tenant_id, kind, id, erasure_id, recorded_at FROM erased_subjects"
	var args []any
	if !since.IsZero() {
		sql += " WHERE recorded_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')"
		args = append(args, tables.Named("since", since.UnixMicro()))
	}
	return w.db.Each(ctx, "read erasures", sql, args, func(rows driver.Rows) error {
		var e Erased
		var at time.Time
		err := rows.Scan(&e.TenantID, &e.Kind, &e.ID, &e.ErasureID, &at)
		each(e, at)
		return err
	})
}

// Recorded returns which of some subjects are recorded.
func (w *Warehouse) Recorded(ctx context.Context, all []Erased) (map[Erased]bool, error) {
	there := map[Erased]bool{}
	size := func(e Erased) int { return max(len(e.TenantID), len(e.Kind), len(e.ID), len(e.ErasureID)) }
	for some := range tables.Fitting(all, size) {
		subjects := make([]Subject, len(some))
		wanted := make(map[Erased]bool, len(some))
		for i, e := range some {
			subjects[i], wanted[e] = e.Subject, true
		}
		err := w.ErasuresOf(ctx, subjects, func(s Subject, f Forgotten) {
			if e := (Erased{s, f.ErasureID}); wanted[e] {
				there[e] = true
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return there, nil
}

// ErasuresOf calls each with the erasures of subjects.
func (w *Warehouse) ErasuresOf(ctx context.Context, subjects []Subject, each func(Subject, Forgotten)) error {
	for some := range tables.Fitting(subjects, func(s Subject) int { return max(len(s.TenantID), len(s.Kind), len(s.ID)) }) {
		tenants, kinds, ids := make([]string, len(some)), make([]string, len(some)), make([]string, len(some))
		for i, s := range some {
			tenants[i], kinds[i], ids[i] = s.TenantID, s.Kind, s.ID
		}
		err := w.db.Each(ctx, "look up erasures", `
SELECT tenant_id, kind, id, erasure_id, interactions, contacts FROM erased_subjects
WHERE (tenant_id, kind, id) IN (SELECT arrayJoin(arrayZip({tenants:Array(String)}, {kinds:Array(String)}, {ids:Array(String)})))`,
			[]any{tables.Named("tenants", tenants), tables.Named("kinds", kinds), tables.Named("ids", ids)},
			func(rows driver.Rows) error {
				var s Subject
				var e Forgotten
				var interactions, contacts []int64
				if err := rows.Scan(&s.TenantID, &s.Kind, &s.ID, &e.ErasureID, &interactions, &contacts); err != nil {
					return err
				}
				e.Interactions, e.Contacts = interactions, contacts
				each(s, e)
				return nil
			})
		if err != nil {
			return err
		}
	}
	return nil
}
