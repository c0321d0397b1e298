package simulate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cdds/consumers"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// model is what is true, independently of what the product believes: every record that was
// acknowledged, where it is or was, and how it got lost.
type model struct {
	w *world
	// numbers counts contents.
	numbers int
	// places are all entries of the topics with rows that ever were.
	places []*entry
	// bodies are what was ever stored or dead-lettered at a position.
	bodies map[position]string
	// byBody are the contents that were produced.
	byBody map[string]*content
	// byNumber are those that are events, by the number in their text.
	byNumber map[string]*content
	// full are the steps at which tenants were found to have used up their quota last.
	full map[string]int
	// untold says that Kafka lost status events.
	untold bool
	// doubted says that what groups had committed was lost at least once.
	doubted bool
	// decisions are the steps at which incarnations of the topics with rows were decided, and
	// lineages what was decided.
	decisions map[schemas.Topic][]int
	lineages  map[schemas.Topic]schemas.Lineage
	// cuts is how often a topic with rows was truncated, or may seem so.
	cuts map[schemas.Topic]int
	// exports are those that were requested, statuses what was reported of them, looks what
	// processes saw of the topics with rows.
	exports  []*asked
	statuses []*schemas.ExportStatus
	looks    []*look
	// setBack are when ClickHouse was lost or restored.
	setBack []setBack
	// erasures are those that were requested.
	erasures []*erasureAsked
	// pseudonyms are what stands for contacts in exports.
	pseudonyms map[subject]string
	// objects are those that events refer to, by key.
	objects map[string]*object
	// holds are those that were made.
	holds []*hold
	// jobs are what operators have set, by tenant and entity; so is what is kept.
	jobs map[entityOf]job
	kept map[entityOf]kept
}

// entityOf is an entity of a tenant.
type entityOf struct{ tenant, entity string }

type position struct {
	topic     schemas.Topic
	partition int32
	offset    int64
}

// content is a record as its producer knows it; it may be in more than one place.
type content struct {
	number int
	body   string
	// event is nil if the body is not an event, and a contact as pipelinetest.RowOf has it.
	event *schemas.Interaction
}

// loss is how Kafka lost an entry.
type loss struct {
	how  string
	step int
	// first is the step at which it was lost for the first time, if a log that is trimmed is
	// deleted later.
	first int
	// known says that what the groups had committed by then proves that there was a record,
	// unproven that somebody had read it all the same.
	known, unproven bool
	// masked says that nobody had read it, and it stood where its log had lost another one: who
	// sealed a snapshot past it cannot tell, once the log is gone, which of them that was.
	masked bool
}

// produced notes an entry of a topic with rows.
func (m *model) produced(e *entry) {
	m.places = append(m.places, e)
	e.born = m.w.steps
	if e.content == nil {
		return
	}
	if m.byBody == nil {
		m.byBody = map[string]*content{}
	}
	m.byBody[e.content.body] = e.content
	if m.byNumber == nil {
		m.byNumber = map[string]*content{}
	}
	if e.content.event != nil {
		m.byNumber[text(e.content.body)] = e.content
	}
}

// lose notes that Kafka lost entries.
func (m *model) lose(how string, lost []*entry) {
	for _, e := range lost {
		if e.lost == nil {
			e.lost = &loss{how: how, step: m.w.steps, first: m.w.steps, known: m.known(e, how), unproven: m.unproven(e), masked: m.masked(e, how)}
		}
	}
}

// known reports whether CDDS must know that there was an entry: its incarnation is decided,
// and the entry lies below what a group has committed, or the log itself shows that it
// began earlier.
func (m *model) known(e *entry, how string) bool {
	l := m.lineages[e.topic()]
	if len(l) == 0 || !m.w.present(e.log) || !m.decided(l, e.log.topic) {
		return false
	}
	if how == trimmed {
		return true
	}
	if m.stands(e) { // what is committed there may be of another record
		return false
	}
	for _, base := range schemas.Readers(e.topic()) {
		if e.offset < m.w.cluster.group(l.Group(base)).committed(e.log.topic.name)[e.log.n].Offset {
			return true
		}
	}
	return false
}

