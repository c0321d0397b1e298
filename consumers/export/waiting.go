package export

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cdds/pipeline/answer"
	"cdds/schemas"
)

// An export that waits says so in its history: for ingest, for its turn, or for a service
// that does not do what it is asked for. Not at once, not more often than every ten seconds,
// and of all exports of a worker only so many at once, because ten thousand may wait.
const (
	tellAfter = time.Second
	tellEvery = 10 * time.Second
	tellMany  = 25
	// tellPause is between looks for those who have something to say.
	tellPause = tellAfter / 4
)

// keepTelling says again and again what exports wait for that are not in hand, until ctx ends.
func (w *Worker) keepTelling(ctx context.Context) {
	ticker := time.NewTicker(tellPause)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if all := w.toTell(w.Now()); len(all) > 0 {
			w.tell(ctx, all...)
		}
	}
}

// toTell is what is to be said now, and notes that it was: of those who have most to say,
// first those who never said anything.
func (w *Worker) toTell(now time.Time) (all []*schemas.ExportStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var due []*open
	for _, e := range w.queue.all {
		if e.place != inHand && now.Sub(e.waits) >= tellAfter && now.Sub(e.toldAt) >= tellEvery {
			due = append(due, e)
		}
	}
	slices.SortFunc(due, func(a, b *open) int {
		if c := a.toldAt.Compare(b.toldAt); c != 0 {
			return c
		}
		return a.compare(b)
	})
	for _, e := range due {
		why := "waiting for its turn: other exports are before it"
		if e.place == waiting {
			why = w.watches[e.topic].why(e)
		}
		if e.toldAt = now; why == e.told {
			continue
		}
		e.told = why
		all = append(all, &schemas.ExportStatus{TenantID: e.TenantID, ExportID: e.ExportID, State: schemas.Requested, Attempt: e.Attempt, Waiting: why})
		if len(all) == tellMany {
			break
		}
	}
	return all
}

// waits notes that a step fails, and says so once that has lasted.
func (r *run) waits(ctx context.Context, step string, part int, err error) {
	now := r.Now()
	r.mu.Lock()
	since, known := r.failing[step]
	if !known || now.Sub(r.lastFailed) > 2*lastPause { // what failed long ago works again
		since = now
		r.failing[step] = now
	}
	r.lastFailed = now
	why := waitsFor(step, part, err, since)
	due := now.Sub(since) >= tellAfter && (why != r.told || now.Sub(r.toldAt) >= tellEvery*6) && now.Sub(r.toldAt) >= tellEvery
	state := r.state
	due = due && !state.Ended() // that was reported; what is left to do is the worker's own
	if due {
		r.told, r.toldAt = why, now
	}
	r.mu.Unlock()
	if due {
		r.tell(ctx, &schemas.ExportStatus{
			TenantID: r.open.TenantID, ExportID: r.open.ExportID, State: state, Attempt: r.open.Attempt, Waiting: why,
		})
	}
}

// waitsFor is what an admin reads of a step that fails.
func waitsFor(step string, part int, err error, since time.Time) string {
	if part > 0 {
		step = fmt.Sprint("part ", part)
	}
	needs := ""
	if answer.NeedsOperator(err) {
		needs = "; this needs an operator"
	}
	return fmt.Sprintf("waiting since %s: %s fails and is retried: %s%s", schemas.TimeOf(since.Truncate(time.Second)), step, shortened(err.Error()), needs)
}

// tell reports what exports wait for. It tries once: who still waits says so again.
func (w *Worker) tell(ctx context.Context, all ...*schemas.ExportStatus) {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	events := make([]schemas.Event, len(all))
	for i, s := range all {
		s.Time, s.Worker = schemas.TimeOf(w.Now()), w.Name
		s.EventID = fmt.Sprintf("waiting/%020d", s.Time.UnixMilli())
		events[i] = s
	}
	if err := w.Publisher.Publish(ctx, events...); err != nil && ctx.Err() == nil {
		w.log(ctx).WarnContext(ctx, "what exports wait for is not reported", "exports", len(all), "error", err)
	}
}

const tellTimeout = 5 * time.Second
