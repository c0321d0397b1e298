package simulate

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"cdds/schemas"
)

// erasureAsked is an erasure that somebody requested.
type erasureAsked struct {
	request *schemas.ErasureRequest
	// step is when the request was acknowledged.
	step int
	// lost says that its request was lost before it was accepted.
	accepted, lost bool
	// heldBy is the hold that history showed it to wait for last, and heldAt the step at which it
	// did.
	heldBy string
	heldAt int
	// ended is how it ended, endedAt the step at which it did, found what was written down before
	// anything was removed, and begun the step at which that was.
	ended, found   *schemas.Erasure
	endedAt, begun int
}

// requestErasure asks to forget a contact or an interaction.
func (w *world) requestErasure(a, b, c int) bool {
	if !w.erases {
		return false
	}
	r := &schemas.ErasureRequest{
		TenantID: tenant(a), ErasureID: fmt.Sprintf("x%d", len(w.model.erasures)), RequestedBy: "operator", RequestedAt: schemas.TimeOf(w.now()),
		DeleteArtifacts: c%5 == 0,
	}
	if b%2 == 0 {
		r.ContactID = contacts[1+b/2%(len(contacts)-1)]
	} else {
		key := b / 2 % keys
		r.TenantID, r.InteractionID = tenant(key), fmt.Sprintf("i%d", key)
	}
	value, err := schemas.Encode(r)
	if err != nil {
		panic(err)
	}
	t := w.cluster.topics[string(schemas.TopicErasureRequests)]
	t.partitions[murmur([]byte(r.Key()), len(t.partitions))].append(&entry{key: []byte(r.Key()), value: value}, w.now())
	w.model.erasures = append(w.model.erasures, &erasureAsked{request: r, step: w.steps})
	return true
}

// decidedErasure notes what was decided about an erasure: each is decided once.
func (m *model) decidedErasure(key string) {
	for _, x := range m.erasures {
		x.accepted = x.accepted || key == "_cdds/open-erasures/"+x.request.ID()
		name, is := strings.CutPrefix(key, "_cdds/erasures/"+x.request.ID()+"/")
		if !is {
			continue
		}
		content, err := m.w.objects.GetBytes(context.Background(), key, 1<<20)
		var e schemas.Erasure
		if err == nil {
			err = schemas.Read(content, &e)
		}
		switch {
		case err != nil:
			m.w.failf("what was decided about an erasure cannot be read: %v", err)
		case name == "found.json":
			x.begun, x.found = m.w.steps, &e
		case name == "ended.json":
			x.ended, x.endedAt = &e, m.w.steps
		}
	}
}

// saved notes what history is to show of an erasure.
func (m *model) saved(e schemas.Erasure) {
	for _, x := range m.erasures {
		if x.request.ID() == e.Request.ID() && e.State == schemas.ErasureHeld {
			x.heldBy, x.heldAt = e.HoldID, m.w.steps
		}
	}
}

// names reports whether an erasure is about a content by itself.
func (x *erasureAsked) names(c *content) bool {
	r, e := x.request, c.event
	return e != nil && r.TenantID == e.TenantID && (r.ContactID != "" && r.ContactID == e.ContactID || r.InteractionID != "" && r.InteractionID == e.InteractionID)
}

// concerns reports whether an entry is, or may be, what an erasure that was carried out forgets.
// Versions that do not name a contact go with those that do, if these were known.
func (w *world) concerns(x *erasureAsked, e *entry) (must, may bool) {
	done := x.ended
	if done == nil {
		done = x.found
	} else if done.State != schemas.ErasureDone {
		return false, false
	}
	if done == nil || e.content == nil || e.content.event == nil {
		return false, false
	}
	under := func(e *entry, positions ...int64) bool {
		return slices.ContainsFunc(positions, func(at int64) bool {
			s := asOf(*done, e.topic())
			return int(e.log.n) < len(s) && at < s[e.log.n]
		})
	}
	below := func(e *entry) bool {
		return under(e, w.model.positionsOf(e)...) || under(e, w.model.position(e))
	}
	if !below(e) {
		return false, false
	}
	// What is there has the position that the present incarnation gives it. Where topics have no
	// ids it may be read once more, under another one.
	if e.lost == nil && w.present(e.log) && !under(e, w.model.position(e)) {
		return false, w.cluster.nameless
	}
	if x.names(e.content) {
		return x.ended != nil, true
	}
	for _, o := range w.model.places {
		if o.content == nil || o.topic() != e.topic() || !x.names(o.content) || o.content.event.InteractionID != e.content.event.InteractionID || !o.visible() || !below(o) {
			continue
		}
		may = true
	}
	return false, may
}

// asOf is the point in a topic as of which an erasure forgets.
func asOf(e schemas.Erasure, topic schemas.Topic) schemas.Snapshot {
	if topic == schemas.TopicContacts {
		return e.Contacts
	}
	return e.Interactions
}

