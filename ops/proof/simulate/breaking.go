package simulate

import (
	"slices"
	"time"

	"cdds/schemas"
)

// mostPartitions is how many partitions a topic has at most.
const mostPartitions = 4

func (w *world) raise(a, _, _ int) bool {
	t := w.source(a)
	if len(t.partitions) == mostPartitions {
		return false
	}
	t.grow(len(t.partitions) + 1)
	return true
}

func (w *world) elect(a, b, _ int) bool {
	t := w.source(b)
	w.model.wasCut(t)
	t.partitions[a%len(t.partitions)].elect()
	return true
}

func (w *world) truncate(a, b, c int) bool {
	t := w.source(c)
	p := t.partitions[a%len(t.partitions)]
	to := max(p.end()-int64(b%5+1), p.start)
	if to == p.end() {
		return false
	}
	if huge := p.at(to).huge; huge != [2]int64{} { // batches are lost whole
		to = max(huge[0], p.start)
	}
	lost := p.present()[to-p.start:]
	// A transaction that loses its mark is open again, until an operator ends it otherwise
	// (kafka-transactions.sh): what is true of its records then, no history says.
	if slices.ContainsFunc(lost, func(e *entry) bool { return e.control }) {
		return false
	}
	if slices.ContainsFunc(lost, w.model.unproven) && !w.undisturbed(p) {
		return false
	}
	w.model.lose(truncated, lost)
	w.model.wasCut(t)
	p.truncate(to)
	return true
}

func (w *world) trim(a, b, c int) bool {
	t := w.source(c)
	p := t.partitions[a%len(t.partitions)]
	to := min(p.start+int64(b%6+1), p.stable())
	if to <= p.start {
		return false
	}
	w.model.lose(trimmed, p.present()[:to-p.start])
	p.trim(to)
	return true
}

// gone notes that a topic is gone, with its transactions.
func (w *world) gone(t *topicLog) {
	for _, p := range t.partitions {
		w.model.lose(deleted, p.present())
		for _, e := range w.model.places { // no log shows any more that it began earlier
			if e.log == p && e.lost != nil && e.lost.how == trimmed {
				e.lost = &loss{how: deleted, step: w.steps, first: e.lost.first, known: e.lost.known && w.model.known(e, deleted)}
			}
		}
	}
	w.open = slices.DeleteFunc(slices.Clone(w.open), func(tx *transaction) bool { return tx.partitions[0].topic == t })
}

func (w *world) remake(a, b, c int) bool {
	if w.cluster.nameless { // nothing tells a topic that is made again
		return false
	}
	old := w.source(b)
	w.gone(old)
	w.create(w.cluster, old.name, a%3+1)
	if c%2 == 0 { // brokers forget what groups have committed of a topic that is deleted, sooner or later
		w.forget(old.of())
	}
	if c%3 == 0 {
		w.cluster.stale[old.name] = stale{old, w.now().Add(metadataTimeout)}
	}
	return true
}

// loseStatuses makes the topic of status events again: what ClickHouse has of them is all there is.
func (w *world) loseStatuses(_, _, c int) bool {
	if w.cluster.nameless || !w.erases && !w.retains {
		return false
	}
	old := w.cluster.topics[string(schemas.TopicExportStatus)]
	w.create(w.cluster, old.name, 1)
	w.model.untold = true
	if c%2 == 0 {
		for _, g := range w.cluster.groups {
			delete(g.offsets, old.name)
		}
	}
	if c%3 == 0 {
		w.cluster.stale[old.name] = stale{old, w.now().Add(metadataTimeout)}
	}
	return true
}

// forget loses what groups have committed of a topic with rows.
func (w *world) forget(topic schemas.Topic) {
	w.model.doubt(topic)
	for _, g := range w.cluster.groups {
		delete(g.offsets, string(topic))
	}
}

// move is that everything moves to another Kafka: processes are stopped and started again
// with another address. It is empty, or has a copy of what is there now.
func (w *world) move(a, _, _ int) bool {
	old := w.cluster
	if old.nameless {
		return false
	}
	for _, p := range w.processes {
		p.kill()
	}
	w.sleep(time.Minute)
	old.off = true
	var copied []*entry
	for _, topic := range w.topics {
		from := w.logOf(topic)
		for _, p := range from.partitions {
			copied = append(copied, p.present()...)
		}
		w.gone(from)
	}
	w.cluster = newCluster(w)
	for name, t := range old.topics {
		w.create(w.cluster, name, len(t.partitions))
	}
	for _, topic := range w.topics {
		w.model.doubt(topic)
	}
	w.model.untold = true
	for _, x := range w.model.exports {
		x.lost = true
	}
	for _, x := range w.model.erasures {
		x.lost = x.lost || !x.accepted
	}
	for _, e := range old.topics[string(schemas.TopicErased)].partitions[0].present() { // a mirror has it, as backup.md asks
		w.cluster.topics[string(schemas.TopicErased)].partitions[0].append(&entry{key: e.key, value: e.value}, w.now())
	}
	if a%2 == 0 { // mirrored: in order, with other offsets, without transactions
		for _, e := range copied {
			if e.content != nil && e.visible() && e.huge == [2]int64{} {
				w.add(w.logOf(e.topic()).partitions[e.log.n], e.content, string(e.key), &entry{})
			}
		}
	}
	w.start(ingests+exports, 0)
	return true
}

func (w *world) loseOffsets(a, _, _ int) bool {
	topic := w.source(a).of()
	if w.model.cut(topic) {
		return false
	}
	w.forget(topic)
	return true
}

func (w *world) skew(a, b, c int) bool {
	t := w.source(c)
	t.partitions[a%len(t.partitions)].skew = time.Duration(b%7-3) * time.Second
	return true
}

func (w *world) backup(int, int, int) bool {
	w.backups = append(w.backups, backup{w.tables.Backup(), w.told.clone()})
	return true
}

func (w *world) loseClickHouse(int, int, int) bool {
	w.tables.Lose()
	w.told = told{}.clone()
	w.model.setBack = append(w.model.setBack, setBack{w.steps, w.now()})
	return true
}

func (w *world) restore(a, _, _ int) bool {
	if len(w.backups) == 0 {
		return false
	}
	b := w.backups[a%len(w.backups)]
	w.tables.Restore(b.Backup)
	w.told = b.told.clone()
	w.model.setBack = append(w.model.setBack, setBack{w.steps, w.now()})
	return true
}

func (w *world) dropYear(a, b, _ int) bool {
	w.tables.Drop(w.source(b).of(), func(e *schemas.Interaction) bool { return e.StartedAt.Year() == firstYear+a%years })
	return true
}
