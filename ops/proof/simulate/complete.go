package simulate

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cdds/schemas"
)

// look is what a process saw of a topic with rows when it asked for the last stable
// offsets.
type look struct {
	p      *process
	step   int
	topic  *topicLog
	stable schemas.Snapshot
	// misled says that brokers still answered the id of a topic that was gone. They took its
	// name for the new one: what is in that counts for the next look.
	misled bool
}

// has reports whether an entry lies before the look, and whether it was there: it may have
// been lost by then.
func (l *look) has(e *entry) (before, there bool) {
	if e.born > l.step || e.topic() != l.topic.of() {
		return false, false
	}
	if e.lost != nil && e.lost.first <= l.step {
		return true, false
	}
	if e.log.topic != l.topic {
		return true, true
	}
	return e.offset < l.stable[e.log.n], !l.misled
}

// version is an entry as a version of a row.
type version struct {
	*entry
	// must says that an export has to take it into account; otherwise it may.
	must bool
}

// looked notes that a process saw where a topic with rows ends for readers.
func (m *model) looked(p *process, c *cluster, topic schemas.Topic) {
	if !slices.Contains(m.w.topics, topic) {
		return
	}
	t := c.topics[string(topic)]
	before, is := c.stale[string(topic)]
	l := &look{p: p, step: m.w.steps, topic: t, misled: is && m.w.now().Before(before.until)}
	for _, partition := range t.partitions {
		l.stable = append(l.stable, partition.stable())
	}
	m.looks = append(m.looks, l)
}

// accepted notes that an export was accepted, and finds out by which look.
func (m *model) accepted(p *process, x *asked, key string) {
	content, err := m.w.objects.GetBytes(context.Background(), key, 1<<20)
	if err != nil {
		m.w.failf("the acceptance of %s cannot be read: %v", x.name(), err)
		return
	}
	var a struct {
		Snapshot schemas.Snapshot `json:"snapshot"`
	}
	if err := schemas.Read(content, &a); err != nil {
		m.w.failf("the acceptance of %s cannot be read: %v", x.name(), err)
		return
	}
	x.accepted, x.acceptedAt, x.snapshot = m.w.steps, m.w.now(), a.Snapshot
	if x.request.Snapshot != nil {
		for _, earlier := range m.exports {
			if earlier != x && earlier.look != nil && earlier.topic() == x.topic() && slices.Equal(earlier.snapshot, a.Snapshot) {
				x.look = earlier.look
			}
		}
		return
	}
	x.look = m.lookOf(p, x.topic(), a.Snapshot)
}

// lookOf is the last look of a process at a topic that a snapshot can have been made of.
func (m *model) lookOf(p *process, topic schemas.Topic, snapshot schemas.Snapshot) *look {
	all := m.lineages[topic]
	for _, l := range slices.Backward(m.looks) {
		if l.p != p || l.topic.of() != topic {
			continue
		}
		for n := range len(all) {
			if slices.Equal(all[:n+1].Positions(l.stable), snapshot) {
				return l
			}
		}
	}
	return nil
}

// reported notes a status.
func (m *model) reported(e schemas.Event) {
	switch e := e.(type) {
	case *schemas.ExportStatus:
		if x, known := m.w.exportOf(e.ExportID); known && e.State == schemas.Expired {
			m.expired(x, m.w.fold(x))
		}
		if e.Waiting != "" && e.State.Ended() {
			m.w.failf("an export has ended and is shown as waiting: %s is %s, %s", e.ExportID, e.State, e.Waiting)
		}
		m.statuses = append(m.statuses, e)
		if x, known := m.w.exportOf(e.ExportID); known && e.State == schemas.Completed && x.completed == 0 {
			x.completed = m.w.steps
		} else if known && e.State == schemas.Deleted && x.gone == 0 {
			x.gone = m.w.steps
		}
	case *schemas.ExportRequest:
		x, known := m.w.exportOf(e.ExportID)
		switch {
		case e.Supersedes != "":
			m.again(e)
		case known && e.Action == schemas.ActionDelete:
			x.delete(m.w.steps)
		case known && e.Action == schemas.ActionCancel:
			x.cancelled = true
		}
	}
}