// erased reports whether an entry was, or may have been, erased.
func (w *world) erased(e *entry) (must, may bool) {
	for _, x := range w.model.erasures {
		certain, possible := w.concerns(x, e)
		must, may = must || certain, may || possible
	}
	return must, may
}

// mayBeErased reports whether an entry may have been erased.
func (w *world) mayBeErased(e *entry) bool {
	_, may := w.erased(e)
	return may
}

// erasuresLook is how long it takes until the erasure role has looked again.
const erasuresLook = 70 * time.Second

// settleErasures lets every erasure come to its end.
func (w *world) settleErasures() {
	w.rest(restLimit)
	w.sleep(erasuresLook) // somebody looks who was erased, what came back of late, and what waits
	w.endErasures(w.mayBeHeld)
	for _, h := range w.activeHolds("") {
		h.released = w.steps
		w.coverage["a hold is released at last"]++
	}
	w.changeHolds()
	w.endErasures(func(*erasureAsked) bool { return false })
	w.sleep(erasuresLook)
	w.rest(restLimit)
}

// endErasures lets those come to their end that nothing holds.
func (w *world) endErasures(held func(*erasureAsked) bool) {
	waits := func(x *erasureAsked) bool { return !x.lost && x.ended == nil && !held(x) }
	for range exportRounds {
		if !w.rest(restLimit) {
			w.failf("there is no end to what processes do")
		}
		if w.broken != "" || !slices.ContainsFunc(w.model.erasures, waits) {
			return
		}
		w.sleep(15 * time.Second)
	}
	for _, x := range w.model.erasures {
		if waits(x) {
			w.failf("nothing is in the way of erasures, and one does not end: %s", x.request.ErasureID)
		}
	}
}

// checkErasures: what was erased is not stored, and an erasure names the exports that hold what
// it forgot, and no others.
func (w *world) checkErasures() {
	rows := map[position]bool{}
	for _, topic := range w.topics {
		for _, r := range w.tables.Records(topic) {
			rows[position{topic, r.Partition, r.Offset}] = true
		}
	}
	for _, x := range w.model.erasures {
		switch {
		case x.ended == nil:
		case !w.shows(x):
		case x.ended.State == schemas.ErasureDone:
			w.coverage["an erasure is done"]++
			w.checkForgotten(x, rows)
			w.checkImpact(x)
		default:
			w.coverage["an erasure finds nothing"]++
			w.checkNothing(x)
		}
	}
}

// shows reports whether history shows how an erasure ended. What nothing was found of is known to
// nobody else who could tell a ClickHouse that was lost.
func (w *world) shows(x *erasureAsked) bool {
	e, known, _ := w.tables.Erasure(context.Background(), x.request.TenantID, x.request.ErasureID)
	switch lost := slices.ContainsFunc(w.model.setBack, func(s setBack) bool { return s.step >= x.endedAt }); {
	case !known && (x.ended.State == schemas.ErasureDone || !lost):
		w.failf("erasure %s is %s, and history does not know it", x.request.ErasureID, x.ended.State)
	case known && (e.State != x.ended.State || len(e.Exports) != len(x.ended.Exports)):
		w.failf("erasure %s is %s and names %d exports, and history shows it as %s with %d", x.request.ErasureID, x.ended.State, len(x.ended.Exports), e.State, len(e.Exports))
	}
	return w.broken == ""
}

func (w *world) checkForgotten(x *erasureAsked, rows map[position]bool) {
	for e := range w.inKafka() {
		must, _ := w.concerns(x, e)
		if must && rows[position{e.topic(), e.log.n, w.model.position(e)}] {
			w.failf("erasure %s is done, and %s is stored", x.request.ErasureID, e.body())
		}
		if !must || e.born >= x.step || !e.visibleAt(x.step) || e.huge != [2]int64{} || w.isAged(e) {
			continue
		}
		for _, a := range e.content.event.Attachments { // found when it was looked for
			if _, err := w.attachments.Stat(context.Background(), a.Object); err == nil {
				w.failf("erasure %s is done, and the object %s of what it forgot is there", x.request.ErasureID, a.Object)
			}
		}
	}
}

// checkNothing: an erasure that found nothing had nothing to find.
func (w *world) checkNothing(x *erasureAsked) {
	for e := range w.inKafka() {
		at, as := w.model.position(e), asOf(*x.ended, e.topic())
		was := e.content != nil && e.visibleAt(x.step) && e.huge == [2]int64{} && x.names(e.content) && e.born < x.step && int(e.log.n) < len(as) && at < as[e.log.n]
		_, gone := w.erased(e)
		if was && !gone && !w.isAged(e) {
			w.failf("erasure %s ended as %s (%s) as of %v, and at %d of %d there was %s", x.request.ErasureID, x.ended.State, x.ended.Reason, as, at, e.log.n, e.body())
		}
	}
}

// inKafka are the entries that topics with rows have.
func (w *world) inKafka() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for _, topic := range w.topics {
			for _, p := range w.logOf(topic).partitions {
				for _, e := range p.present() {
					if !yield(e) {
						return
					}
				}
			}
		}
	}
}

