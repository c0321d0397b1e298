package admin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cdds/ops/auth"
	"cdds/schemas"
)

// feed is history with the chains of jobs and an export. It counts how often it is asked.
type feed struct {
	History
	mu      sync.Mutex
	runs    map[string][]schemas.ChainRun
	failing error
	asked   atomic.Int64
}

// jobs has a job for every id.
type jobs struct{ Definitions }

func (jobs) Sync(context.Context) error { return nil }

func (jobs) Job(tenantID, jobID string) (schemas.Job, bool) {
	return schemas.Job{TenantID: tenantID, JobID: jobID, State: schemas.JobActive, Entity: schemas.EntityInteraction}, true
}

func (f *feed) ChainRuns(ctx context.Context, tenantID, jobID string, after, _ int) (later []schemas.ChainRun, err error) {
	f.asked.Add(1)
	select {
	case <-time.After(20 * time.Millisecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.runs[tenantID+"/"+jobID] {
		if r.Number > after {
			later = append(later, r)
		}
	}
	return later, f.failing
}

func (f *feed) Export(_ context.Context, tenantID, exportID string) (schemas.Export, bool, error) {
	f.asked.Add(1)
	time.Sleep(20 * time.Millisecond)
	return schemas.Export{TenantID: tenantID, ExportID: exportID, Events: 2}, true, nil
}

func (f *feed) end(job string, number int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs[job] = append(f.runs[job], schemas.ChainRun{Number: number, ExportID: fmt.Sprint(job, number)})
}

func (f *feed) office(t *testing.T) func(tenant string) *Handle {
	s := New(Options{History: f, Definitions: jobs{}})
	return func(tenant string) *Handle {
		h, err := s.For(auth.Principal{Subject: "user/ada", Name: "ada", Tenant: tenant, Role: schemas.RoleAdministrator}, tenant)
		if err != nil {
			t.Error(err)
		}
		return h
	}
}

func TestThousandsWhoWaitForTheNextRunOfAChainAskHistoryOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{runs: map[string][]schemas.ChainRun{}}
		f.end("acme/nightly", 7)
		office := f.office(t)
		const waiting, wait, comes = 2000, 50 * time.Second, 30 * time.Second
		began := time.Now()
		var group sync.WaitGroup
		var early, late atomic.Int64
		for n := range waiting {
			group.Go(func() {
				time.Sleep(time.Duration(n) * time.Millisecond) // they come one by one
				tenant := []string{"acme", "globex"}[n%2]
				chain, err := office(tenant).Chain(t.Context(), "nightly", 7, wait)
				took := time.Since(began)
				switch {
				case err != nil:
					t.Error(err)
				case tenant == "globex" && len(chain.Runs) == 0 && took >= wait-time.Second:
					late.Add(1)
				case tenant == "acme" && len(chain.Runs) == 1 && chain.Runs[0].Number == 8 && took >= comes && took < comes+3*time.Second:
					early.Add(1)
				default:
					t.Errorf("a caller of %s has %d runs after %s", tenant, len(chain.Runs), took)
				}
			})
		}
		time.Sleep(comes)
		f.end("acme/nightly", 8)
		group.Wait()
		if early.Load() != waiting/2 || late.Load() != waiting/2 {
			t.Errorf("%d callers had the run, %d waited to the end", early.Load(), late.Load())
		}
		if asked := f.asked.Load(); asked > int64((comes+wait)/chainPoll)+10 {
			t.Errorf("history was asked %d times for %d callers; those of a job share a question a second", asked, waiting)
		}
	})
}

func TestOneWhoDoesNotWaitHasTheAnswerOfNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{runs: map[string][]schemas.ChainRun{}}
		h := f.office(t)("acme")
		for number := 1; number < 4; number++ {
			f.end("acme/nightly", number)
			if chain, err := h.Chain(t.Context(), "nightly", 0, 0); err != nil || len(chain.Runs) != number {
				t.Errorf("after run %d ended the chain has %d, %v", number, len(chain.Runs), err)
			}
		}
	})
}

func TestACallerThatLeavesDoesNotTakeTheAnswerFromOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{runs: map[string][]schemas.ChainRun{}}
		office := f.office(t)
		ctx, leave := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := office("acme").Chain(ctx, "nightly", 0, time.Minute); !errors.Is(err, context.Canceled) {
				t.Errorf("the one that left has %v", err)
			}
		})
		time.Sleep(time.Millisecond)
		group.Go(func() {
			if chain, err := office("acme").Chain(t.Context(), "nightly", 0, time.Minute); err != nil || len(chain.Runs) != 1 {
				t.Errorf("the one that stayed has %d runs, %v", len(chain.Runs), err)
			}
		})
		time.Sleep(time.Millisecond)
		leave()
		time.Sleep(10 * time.Second)
		f.end("acme/nightly", 1)
		group.Wait()
	})
}

func TestAFailedAnswerIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{runs: map[string][]schemas.ChainRun{}, failing: errors.New("history is away")}
		h := f.office(t)("acme")
		if _, err := h.Chain(t.Context(), "nightly", 0, time.Minute); !errors.Is(err, f.failing) {
			t.Errorf("got %v", err)
		}
		time.Sleep(chainPoll)
		f.failing = nil
		f.end("acme/nightly", 1)
		if chain, err := h.Chain(t.Context(), "nightly", 0, time.Minute); err != nil || len(chain.Runs) != 1 {
			t.Errorf("afterwards the chain has %d runs, %v", len(chain.Runs), err)
		}
		time.Sleep(2 * chainPoll)
		if n := len(h.chains.answers); n != 0 {
			t.Errorf("%d answers are kept that nobody asks for", n)
		}
	})
}

func TestAllWhoFollowAnExportAskHistoryOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &feed{}
		office := f.office(t)
		const readers, seconds, poll = 500, 20, 500 * time.Millisecond
		var group sync.WaitGroup
		for range readers {
			group.Go(func() {
				for range seconds * int(time.Second/poll) {
					if e, err := office("acme").Watched(t.Context(), "e1", poll); err != nil || e.Events != 2 {
						t.Errorf("an export of %d events, %v", e.Events, err)
					}
					time.Sleep(poll)
				}
			})
		}
		group.Wait()
		if asked := f.asked.Load(); asked > 2*seconds+5 {
			t.Errorf("history was asked %d times for %d readers in %d s", asked, readers, seconds)
		}
	})
}
