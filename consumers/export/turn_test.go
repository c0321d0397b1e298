package export

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/schemas"
)

func message(offset int64, export string) schemas.Record[*schemas.ExportRequest] {
	return schemas.Record[*schemas.ExportRequest]{
		Event: &schemas.ExportRequest{TenantID: "acme", ExportID: export}, Offset: offset,
	}
}

func admit(ctx context.Context, w *Worker, all ...schemas.Record[*schemas.ExportRequest]) {
	for _, r := range all {
		w.Admit(ctx, schemas.Batch[*schemas.ExportRequest]{Records: []schemas.Record[*schemas.ExportRequest]{r}})
	}
}

func TestAMessageWaitsUntilTheOneBeforeAboutTheSameExportIsDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(Options{Registerer: prometheus.NewRegistry()})
		create, other, cancel, remove := message(0, "e"), message(1, "f"), message(2, "e"), message(3, "e")
		admit(t.Context(), w, create, other, cancel, remove)
		var order []int64
		turns := map[int64]*turn{}
		for _, r := range []schemas.Record[*schemas.ExportRequest]{remove, cancel, other, create} { // as goroutines may be scheduled
			go func() {
				turn, err := w.await(t.Context(), r)
				if err != nil {
					t.Error(err)
				}
				order, turns[r.Offset] = append(order, r.Offset), turn
			}()
			synctest.Wait()
		}
		if !slices.Equal(order, []int64{1, 0}) {
			t.Errorf("before the create is decided, %v may go on", order)
		}
		turns[0].decide() // accepted, and at work for hours
		synctest.Wait()
		w.done(cancel, turns[2])
		synctest.Wait()
		if !slices.Equal(order, []int64{1, 0, 2, 3}) {
			t.Errorf("the order is %v", order)
		}
		w.done(create, turns[0])
		w.done(other, turns[1])
		w.done(remove, turns[3])
		if len(w.turns.at)+len(w.turns.last) > 0 {
			t.Errorf("%d turns are left", len(w.turns.at))
		}
	})
}

func TestTurnsOfAPartitionThatWasTakenAwayAreForgotten(t *testing.T) {
	w := New(Options{Registerer: prometheus.NewRegistry()})
	gone, cancel := context.WithCancel(t.Context())
	admit(gone, w, message(0, "e"), message(1, "e"))
	cancel()
	admit(t.Context(), w, message(0, "e"))
	if _, err := w.await(t.Context(), message(0, "e")); err != nil || len(w.turns.at) != 1 {
		t.Errorf("%d turns, %v; the second assignment waits for the first", len(w.turns.at), err)
	}
}