// checkImpact compares the exports that an erasure names with those that hold what it forgot.
func (w *world) checkImpact(x *erasureAsked) {
	forgot, may := map[string]bool{}, map[string]bool{}
	for _, e := range w.model.places {
		if e.content == nil {
			continue
		}
		must, possible := w.concerns(x, e)
		// Of what aged out, or another erasure removed, ClickHouse does not say any more whose it was.
		gone := e.content.event != nil && w.isAged(e) || slices.ContainsFunc(w.model.erasures, func(o *erasureAsked) bool {
			_, was := w.concerns(o, e)
			return was && o != x && o.begun <= x.endedAt
		})
		// Nor of what a log lost that exports had it from, though another one has a copy, or, where
		// topics have no ids, the same one has it under another position.
		if e.lost != nil || w.cluster.nameless && len(w.model.lineages[e.topic()]) > 1 {
			forgot[e.body()] = false
		} else if _, copied := forgot[e.body()]; !copied {
			forgot[e.body()] = must && !gone
		}
		may[e.body()] = may[e.body()] || possible
	}
	for _, asked := range w.model.exports {
		if asked.completed == 0 || asked.request.TenantID != x.request.TenantID {
			continue
		}
		o, err := w.openExport(asked)
		if err != nil {
			continue
		}
		named := slices.ContainsFunc(x.ended.Exports, func(h schemas.AffectedExport) bool { return h.ExportID == asked.request.ExportID })
		before := asked.completed < x.begun
		if before && !named && !w.untold(asked) && slices.ContainsFunc(o.bodies, func(body string) bool { return forgot[body] }) {
			w.failf("erasure %s does not name %s, which holds what it forgot; it names %s", x.request.ErasureID, asked.name(), x.named())
		}
		// An export that was accepted while the erasure looked may have a later version than that saw.
		if before && named && asked.accepted < x.step && !slices.ContainsFunc(o.bodies, func(body string) bool { return may[body] }) && !w.cameLate(x, asked) {
			w.failf("erasure %s names %s, which holds nothing of what it forgot", x.request.ErasureID, asked.name())
		}
		if asked.accepted > x.endedAt && !w.setBackFor(asked) && slices.ContainsFunc(o.bodies, func(body string) bool { return forgot[body] }) {
			w.failf("erasure %s was done when %s was accepted, and that has what it forgot", x.request.ErasureID, asked.name())
		}
	}
}

// untold reports whether history may not have known what an export holds: Kafka lost status
// events, and ClickHouse had them no longer, or not yet; or it lost the request, and the process
// that had accepted it ended before it reported that.
func (w *world) untold(x *asked) bool {
	e := schemas.Fold(w.told.of(exportID{x.request.TenantID, x.request.ExportID})...)
	return x.lost && e.Request == nil || w.model.untold && (len(w.model.setBack) > 0 || e.Request == nil || e.Snapshot == nil)
}

// cameLate reports whether an erasure may be about a record that Kafka had lost when an export
// looked, and that whoever had read it stored later, at a position below the export's snapshot.
func (w *world) cameLate(x *erasureAsked, asked *asked) bool {
	return slices.ContainsFunc(w.model.places, func(e *entry) bool {
		if e.lost == nil || asked.look == nil || e.lost.first > asked.look.step || !e.exportable(asked.request.Filter()) {
			return false
		}
		_, may := w.concerns(x, e)
		return may
	})
}

// checkForgot: who has folded an export that was accepted after an erasure was done has nothing
// of what that forgot.
func (w *world) checkForgot(x *asked, got map[schemas.RowKey]string) {
	for _, erasure := range w.model.erasures {
		if erasure.ended == nil || erasure.endedAt > x.accepted || w.setBackFor(x) {
			continue
		}
		for _, e := range w.model.places {
			if must, _ := w.concerns(erasure, e); must && e.lost == nil && got[e.content.key()] == e.body() {
				w.failf("erasure %s was done when %s was accepted, and who has that and those before has %s", erasure.request.ErasureID, x.name(), e.body())
			}
		}
	}
}

// setBack is that ClickHouse was lost or restored.
type setBack struct {
	step int
	at   time.Time
}

// setBackFor reports whether ClickHouse was lost or set back while an export was at work, or
// shortly before it was accepted: nobody may have looked yet who was erased, and a run of a chain
// repeats with the next one what is recorded.
func (w *world) setBackFor(x *asked) bool {
	return slices.ContainsFunc(w.model.setBack, func(b setBack) bool {
		return (x.completed == 0 || b.step <= x.completed) && b.at.After(x.acceptedAt.Add(-2*looksEvery))
	})
}

func (x *erasureAsked) named() string {
	var all []string
	for _, h := range x.ended.Exports {
		all = append(all, h.ExportID)
	}
	return "[" + strings.Join(all, " ") + "]"
}
