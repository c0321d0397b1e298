package simulate

import (
	"context"
	"slices"
	"strings"
	"time"

	"cdds/schemas"
)

// exportRounds bounds how long exports may take to come to their end, once nothing is in
// their way, in looks a quarter of a minute apart.
const exportRounds = 40

// settleExports lets every export come to its end, after an operator has written off what
// is lost for good and retried what failed. Two last ones that nothing hinders must be
// completed at once: an open transaction is nothing that hinders.
func (w *world) settleExports() {
	w.writeOff(0, 0, 0)
	var last []*asked
	for _, topic := range w.topics {
		for n := range tenants {
			last = append(last, w.asks(w.requestOf(tenant(n), schemas.EntityOf(topic))))
		}
	}
	rounds := 8
	if w.coverage["truncate requests"] > 0 { // a look that has to be confirmed may not fit between two of ours
		rounds = exportRounds
	}
	if !w.ended(last, rounds) {
		w.failf("exports that nothing hinders do not end: %s", w.standing(last))
	}
	for _, x := range last {
		if e := w.fold(x); w.refusedForQuota(x, e) {
			continue
		}
		if state := w.fold(x).State; state != schemas.Completed && (state != schemas.Refused || w.hasRows(x.request.TenantID)) {
			w.failf("an export that nothing hinders is not completed: %s", w.standing([]*asked{x}))
		}
	}
	if !w.ended(w.model.exports, exportRounds) {
		w.failf("exports do not end: %s", w.standing(w.model.exports))
	}
	for _, x := range w.model.exports {
		if w.fold(x).State == schemas.Failed && !x.lost {
			w.ask(schemas.ActionRetry, x)
			if w.bounded { // of several at once one may be refused
				w.ended(w.model.exports, exportRounds)
			}
		}
	}
	w.ended(w.model.exports, exportRounds)
	for _, topic := range w.topics {
		for n := range tenants {
			if of := (entityOf{tenant(n), schemas.EntityOf(topic)}); len(w.runs(of)) > 0 {
				w.runOf(of)
			}
		}
	}
	for range 2 { // runs that are superseded are requested again
		w.ended(w.model.exports, exportRounds)
	}
	w.letRetain()
	w.checkExports()
	w.checkChains()
	w.settleObjects()
	w.settleHistory()
}

// ended lets time pass until exports have ended; false if they do not in so many rounds.
func (w *world) ended(all []*asked, rounds int) bool {
	for range rounds {
		if !w.rest(restLimit) {
			w.failf("there is no end to what processes do")
		}
		if w.broken != "" {
			return true
		}
		if !slices.ContainsFunc(all, func(x *asked) bool { return !x.lost && !over(w.fold(x).State) }) {
			return true
		}
		w.sleep(15 * time.Second)
	}
	return false
}

// writtenOffSince is why an export cannot continue another one any more.
const writtenOffSince = "may have were written off since"

func over(s schemas.State) bool {
	return s != "" && s != schemas.Requested && s != schemas.Planned && s != schemas.Running
}

// checkExports: whatever is completed has exactly what it must have, and whatever nobody
// cancelled or deleted is completed.
func (w *world) checkExports() {
	for _, x := range w.model.exports {
		e := w.fold(x)
		switch {
		case w.broken != "":
			return
		case x.deleted || e.State == schemas.Expired || x.lost && e.State != schemas.Completed:
		case e.State == schemas.Completed:
			o, err := w.openExport(x)
			if err != nil {
				w.failf("%s is completed and cannot be opened: %v", x.name(), err)
				return
			}
			w.checkExport(x, o)
			w.coverage["an export is completed"]++
			w.coverage["an export of "+x.request.Entity+"s is completed"]++
		case x.cancelled:
		case w.refusedForQuota(x, e):
		case superseded(x, e):
			w.coverage["a run is superseded"]++
		case strings.Contains(w.standing([]*asked{x}), "since_export: "): // it continues one that was not completed then
		case strings.Contains(w.standing([]*asked{x}), writtenOffSince+"; request another"):
			w.coverage["an export is doomed"]++
		case x.request.Snapshot != nil && strings.Contains(w.standing([]*asked{x}), "use the snapshot of an earlier export") && w.forgot(x.topic()):
			w.coverage["an export is doomed"]++
		case strings.Contains(w.standing([]*asked{x}), "nothing was ever stored for it"):
			if x.look != nil { // there must have been nothing, whatever it continues
				request, alone := *x.request, *x
				request.SinceExport, alone.request = "", &request
				w.checkExport(&alone, opened{})
			}
		case e.State == schemas.Failed && (w.doomed(x, e.Failure) || e.Failure.Stage == "part" && w.outlived(x)):
			w.coverage["an export is doomed"]++
		default:
			w.failf("nothing is in the way of exports, and one is "+string(e.State)+stage(e)+": %s", w.standing([]*asked{x}))
		}
	}
}