// checkExport compares a completed export with what it must have: of each row the newest
// version before its snapshot, if that passes the filter.
func (w *world) checkExport(x *asked, o opened) {
	name := x.name()
	if x.look == nil {
		w.failf("%s is completed as of a snapshot that nobody took: %v", name, x.snapshot)
		return
	}
	if x.request.Snapshot == nil && x.look.step < x.step {
		w.failf("the snapshot of %s was taken before it was requested", name)
	}
	f := x.request.Filter()
	if from := w.leftOut(x, o); from.After(f.From.Time) {
		f.From.Time = from
	}
	rows := map[schemas.RowKey][]version{}
	misplaced, manifests := w.misplaced(x, o), w.manifests(o)
	for _, e := range w.model.places {
		before, there := x.look.has(e)
		before = before && e.visibleAt(x.look.step)
		if !e.exportable(f) || !before && !misplaced[e.body()] {
			continue
		}
		// Where topics have no ids, a log that lost its tail is taken for a topic that was made
		// again: what was trimmed of it is forgotten.
		must := before && (there && !e.masked() && !w.unprovable(e) || e.lost != nil && e.lost.known && !w.cluster.nameless && !x.look.misled)
		// A snapshot that the request names is taken as positions: what the log had after it lost
		// its tail, and before anybody knew, has others by now.
		if asked := x.request.Snapshot; asked != nil && e.lost == nil && int(e.log.n) < len(asked) && w.model.position(e) >= asked[e.log.n] {
			must = false
		}
		// Where topics have no ids a snapshot is not moved to the positions of a log that lost its tail.
		if w.cluster.nameless && e.lost == nil && int(e.log.n) < len(x.snapshot) && w.model.position(e) >= x.snapshot[e.log.n] {
			must = false
		}
		if must && (e.lost != nil || w.cluster.nameless) && w.writtenOff(e, manifests) {
			must = false
		}
		must = must && !w.mayBeErased(e)
		k := e.content.key()
		rows[k] = append(rows[k], version{e, must})
	}
	got, known := w.folded(x, o)
	if !known {
		return
	}
	for k, body := range got {
		if len(rows[k]) == 0 {
			w.failf("%s has a row that is not before its snapshot, or not in its range: %s", name, body)
		}
	}
	w.checkForgot(x, got)
	w.checkAttachments(x, o)
	for k, versions := range rows {
		if body, is := got[k]; !slices.Contains(outcomes(versions, f), body) {
			w.failf("%s has %q of row %v, in it is %t; of its versions %s", name, text(body), k.ID, is, describe(versions))
		}
	}
}

// misplaced are the bodies of rows that lie below the snapshot of an export. Those of them
// that were produced later were stored by a process that did not know yet of the present
// incarnation: they have positions of the one before as well. No read can tell.
func (w *world) misplaced(x *asked, o opened) map[string]bool {
	all, snapshot := map[string]bool{}, x.snapshot
	if o.manifest != nil {
		snapshot = o.manifest.Snapshot
	}
	for _, r := range w.tables.Records(x.topic()) {
		if int(r.Partition) < len(snapshot) && r.Offset < snapshot[r.Partition] {
			all[string(r.Event.Body)] = true
		}
	}
	return all
}

func (e *entry) body() string {
	if e.content == nil {
		return ""
	}
	return e.content.body
}

// folded is what a receiver has who has folded an export and those it continues; false if
// one of them cannot be had any more.
func (w *world) folded(x *asked, o opened) (map[schemas.RowKey]string, bool) {
	got := map[schemas.RowKey]string{}
	since := x.request.SinceExport
	if o.manifest != nil { // it may start over, or be a run that decides by itself what it continues
		since = o.manifest.SinceExport
	}
	if since != "" {
		earlier, _ := w.exportOf(since)
		before, err := w.openExport(earlier)
		if err != nil {
			return nil, false
		}
		var known bool
		if got, known = w.folded(earlier, before); !known {
			return nil, false
		}
	}
	from := w.leftOut(x, o)
	maps.DeleteFunc(got, func(k schemas.RowKey, _ string) bool { // a receiver keeps nothing outside of the range
		return k.Time.Before(x.request.From.Time) || k.Time.Before(from) || !k.Time.Before(x.request.To.Time)
	})
	for _, r := range o.removals {
		r.ID = w.unhiddenID(x, r.ID)
		if r.Reason == schemas.RemovedErased { // whatever its time, and told again to be sure
			maps.DeleteFunc(got, func(k schemas.RowKey, _ string) bool { return k.ID == r.ID })
			continue
		}
		if _, has := got[r.Key()]; !has {
			w.failf("%s removes the row %v, which the receiver does not have", x.name(), r.Key())
		}
		delete(got, r.Key())
	}
	added := map[schemas.RowKey]bool{}
	for _, body := range o.bodies {
		c := w.model.byBody[body]
		if c == nil || c.event == nil {
			w.failf("%s has a row that nobody produced, or that is not an event: %s", x.name(), body)
			return nil, false
		}
		if added[c.key()] {
			w.failf("%s has the row %v twice", x.name(), c.key())
		}
		added[c.key()], got[c.key()] = true, body
	}
	return got, true
}

// exportable reports whether an entry is a version of a row in a range.
func (e *entry) exportable(f schemas.Filter) bool {
	if e.content == nil || e.content.event == nil || e.huge != [2]int64{} {
		return false
	}
	i := e.content.event
	return schemas.EntityOf(e.topic()) == f.Entity && i.TenantID == f.TenantID && !i.StartedAt.Before(f.From.Time) && i.StartedAt.Before(f.To.Time)
}

