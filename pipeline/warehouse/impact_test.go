package warehouse_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// recordErased records that an interaction was erased, twice as a retry does, and returns from and
// before when that was: what is recorded again and merged is known since the first time.
func recordErased(t *testing.T, w *warehouse.Warehouse, tenant, id string) (began, ended schemas.Time) {
	t.Helper()
	now := func() time.Time {
		at, _, err := w.ErasedUntil(t.Context(), tenant, schemas.EntityInteraction, time.Time{})
		check(t, err)
		return at
	}
	subject := []*schemas.ErasedSubject{{Request: schemas.ErasureRequest{TenantID: tenant, ErasureID: "before"}, Kind: schemas.ErasedInteraction, SubjectID: id}}
	began = schemas.TimeOf(now())
	check(t, w.RecordSubjects(t.Context(), subject))
	ended = schemas.TimeOf(now().Add(2 * time.Millisecond)) // times of exports have no microseconds
	for now().Before(ended.Time) {
	}
	check(t, w.RecordSubjects(t.Context(), subject))
	check(t, stacktest.ClickHouse(t).Exec(t.Context(), "OPTIMIZE TABLE erased_subjects FINAL"))
	return began, ended
}

// TestTheExportsThatHoldAnInteractionAreThoseWhoseModelHasIt compares which exports an
// erasure names with the rows that the model says each has, over arbitrary histories,
// filters, ranges and snapshots.
func TestTheExportsThatHoldAnInteractionAreThoseWhoseModelHasIt(t *testing.T) {
	w := open(t)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		if runs++; runs > 15 { // each costs queries; the seed varies from run to run
			return
		}
		tenant := fmt.Sprintf("impact-%d-%d", time.Now().UnixNano(), runs)
		all := versions(rt)
		for i, v := range all { // of few ids, so that each has many versions, in several partitions
			n := slices.Index(oddIDs, v.id) % 3
			all[i].id, all[i].at = oddIDs[n], schemas.TimeOf(from.Add(time.Duration(n)*24*40*time.Hour))
		}
		insert(t, rt, w, tenant, all)
		ends := make(schemas.Snapshot, 3)
		for _, v := range all {
			ends[v.partition] = max(ends[v.partition], v.offset+1)
		}
		snapshot := func(label string) (s schemas.Snapshot) {
			for p := range rapid.IntRange(1, 3).Draw(rt, label+" partitions") {
				s = append(s, ends[p]-rapid.Int64Range(0, ends[p]).Draw(rt, label))
			}
			return s
		}
		erased := snapshot("erasure")
		told := oddIDs[rapid.IntRange(0, 2).Draw(rt, "erased before")]
		began, ended := recordErased(t, w, tenant, told)
		goes := func(v version, ids []string) bool {
			return slices.Contains(ids, v.id) && int(v.partition) < len(erased) && v.offset < erased[v.partition]
		}
		var exports []schemas.Export
		var have [][]version
		for n := range 40 {
			r := &schemas.ExportRequest{TenantID: tenant, ExportID: fmt.Sprintf("e%d", n), Entity: schemas.EntityInteraction, From: from, To: until}
			if rapid.Bool().Draw(rt, "filtered") {
				r.MediaTypes = []string{"chat"}
			}
			if rapid.Bool().Draw(rt, "people") {
				r.Contacts = []string{"ann", "nobody"}
			}
			if rapid.Bool().Draw(rt, "range") {
				r.From, r.To = schemas.TimeOf(from.Add(24*40*time.Hour)), schemas.TimeOf(from.Add(3*24*40*time.Hour))
			}
			x := schemas.Export{
				TenantID: tenant, ExportID: r.ExportID, State: schemas.Completed, Request: r, Events: 1,
				Snapshot: snapshot("snapshot"),
			}
			q := warehouse.Query{Filter: r.Filter(), Snapshot: x.Snapshot}
			if rapid.Bool().Draw(rt, "ages") {
				x.HistoryFrom = schemas.TimeOf(from.Add(24 * 20 * time.Hour))
				if x.HistoryFrom.Compare(q.Filter.From) > 0 {
					q.Filter.From = x.HistoryFrom
				}
			}
			if rapid.Bool().Draw(rt, "continues") {
				x.Continues = &schemas.Continued{Filter: r.Filter()}
				if rapid.Bool().Draw(rt, "another filter") {
					x.Continues.Filter.MediaTypes = []string{"voice"}
				}
				for _, end := range x.Snapshot { // it lies within the snapshot
					x.Continues.Snapshot = append(x.Continues.Snapshot, end-rapid.Int64Range(0, end).Draw(rt, "since"))
				}
				q.Before = &warehouse.Before{Filter: x.Continues.Filter, Snapshot: x.Continues.Snapshot}
				x.Continues.ErasedFrom, x.Continues.ErasedTo = schemas.TimeOf(began.Add(-time.Hour)), began
				if rapid.Bool().Draw(rt, "carries what was erased before") {
					x.Continues.ErasedFrom, x.Continues.ErasedTo = began, ended
					q.Before.ErasedFrom, q.Before.ErasedTo = began.Time, ended.Time
				}
			}
			for n, id := range oddIDs[:3] { // a file for each row, and one for what was removed
				key := schemas.RowKey{Time: schemas.TimeOf(from.Add(time.Duration(n) * 24 * 40 * time.Hour)), ID: id}
				x.Parts = append(x.Parts, schemas.Receipt{Name: fmt.Sprint("rows-", n), Part: schemas.Part{Number: n + 1, First: key, Last: key}})
			}
			x.Parts = append(x.Parts, schemas.Receipt{Name: "removed", Part: schemas.Part{Number: 4, Kind: schemas.KindRemoved, First: x.Parts[0].First, Last: x.Parts[2].Last}})
			exports, have = append(exports, x), append(have, expected(all, q, told))
		}
		for _, ids := range [][]string{oddIDs[:1], oddIDs[1:2], oddIDs[2:3], oddIDs[3:4], oddIDs[1:4]} {
			impact, err := w.Impact(t.Context(), schemas.Erasure{Interactions: erased, Request: schemas.ErasureRequest{TenantID: tenant, ErasureID: "case", Interactions: ids}})
			check(t, err)
			got, want := map[string]int64{}, map[string]int64{}
			parts, wantParts := map[string][]string{}, map[string][]string{}
			for _, x := range exports {
				if n := impact.HeldBy(x); n > 0 {
					got[x.ExportID] = n
				}
				parts[x.ExportID] = impact.PartsOf(x)
			}
			for n, rows := range have {
				for _, v := range rows {
					if goes(v, ids) {
						want[exports[n].ExportID]++
						wantParts[exports[n].ExportID] = append(wantParts[exports[n].ExportID], fmt.Sprint("rows-", slices.Index(oddIDs, v.id)))
					}
				}
			}
			for _, x := range exports {
				if !slices.Equal(parts[x.ExportID], wantParts[x.ExportID]) {
					rt.Fatalf("of %q the files %v of %s hold some, want %v", ids, parts[x.ExportID], x.ExportID, wantParts[x.ExportID])
				}
			}
			versions := int64(0)
			of := map[string]int64{}
			for _, v := range all {
				if goes(v, ids) {
					versions++
					of[v.id]++
				}
			}
			for _, o := range impact.Outcomes() {
				if o.Rows != of[o.ID] || (o.Outcome == schemas.ErasureNothingFound) != (o.Rows == 0) {
					rt.Fatalf("of %q %d versions are %s, want %d", o.ID, o.Rows, o.Outcome, of[o.ID])
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) || impact.Versions != versions {
				rt.Fatalf("of %q %d versions go and %v hold it, want %d and %v", ids, impact.Versions, got, versions, want)
			}
		}
	})
}
