package export

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cdds/pipeline"
	"cdds/schemas"
)

// watch looks how far ingest of a topic is, for all exports that wait for it: Kafka and
// ClickHouse are asked as often for one as for ten thousand. That ingest has committed a
// snapshot is not enough: ClickHouse may have lost rows since, and an export without them
// would be signed as complete.
type watch struct {
	topic schemas.Topic
	// wake has room for one: an export began to wait.
	wake chan struct{}
	// asking is held while it is looked what is missing.
	asking turn
	// next is the question that is asked next, which whoever comes now joins.
	nextMu turn
	next   *question

	// Below is Run's alone.

	// stirred is when something happened last: an export came, or one could go on.
	stirred time.Time

	// Below is written under the worker's lock.

	// err is why looking fails, failing since when.
	err     error
	failing time.Time
	// reached and reachedAt are how far ingest was, and when: its rate is measured from there.
	reached   schemas.Snapshot
	reachedAt time.Time
	rate      float64 // records a second
}

func newWatch(topic schemas.Topic) *watch {
	return &watch{topic: topic, wake: make(chan struct{}, 1), asking: newTurn(), nextMu: newTurn()}
}

// turn is a mutex that may be held while services are asked: whoever waits for it is seen
// to wait, not to work, where time is simulated (testing/synctest).
type turn chan struct{}

func newTurn() turn    { return make(turn, 1) }
func (t turn) lock()   { t <- struct{}{} }
func (t turn) unlock() { <-t }

const (
	// lookSoon and lookLate bound the pause between looks. It grows to an eighth of the time
	// since anything happened: an export that has waited for long can wait a little longer.
	lookSoon = 20 * time.Millisecond
	lookLate = time.Second
	// maxGaps bounds the gaps that one look compares with the exports that wait.
	maxGaps = 1000
)

// pause is the time until the next look.
func (t *watch) pause(now time.Time) time.Duration {
	return min(max(now.Sub(t.stirred)/8, lookSoon), lookLate)
}

var (
	// errLost says that ClickHouse does not have what ingest had stored.
	errLost = errors.New("ClickHouse has lost them; ingest reads them again")
	// errGone says that nobody has it any more.
	errGone = errors.New("neither ClickHouse nor Kafka has them any more")
)

// keepLooking looks for as long as exports wait, until ctx ends.
func (w *Worker) keepLooking(ctx context.Context, t *watch) {
	for {
		var later <-chan time.Time
		if w.waitFor(t.topic) > 0 {
			later = time.After(t.pause(w.Now()))
		}
		select {
		case <-t.wake:
			t.stirred = w.Now()
		case <-later:
		case <-ctx.Done():
			return
		}
		w.look(ctx, t)
	}
}

// waitFor is how many exports wait for ingest of a topic.
func (w *Worker) waitFor(topic schemas.Topic) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue.waiting[topic])
}

// look finds out which of the exports that wait can go on.
func (w *Worker) look(ctx context.Context, t *watch) {
	if w.waitFor(t.topic) == 0 {
		return
	}
	w.metrics.looks.WithLabelValues(string(t.topic)).Inc()
	reached, err := w.stand(ctx, t)
	if ctx.Err() != nil {
		return
	}
	now := w.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		t.failing = time.Time{}
	} else if t.failing.IsZero() {
		t.failing = now
	}
	t.err = err
	for e := range w.queue.waiting[t.topic] {
		if err != nil && (pipeline.IsPermanent(err) || now.Sub(later(t.failing, e.waits)) > w.RetryFor) {
			w.goOn(t, e, failure{"barrier", 0, err}, now)
		}
	}
	for _, l := range reached {
		switch l.e.lost = l.lost; {
		case l.e.place != waiting: // it ended, or was lost, meanwhile
		case len(l.gone) > 0, l.lost > 0 && now.Sub(l.e.waits) > w.IngestWait:
			w.goOn(t, l.e, failure{"barrier", 0, l.reason(t.topic)}, now)
		case err == nil && l.lost == 0 && !l.unknown:
			w.goOn(t, l.e, nil, now)
		}
	}
	w.dispatch()
}

// goOn ends the wait of an export, which is carried out or, with an error, fails. w.mu is
// held.
func (w *Worker) goOn(t *watch, e *open, failed error, now time.Time) {
	t.stirred = now
	e.passed, e.failed, e.passedAt = failed == nil, failed, now
	w.metrics.barrierSeconds.Observe(now.Sub(e.waits).Seconds())
	w.queue.makeReady(e)
}