// unprovable reports whether an entry was truncated after what was committed past it was lost,
// sealed snapshots too: where another record took its place, no one can tell.
func (w *world) unprovable(e *entry) bool {
	return e.lost != nil && e.lost.how == truncated && !e.lost.known && w.coverage["lose committed offsets"] > 0
}

// masked reports whether an entry was lost while it stood in for another one, see loss.
func (e *entry) masked() bool { return e.lost != nil && e.lost.masked }

// visibleAt reports whether readers of committed records were given an entry at a step.
func (e *entry) visibleAt(step int) bool {
	return e.visible() && (e.txn == nil || e.txn.ended <= step)
}

func (c *content) key() schemas.RowKey {
	return schemas.RowKey{Time: c.event.StartedAt, ID: c.event.InteractionID}
}

// manifests are that of an export and those of the exports that it continues.
func (w *world) manifests(o opened) (all []*schemas.Manifest) {
	for o.manifest != nil {
		all = append(all, o.manifest)
		before, found := w.exportOf(o.manifest.SinceExport)
		if !found {
			break
		}
		o, _ = w.openExport(before)
	}
	return all
}

// exportOf is the export of an id.
func (w *world) exportOf(id string) (*asked, bool) {
	n := slices.IndexFunc(w.model.exports, func(x *asked) bool { return x.request.ExportID == id })
	if n < 0 {
		return nil, false
	}
	return w.model.exports[n], true
}

// writtenOff reports whether manifests state that an entry was written off; without any,
// whether it was.
func (w *world) writtenOff(e *entry, manifests []*schemas.Manifest) bool {
	positions := w.model.positionsOf(e)
	for _, off := range w.writeOffs(e.topic()) {
		if len(manifests) > 0 && !slices.ContainsFunc(manifests, func(m *schemas.Manifest) bool {
			return slices.ContainsFunc(m.WrittenOff, func(listed schemas.WrittenOff) bool { return listed.Number == off.Number })
		}) {
			continue
		}
		for _, r := range off.Runs {
			if r.Partition == e.log.n && slices.ContainsFunc(positions, func(at int64) bool { return r.First <= at && at < r.Next }) {
				return true
			}
		}
	}
	return false
}

// outcomes are what an export may hold of a row: a body, or nothing. Whatever is doubtful may be
// taken into account or not, so of each partition the newest version is one of those from the last
// one that is sure on, or none where no version is sure.
func outcomes(versions []version, f schemas.Filter) (all []string) {
	may, must := map[int32][]*entry{}, map[int32]bool{}
	for _, v := range versions { // in the order in which they were written
		if v.must {
			may[v.log.n], must[v.log.n] = nil, true
		}
		may[v.log.n] = append(may[v.log.n], v.entry)
	}
	if len(must) == 0 {
		all = append(all, "")
	}
	for p, those := range may {
		for _, e := range those {
			if beaten := slices.ContainsFunc(sortedKeys(must), func(other int32) bool {
				return other != p && !slices.ContainsFunc(may[other], func(o *entry) bool { return newer(e, o) })
			}); beaten {
				continue
			}
			body := ""
			if passes(f, e.content.event) {
				body = e.body()
			}
			all = append(all, body)
		}
	}
	return all
}

// newer compares versions that are the newest of their partitions: the one with the latest time
// counts, or else the one of the highest partition.
func newer(a, b *entry) bool {
	return cmp.Or(schemas.TimeOf(a.time).Compare(schemas.TimeOf(b.time)), cmp.Compare(a.log.n, b.log.n)) > 0
}

func passes(f schemas.Filter, e *schemas.Interaction) bool {
	return (len(f.Contacts) == 0 || slices.Contains(f.Contacts, e.ContactID)) &&
		(len(f.MediaTypes) == 0 || slices.Contains(f.MediaTypes, e.MediaType)) && (len(f.Queues) == 0 || slices.Contains(f.Queues, e.Queue))
}

// text is the number in a body, which tells it from all others.
func text(body string) string {
	_, rest, _ := strings.Cut(body, `":"number `)
	number, _, _ := strings.Cut(rest, `"`)
	return number
}

func describe(versions []version) string {
	var all []string
	for _, v := range versions {
		lost := ""
		if v.lost != nil {
			lost = fmt.Sprintf(", %s at step %d, known %t", v.lost.how, v.lost.step, v.lost.known)
		}
		all = append(all, fmt.Sprintf("%s (life %d, %d/%d, %s, must %t%s)", text(v.content.body), v.log.topic.life, v.log.n, v.offset, v.time.Format("05.000"), v.must, lost))
	}
	return strings.Join(all, "; ")
}