// doomed reports whether a failed export cannot be helped but by asking again under another
// id: Kafka and ClickHouse both lost a record that it must have. Either its plan has the
// row, and somebody wrote that off later. Or nobody can know of the record: Kafka lost it
// unread, and brokers forgot the snapshots that were sealed, as they do with a topic that
// is deleted. The mark that ends a transaction has a position, too, and may be what is lost.
func (w *world) doomed(x *asked, f *schemas.Failure) bool {
	// Its snapshot has positions of an incarnation in which no record got them: it was taken while
	// brokers still answered the id of a topic that was gone, or an election was taken for a loss
	// since, because what groups had committed was lost.
	if x.look != nil && f.Stage == "barrier" && w.model.doubted && (x.look.misled || w.moved(x)) {
		return true
	}
	again := w.cluster.nameless && len(w.model.lineages[x.topic()]) > 1
	stored := map[string]bool{}
	for _, r := range w.tables.Records(x.topic()) {
		// What is read again of another log, a copy or one of a topic without an id, has new
		// positions: a snapshot of before has what is stored at the old ones.
		if int(r.Partition) < len(x.snapshot) && r.Offset < x.snapshot[r.Partition] {
			stored[string(r.Event.Body)] = true
		}
	}
	return x.look != nil && slices.ContainsFunc(w.model.places, func(e *entry) bool {
		if before, _ := x.look.has(e); !before {
			return false
		}
		// What is missing is a position. Another one may have the same: what it is a copy of.
		if f.Stage == "barrier" || f.Stage == "plan" {
			return e.lost != nil && !e.lost.known && !w.isStored(e) || again && e.content != nil && !stored[e.body()]
		}
		return !stored[e.body()] && (again && e.content != nil || f.Stage == "part" && (e.lost != nil || w.mayBeErased(e)))
	})
}

// moved reports whether a record that lay before an export's look, and that Kafka still has, has
// another position by now, which does not lie below the export's snapshot.
func (w *world) moved(x *asked) bool {
	for e := range w.inKafka() {
		if before, there := x.look.has(e); !before || !there || e.topic() != x.topic() || int(e.log.n) >= len(x.snapshot) {
			continue
		}
		if w.model.position(e) >= x.snapshot[e.log.n] {
			return true
		}
	}
	return false
}

// isStored reports whether an entry that Kafka lost is stored at its own position.
func (w *world) isStored(e *entry) bool {
	positions := w.model.positionsOf(e)
	return slices.ContainsFunc(w.tables.Records(e.topic()), func(r schemas.Record[*schemas.Interaction]) bool {
		return r.Partition == e.log.n && slices.Contains(positions, r.Offset) && string(r.Event.Body) == e.body()
	})
}

// forgot reports whether a record of a topic was lost that nobody can know of.
func (w *world) forgot(topic schemas.Topic) bool {
	return slices.ContainsFunc(w.model.places, func(e *entry) bool { return e.topic() == topic && e.lost != nil && !e.lost.known })
}

// stage is where an export failed.
func stage(e schemas.Export) string {
	if e.Failure == nil {
		return ""
	}
	return " at " + e.Failure.Stage
}

// hasRows reports whether anything of a tenant was ever stored.
func (w *world) hasRows(tenant string) bool {
	has, _ := w.tables.HasTenant(context.Background(), tenant)
	return has
}

// standing is where exports stand, in words.
func (w *world) standing(all []*asked) string {
	var words []string
	for _, x := range all {
		e := w.fold(x)
		s := x.name() + " is " + string(e.State)
		if e.Reason != "" {
			s += " (" + e.Reason + ")"
		}
		if e.Failure != nil {
			s += " (" + e.Failure.Stage + ": " + e.Failure.Reason + ")"
		}
		words = append(words, s)
	}
	return strings.Join(words, "; ")
}