// lack is what an export lacks although ingest is past its snapshot.
type lack struct {
	e *open
	// lost is how many records are not there; gone are those of them that Kafka does not have
	// either.
	lost int64
	gone []schemas.Run
	// unknown says that it is not known whether any are lost.
	unknown bool
}

// reason is why an export that lacks records is given up.
func (l *lack) reason(topic schemas.Topic) error {
	if len(l.gone) > 0 {
		return fmt.Errorf("records of %s are missing: %s: %w", topic, schemas.Places(l.gone), errGone)
	}
	return fmt.Errorf("missing: %s of %s that ingest had stored: %w", schemas.Counted(l.lost, "record"), topic, errLost)
}

// why is what an admin reads of an export that waits for ingest. w.mu is held.
func (t *watch) why(e *open) string {
	switch {
	case t.err != nil:
		return fmt.Sprintf("waiting to learn how far ingest is; retrying: %v", t.err)
	case e.lost > 0:
		return fmt.Sprintf("waiting for %s of %s that ingest had stored: %v", schemas.Counted(e.lost, "record"), t.topic, errLost)
	case e.behind > 0 && t.rate >= 1:
		left := time.Duration(float64(e.behind) / t.rate * float64(time.Second))
		return fmt.Sprintf("waiting for ingest: %s behind, about %s", schemas.Counted(e.behind, "record"), max(left.Round(time.Second), time.Second))
	case e.behind > 0:
		return "waiting for ingest: " + schemas.Counted(e.behind, "record") + " behind"
	}
	return "waiting to learn how far ingest is"
}

// stand notes how far ingest is behind each export that waits, and returns those it has
// reached with what they lack.
func (w *Worker) stand(ctx context.Context, t *watch) (reached []*lack, err error) {
	done, err := w.Log.Ingested(ctx, t.topic)
	if err != nil {
		return nil, err
	}
	var below reach
	w.mu.Lock()
	now := w.Now()
	t.progress(done, now)
	for e := range w.queue.waiting[t.topic] {
		if e.behind = e.snapshot.Behind(done); e.behind > 0 {
			e.lost = 0 // else what was lost at the last look is lost until this one says otherwise
		}
		switch waited := now.Sub(e.waits); {
		case e.behind == 0:
			reached = append(reached, &lack{e: e})
			below = below.with(e.snapshot)
		case waited > w.IngestWait:
			w.goOn(t, e, failure{"barrier", 0, fmt.Errorf("ingest is still %s behind after %s", schemas.Counted(e.behind, "record"), waited.Round(time.Second))}, now)
		}
	}
	w.mu.Unlock()
	if len(reached) == 0 {
		return nil, nil
	}
	slices.SortFunc(reached, func(a, b *lack) int { return a.e.compare(b.e) }) // the order in which they go on
	lost, err := w.missing(ctx, t, below)
	if err != nil || lost == 0 {
		return reached, err
	}
	for _, s := range below {
		of := slices.DeleteFunc(slices.Clone(reached), func(l *lack) bool { return !l.e.snapshot.SameIncarnations(s) })
		if err := w.standLost(ctx, t, s, of); err != nil {
			return reached, err
		}
	}
	return reached, nil
}

// standLost finds out which exports lack records of those that ingest has reached, and whose
// snapshots are of the same incarnations and hold no more than below.
func (w *Worker) standLost(ctx context.Context, t *watch, below schemas.Snapshot, reached []*lack) error {
	used, err := w.Log.Used(ctx, t.topic, below)
	if err != nil {
		return err
	}
	gaps, more, err := w.Ledger.Gaps(ctx, t.topic, used, maxGaps)
	if err != nil {
		return err
	}
	gone, err := w.Log.Gone(ctx, t.topic, gaps)
	if err != nil {
		return err
	}
	var oldest *lack
	for _, l := range reached {
		l.lost, _ = within(gaps, l.e.snapshot)
		_, l.gone = within(gone, l.e.snapshot)
		if l.unknown = l.lost == 0 && more; l.unknown && (oldest == nil || l.e.compare(oldest.e) < 0) {
			oldest = l // it may lack records that are not listed
		}
	}
	if oldest == nil {
		return nil
	}
	if oldest.lost, err = w.missing(ctx, t, reach{oldest.e.snapshot}); err == nil {
		oldest.unknown = false
	}
	return err
}

