package export

import (
	"cmp"
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"cdds/pipeline"
	"cdds/schemas"
)

// minInHand is how many exports a worker with few slots has in hand: most of the time of a
// small one is questions to services.
const minInHand = 32

// open is an open export of a partition that this worker owns. It is small: a worker may
// have tens of thousands.
type open struct {
	pipeline.Open
	owner *owner
	// since is when it was accepted, or retried.
	since time.Time
	// span is that of the message that opened it; nil where nothing is traced or the message
	// was handled by another process.
	span trace.Span

	place place
	// topic and snapshot are what it waits for; nil where that is not read yet.
	topic    schemas.Topic
	snapshot schemas.Snapshot
	// passed says that ingest is past the snapshot; failed why that is not waited for.
	passed bool
	failed error
	// waits is since when it waits for ingest, which passed it at passedAt. behind and lost are
	// what it lacked when it was looked last.
	waits, passedAt time.Time
	behind, lost    int64
	// told is what was reported last of what it waits for, at toldAt.
	told   string
	toldAt time.Time

	// While it is in hand: stop ends it, done is closed when it has ended.
	stop context.CancelCauseFunc
	done chan struct{}
	// again is the next attempt, if one was begun before this one was put down.
	again *open
}

func (e *open) key() exportKey { return exportKey{e.TenantID, e.ExportID} }

// compare orders exports by age.
func (e *open) compare(f *open) int {
	return cmp.Or(e.since.Compare(f.since), strings.Compare(e.TenantID, f.TenantID), strings.Compare(e.ExportID, f.ExportID))
}

// place is where an open export is.
type place int

const (
	// ready exports wait for their turn.
	ready place = iota
	// waiting exports wait for ingest.
	waiting
	// inHand exports are carried out.
	inHand
	// gone exports have ended, or are another worker's now.
	gone
)

// queue has the open exports of a worker and says which is taken in hand next: of the
// tenant that has the fewest in hand, and of several the one whose turn was longest ago; of
// a tenant the one that is ready for longest. A tenant with none in hand never waits for
// others, whatever the limit; so a small export waits for at most one part of another
// tenant's. It does nothing by itself: the Worker asks it under its lock.
type queue struct {
	limit   int
	all     map[exportKey]*open
	waiting map[schemas.Topic]map[*open]bool
	tenants map[string]*tenantLine
	inHand  int
	turns   int64
}

// tenantLine is the exports of one tenant.
type tenantLine struct {
	ready  []*open
	inHand int
	turn   int64
}

// hardLimit times limit are in hand at most, whatever tenants there are.
const hardLimit = 16

func newQueue(limit int) queue {
	return queue{limit: limit, all: map[exportKey]*open{}, waiting: map[schemas.Topic]map[*open]bool{}, tenants: map[string]*tenantLine{}}
}

func (q *queue) line(tenantID string) *tenantLine {
	l := q.tenants[tenantID]
	if l == nil {
		l = &tenantLine{}
		q.tenants[tenantID] = l
	}
	return l
}

// add takes an open export in, unless it is there; false if it is. A later attempt than
// the one in hand follows it.
func (q *queue) add(e *open) bool {
	switch there := q.all[e.key()]; {
	case there == nil:
	case there.Attempt >= e.Attempt:
		return false
	case there.place == inHand:
		there.again = e
		return false
	default:
		q.remove(there)
	}
	q.all[e.key()] = e
	if e.snapshot != nil && !e.passed {
		q.wait(e)
	} else {
		q.makeReady(e)
	}
	return true
}

// wait has an export wait for ingest.
func (q *queue) wait(e *open) {
	e.place = waiting
	if q.waiting[e.topic] == nil {
		q.waiting[e.topic] = map[*open]bool{}
	}
	q.waiting[e.topic][e] = true
}

// makeReady puts an export in its tenant's line.
func (q *queue) makeReady(e *open) {
	delete(q.waiting[e.topic], e)
	e.place = ready
	l := q.line(e.TenantID)
	l.ready = append(l.ready, e)
}

// next starts the export whose turn it is and returns it; nil if none is ready, or as many
// as may are being worked on.
func (q *queue) next() *open {
	if q.inHand >= hardLimit*q.limit {
		return nil
	}
	var chosen *tenantLine
	for tenantID, l := range q.tenants {
		for len(l.ready) > 0 && l.ready[0].place != ready { // ended, or lost, meanwhile
			l.ready = l.ready[1:]
		}
		switch {
		case len(l.ready) == 0:
			if l.ready = nil; l.inHand == 0 {
				delete(q.tenants, tenantID)
			}
		case q.inHand >= q.limit && l.inHand > 0:
		case chosen == nil || cmp.Or(cmp.Compare(l.inHand, chosen.inHand), cmp.Compare(l.turn, chosen.turn), l.ready[0].compare(chosen.ready[0])) < 0:
			chosen = l
		}
	}
	if chosen == nil {
		return nil
	}
	e := chosen.ready[0]
	chosen.ready = chosen.ready[1:]
	q.turns++
	chosen.turn = q.turns
	chosen.inHand++
	q.inHand++
	e.place = inHand
	return e
}

// putDown takes an export out of hand. It is gone then, or waits for ingest.
func (q *queue) putDown(e *open, to place) {
	l := q.line(e.TenantID)
	l.inHand--
	q.inHand--
	q.remove(e)
	switch {
	case e.again != nil:
		q.add(e.again)
	case to == waiting:
		q.all[e.key()] = e
		q.wait(e)
	}
}

// remove forgets an export.
func (q *queue) remove(e *open) {
	delete(q.waiting[e.topic], e)
	e.place = gone
	if q.all[e.key()] == e {
		delete(q.all, e.key())
	}
}

// of lists the exports of an owner, wherever they are.
func (q *queue) of(o *owner) (all []*open) {
	for _, e := range q.all {
		if e.owner == o {
			all = append(all, e)
		}
	}
	return all
}

// count is how many exports are in each place.
func (q *queue) count() map[place]int {
	n := map[place]int{}
	for _, e := range q.all {
		n[e.place]++
	}
	return n
}