// stands reports whether an entry stands where its log lost another one, and nobody has
// decided that.
func (m *model) stands(e *entry) bool {
	return slices.ContainsFunc(m.places, func(o *entry) bool {
		return o.log == e.log && o.offset == e.offset && o != e && o.lost != nil && o.lost.how == truncated && !m.w.settled(o)
	})
}

// masked reports whether an entry that nobody knows of stands where its log lost another one.
func (m *model) masked(e *entry, how string) bool {
	return !m.known(e, how) && slices.ContainsFunc(m.places, func(o *entry) bool {
		return o.log == e.log && o.offset == e.offset && o != e && o.lost != nil && o.lost.how == truncated
	})
}

// decided reports whether the present incarnation is about this life of the topic.
func (m *model) decided(l schemas.Lineage, t *topicLog) bool {
	return m.w.cluster.nameless || l.TopicID() == t.id()
}

// doubt is that evidence of what was read of a topic is lost: nobody need know of losses that are
// not decided yet.
func (m *model) doubt(topic schemas.Topic) {
	m.doubted = true
	for _, e := range m.places {
		if e.topic() != topic {
			continue
		}
		if shown := e.lost != nil && e.lost.how == trimmed && m.w.present(e.log); e.lost != nil && !shown && !m.w.settled(e) {
			e.lost.known = false
		}
	}
}

// unproven reports whether an entry was read, and no group has committed that: only who
// read it can know that there was one, if the log loses it.
func (m *model) unproven(e *entry) bool {
	if !e.read {
		return false
	}
	c, is := m.committed(e.log)
	return !is || c.Epoch < 0 || c.Offset <= e.offset
}

// marked reports whether ingest has committed something of a partition under an epoch.
func (m *model) marked(p *partitionLog) bool {
	c, is := m.committed(p)
	return is && c.Epoch >= 0
}

// committed is what ingest has committed of a partition.
func (m *model) committed(p *partitionLog) (consumers.Mark, bool) {
	for _, group := range m.lineages[p.topic.of()].Origin(schemas.IngestGroup(p.topic.of()), p.n).Groups {
		if c, is := m.w.cluster.group(group).committed(p.topic.name)[p.n]; is {
			return c, true
		}
	}
	return consumers.Mark{}, false
}

// delicate reports whether a log lost what is unproven, and nobody has decided that. No
// history adds another fault to that one: a process that is paused with such records in its
// hands stores them later at positions that others may have read other records at.
func (m *model) delicate() bool {
	for _, e := range m.places {
		if e.lost != nil && e.lost.how == truncated && e.lost.unproven && m.w.present(e.log) && !m.w.settled(e) {
			return true
		}
	}
	return false
}

// cut reports whether a log of a topic lost its tail and no incarnation was decided since.
func (m *model) cut(topic schemas.Topic) bool {
	for _, e := range m.places {
		if e.lost != nil && e.lost.how == truncated && e.log.topic == m.w.logOf(topic) && !m.w.settled(e) {
			return true
		}
	}
	return false
}

// wasCut notes that a topic was truncated, or that it may seem so.
func (m *model) wasCut(t *topicLog) {
	if m.cuts == nil {
		m.cuts = map[schemas.Topic]int{}
	}
	m.cuts[t.of()]++
}

// decidedIncarnation notes what was decided about a topic with rows.
func (m *model) decidedIncarnation(key string) {
	for _, topic := range m.w.topics {
		if !strings.HasPrefix(key, "_cdds/incarnations/"+string(topic)+"/") {
			continue
		}
		content, err := m.w.objects.GetBytes(context.Background(), key, 1<<20)
		var i schemas.Incarnation
		if err == nil {
			err = schemas.Read(content, &i)
		}
		if at := fmt.Sprintf("%06d.json", len(m.lineages[topic])); err != nil || !strings.HasSuffix(key, at) {
			m.w.failf("the decision %s is not %s, or cannot be read: %v", key, at, err)
			return
		}
		if m.decisions == nil {
			m.decisions, m.lineages = map[schemas.Topic][]int{}, map[schemas.Topic]schemas.Lineage{}
		}
		m.decisions[topic], m.lineages[topic] = append(m.decisions[topic], m.w.steps), append(m.lineages[topic], i)
	}
}

