package admin

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cdds/ops/auth"
	"cdds/pipeline/ledger"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// slow is a History whose counts take a second, instant the rest of what is counted.
type slow struct{ History }

type instant struct {
	Rows
	Positions
}

func (slow) Overview(context.Context, string) (ledger.Overview, error) {
	time.Sleep(time.Second)
	return ledger.Overview{}, nil
}

func (instant) Stored(context.Context, string) (warehouse.Stored, error) {
	return warehouse.Stored{}, nil
}

func (instant) Hours(context.Context, string, schemas.Time) ([]warehouse.HourCount, error) {
	return nil, nil
}

func (instant) EndOffsets(context.Context, schemas.Topic) (schemas.Snapshot, error) { return nil, nil }

func (instant) Ingested(context.Context, schemas.Topic) (schemas.Snapshot, error) { return nil, nil }

func TestTheOverviewSaysWhenItsCountsWereMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &Handle{Service: &Service{Options: Options{History: slow{}, Rows: instant{}, Positions: instant{}, Now: time.Now}}, tenant: schemas.AllTenants}
		h.who = auth.Principal{Subject: "user/ada", Name: "ada", Tenant: schemas.AllTenants, Role: schemas.RoleOperator}
		counted := schemas.TimeOf(time.Now())
		for range 3 { // of which only the first one counts
			o, err := h.Overview(t.Context())
			if err != nil || !o.AsOf.Equal(counted.Time) {
				t.Errorf("at %s the counts are as of %s, want %s (%v)", schemas.TimeOf(time.Now()), o.AsOf, counted, err)
			}
			time.Sleep(5 * time.Second)
		}
		time.Sleep(time.Minute)
	})
}

// The counts of all tenants grow for as long as the system runs.
func TestWhoFirstLooksAtAllTenantsDoesNotWaitForTheirCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{History: slow{}, Rows: instant{}, Positions: instant{}})
		h := &Handle{Service: s, tenant: schemas.AllTenants}
		h.who = auth.Principal{Subject: "user/ada", Name: "ada", Tenant: schemas.AllTenants, Role: schemas.RoleOperator}
		ctx, stop := context.WithCancel(t.Context())
		var counting sync.WaitGroup
		counting.Go(func() {
			if err := s.KeepCounting(ctx); err != nil {
				t.Error(err)
			}
		})
		for _, pause := range []time.Duration{50 * time.Second, 7 * time.Minute, 3 * time.Hour} {
			time.Sleep(pause)
			began := time.Now()
			o, err := h.Overview(ctx)
			if waited, age := time.Since(began), began.Sub(o.AsOf.Time); err != nil || waited > moment || age > countEvery+time.Second {
				t.Errorf("a first look waited %s for counts of %s ago (%v)", waited, age, err)
			}
		}
		stop()
		counting.Wait()
		time.Sleep(2 * countedLeast)
	})
}
