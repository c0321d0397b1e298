package ledger_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// What finds its rows by a column that folds change also finds rows that a later fold replaced and
// no merge has dropped yet.
func TestCountsAndListingsGoByTheNewestFold(t *testing.T) {
	l := open(t)
	for seed := range uint64(20) {
		random, tenant := rand.New(rand.NewPCG(seed, 23)), fmt.Sprintf("newest-%d", seed)
		newest := map[string]schemas.Export{}
		for range 5 {
			var some []schemas.Export
			for n := range 1 + random.IntN(6) {
				e := schemas.Export{
					TenantID: tenant, ExportID: fmt.Sprintf("e%d", n), Events: 1 + random.IntN(1000), RequestedAt: from, UpdatedAt: from,
					State: schemas.States()[random.IntN(len(schemas.States()))], Done: schemas.Totals{Rows: int64(random.IntN(100))},
					Completion: &schemas.Completion{ManifestBytes: int64(random.IntN(100)), SignatureBytes: 7},
					Request:    &schemas.ExportRequest{Entity: schemas.EntityInteraction},
				}
				if random.IntN(2) == 0 {
					e.RemovedAt = from
				}
				if before, ok := newest[e.ExportID]; ok && before.Events == e.Events {
					continue // a number of events is one fold
				}
				if newest[e.ExportID].Events < e.Events {
					newest[e.ExportID] = e
				}
				some = append(some, e)
			}
			check(t, l.SaveExports(t.Context(), some))
		}
		want := ledger.Overview{Exports: map[string]int64{}}
		for _, e := range newest {
			want.Exports[string(e.State)]++
			if e.State == schemas.Completed {
				want.ExportedRows += e.Done.Rows
			}
			if e.RemovedAt.IsZero() {
				want.Artifacts += 2
				want.ArtifactBytes += e.Completion.ManifestBytes + e.Completion.SignatureBytes
			}
		}
		got, err := l.Overview(t.Context(), tenant)
		check(t, err)
		if !maps.Equal(got.Exports, want.Exports) || got.ExportedRows != want.ExportedRows || got.Artifacts != want.Artifacts || got.ArtifactBytes != want.ArtifactBytes {
			t.Errorf("seed %d: counted %+v, want %+v", seed, got, want)
		}
		for _, states := range [][]schemas.State{{schemas.Failed, schemas.Refused}, {schemas.Requested, schemas.Planned, schemas.Running}, {schemas.Failed, schemas.Expired}} {
			filter := ledger.ExportFilter{TenantID: tenant}
			for _, s := range states {
				filter.States = append(filter.States, string(s))
			}
			var want, got []string
			for id, e := range newest {
				if slices.Contains(states, e.State) {
					want = append(want, id)
				}
			}
			listed, err := l.ListExports(t.Context(), filter, ledger.Page{Sort: "export_id", Ascending: true, Limit: 10})
			check(t, err)
			for _, e := range listed.Rows {
				got = append(got, e.ExportID)
			}
			if slices.Sort(want); !slices.Equal(got, want) {
				t.Errorf("seed %d: in %v are listed %v, want %v", seed, states, got, want)
			}
		}
	}
}