// within is what of runs lies below a snapshot, and how many positions that is.
func within(runs []schemas.Run, below schemas.Snapshot) (n int64, all []schemas.Run) {
	for _, r := range runs {
		if int(r.Partition) < len(below) && r.First < below[r.Partition] {
			r.Next = min(r.Next, below[r.Partition])
			n += r.Next - r.First
			all = append(all, r)
		}
	}
	return n, all
}

// reach is what some snapshots hold: one snapshot for each vector of incarnations. A later one
// cannot stand for one of an earlier incarnation, which may hold records that nobody else knows
// of: Kafka forgets what was sealed of a topic together with the topic.
type reach []schemas.Snapshot

// with is what r and s hold.
func (r reach) with(s schemas.Snapshot) reach {
	for i, has := range r {
		if has.SameIncarnations(s) {
			all := slices.Clone(r)
			all[i] = has.Joined(s)
			return all
		}
	}
	return append(r[:len(r):len(r)], s)
}

// used are the positions that records had, without repetition.
func (w *Worker) used(ctx context.Context, topic schemas.Topic, below reach) ([]schemas.Run, error) {
	var all []schemas.Run
	for _, s := range below {
		used, err := w.Log.Used(ctx, topic, s)
		if err != nil {
			return nil, err
		}
		all = append(all, used...)
	}
	return schemas.Union(all), nil
}

// progress notes how fast ingest is, over a second or more.
func (t *watch) progress(done schemas.Snapshot, now time.Time) {
	if t.reached == nil || len(t.reached) != len(done) || now.Sub(t.reachedAt) > time.Minute {
		t.reached, t.reachedAt, t.rate = done, now, 0
		return
	}
	if took := now.Sub(t.reachedAt); took >= time.Second {
		t.rate = float64(done.Records()-t.reached.Records()) / took.Seconds()
		t.reached, t.reachedAt = done, now
	}
}

// question is how many records below a snapshot are missing. Whoever wants to know before
// it is asked joins it.
type question struct {
	below reach
	asked chan struct{}
	lost  int64
	err   error
}

// missing is how many records below snapshots are not accounted for at some moment after
// the call. It is 0 only if none is.
func (w *Worker) missing(ctx context.Context, t *watch, below reach) (int64, error) {
	t.nextMu.lock()
	q := t.next
	if q == nil {
		q = &question{asked: make(chan struct{})}
		t.next = q
	}
	first := q.below == nil
	for _, s := range below {
		q.below = q.below.with(s)
	}
	t.nextMu.unlock()
	if !first {
		select {
		case <-q.asked:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	} else {
		t.asking.lock() // those who come meanwhile join
		t.nextMu.lock()
		t.next = nil
		t.nextMu.unlock()
		q.lost, q.err = w.unaccounted(ctx, t.topic, q.below)
		close(q.asked)
		t.asking.unlock()
	}
	switch {
	case errors.Is(q.err, context.Canceled) && ctx.Err() == nil: // somebody else's
		return w.missing(ctx, t, below)
	case q.err == nil && q.lost > 0 && !q.below.same(below): // others' records, perhaps
		return w.unaccounted(ctx, t.topic, below)
	}
	return q.lost, q.err
}

func (r reach) same(other reach) bool { return slices.EqualFunc(r, other, same) }

func same(a, b schemas.Snapshot) bool {
	_, more := a.Past(b)
	_, less := b.Past(a)
	return !more && !less
}

// unaccounted asks how many records below snapshots are not accounted for.
func (w *Worker) unaccounted(ctx context.Context, topic schemas.Topic, below reach) (int64, error) {
	used, err := w.used(ctx, topic, below)
	if err != nil {
		return 0, err
	}
	return w.Ledger.Missing(ctx, topic, used)
}

// checkWhole fails the export if records were lost while it ran.
func (r *run) checkWhole(ctx context.Context) error {
	return r.stage(ctx, "barrier", 0, r.whole)
}

// whole is an error if records below the export's snapshot are missing.
func (r *run) whole(ctx context.Context) error {
	t, l := r.watches[r.topic], &lack{e: &open{snapshot: r.snapshot}}
	var err error
	if l.lost, err = r.missing(ctx, t, reach{l.e.snapshot}); err != nil || l.lost == 0 {
		return err
	}
	if err := r.standLost(ctx, t, l.e.snapshot, []*lack{l}); err != nil || l.lost == 0 {
		return err
	}
	return pipeline.Permanent(l.reason(r.topic))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