// position is the one that the present incarnation gives an entry.
func (m *model) position(e *entry) int64 { return m.lineages[e.topic()].Position(e.log.n, e.offset) }

// settled reports whether an incarnation was decided after an entry was lost that is about that:
// of another topic, or of a log that lost its tail in that partition. Brokers may answer for a
// topic that is gone a while; a decision then is about what the new one seems to have lost.
func (w *world) settled(e *entry) bool {
	decisions := w.model.decisions[e.topic()]
	n := len(decisions)
	if n == 0 || decisions[n-1] <= e.lost.step {
		return false
	}
	if w.cluster.nameless {
		return true
	}
	for at, i := range w.model.lineages[e.topic()] {
		_, begins := i.Begins[e.log.n]
		if decisions[at] > e.lost.step && (i.TopicID != e.log.topic.id() || e.lost.how != deleted && begins) {
			return true
		}
	}
	return false
}

// put notes an object that was stored.
func (m *model) put(p *process, key string) {
	m.decidedIncarnation(key)
	m.decidedErasure(key)
	m.opened(key)
	for _, x := range m.exports {
		if key == schemas.ExportPrefix(x.request.TenantID, x.request.ExportID)+"accepted.json" {
			m.accepted(p, x, key)
		}
	}
}

// stored notes rows that were stored: a position is one record for ever, and only what was
// produced and committed is stored.
func (m *model) stored(batches []schemas.Batch[*schemas.Interaction]) {
	for _, b := range batches {
		for _, r := range b.Records {
			body := string(r.Event.Body)
			m.used(position{b.Topic, r.Partition, r.Offset}, body)
			switch c := m.byBody[body]; {
			case c == nil:
				m.w.failf("a row was stored at %d/%d that nobody produced: %s", r.Partition, r.Offset, body)
			case c.event == nil:
				m.w.failf("a row was stored at %d/%d that is not an event: %s", r.Partition, r.Offset, body)
			}
		}
	}
}

// lettered notes dead letters.
func (m *model) lettered(letters []schemas.DeadLetter) {
	for _, l := range letters {
		if !slices.Contains(m.w.topics, l.Topic) {
			continue
		}
		if l.Next-l.Offset > 100 {
			m.w.failf("a dead letter stands for positions %d to %d of partition %d, and no batch has as many records", l.Offset, l.Next, l.Partition)
			continue
		}
		for at := l.Offset; at < max(l.Next, l.Offset+1); at++ {
			m.used(position{l.Topic, l.Partition, at}, "letter "+string(l.Value))
		}
	}
}

// used notes what has a position: it is that for ever, unless nobody can know of it.
func (m *model) used(at position, body string) {
	if m.bodies == nil {
		m.bodies = map[position]string{}
	}
	if before, known := m.bodies[at]; known && before != body && m.remembered(at) {
		m.w.failf("position %d/%d was used twice: for %q and for %q", at.partition, at.offset, before, body)
	}
	m.bodies[at] = body
}

// remembered reports whether ClickHouse or a backup of it has a position.
func (m *model) remembered(at position) bool {
	run := []schemas.Run{{Partition: at.partition, First: at.offset, Next: at.offset + 1}}
	for _, b := range append(m.w.backups, backup{Backup: m.w.tables.Backup()}) {
		w := pipelinetest.NewWarehouse()
		w.Restore(b.Backup)
		if n, _ := w.Missing(context.Background(), at.topic, run); n == 0 {
			return true
		}
	}
	return false
}

// Ways in which Kafka loses records.
const (
	trimmed   = "trimmed"
	truncated = "truncated"
	deleted   = "deleted"
)
