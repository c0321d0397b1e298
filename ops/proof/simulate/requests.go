package simulate

import (
	"cdds/schemas"
)

// requests is the topic of what is asked of exports or, where there is a role that erases, of
// erasures.
func (w *world) requests(a int) *topicLog {
	if w.erases && a%3 == 0 {
		return w.cluster.topics[string(schemas.TopicErasureRequests)]
	}
	return w.cluster.topics[string(schemas.TopicExportRequests)]
}

// undecided notes that Kafka lost requests: what nobody had accepted is not asked any more, unless
// a process has it in its hands. Nor is what was accepted and not reported yet: a process may have
// died before it said where the export is carried out, which whoever reads the request again does.
func (w *world) undecided(lost []*entry) {
	for _, e := range lost {
		var id struct {
			ExportID  string `json:"export_id"`
			ErasureID string `json:"erasure_id"`
		}
		if schemas.Read(e.value, &id) != nil {
			continue
		}
		if x, known := w.exportOf(id.ExportID); known && (x.accepted == 0 || w.fold(x).State == "") {
			x.lost = true
		}
		for _, x := range w.model.erasures {
			x.lost = x.lost || x.request.ErasureID == id.ErasureID && !x.accepted
		}
	}
}

// raiseRequests gives a topic of requests one more partition: what is asked of an export from
// now on may come by another partition than the export did.
func (w *world) raiseRequests(a, _, _ int) bool {
	t := w.requests(a)
	if len(t.partitions) == mostPartitions {
		return false
	}
	t.grow(len(t.partitions) + 1)
	return true
}

// remakeRequests makes a topic of requests again.
func (w *world) remakeRequests(a, b, c int) bool {
	if w.cluster.nameless {
		return false
	}
	old := w.requests(a)
	for _, p := range old.partitions {
		w.undecided(p.present())
	}
	w.create(w.cluster, old.name, b%3+1)
	if c%2 == 0 {
		w.forgetRequests(old)
	}
	if c%3 == 0 {
		w.cluster.stale[old.name] = stale{old, w.now().Add(metadataTimeout)}
	}
	return true
}

// forgetRequests loses what groups have committed of a topic of requests.
func (w *world) forgetRequests(t *topicLog) {
	for _, g := range w.cluster.groups {
		delete(g.offsets, t.name)
	}
}

// trimRequests is retention that is ahead of those who decide.
func (w *world) trimRequests(a, b, c int) bool {
	t := w.requests(a)
	p := t.partitions[c%len(t.partitions)]
	to := min(p.start+int64(b%6+1), p.end())
	if to <= p.start {
		return false
	}
	w.undecided(p.present()[:to-p.start])
	p.trim(to)
	return true
}

// sendAgain is a producer who repeats what it sent, or somebody who copies it: by whatever
// partition.
func (w *world) sendAgain(a, b, c int) bool {
	t := w.requests(a)
	var all []*entry
	for _, p := range t.partitions {
		all = append(all, p.present()...)
	}
	if len(all) == 0 {
		return false
	}
	e := all[b%len(all)]
	t.partitions[c%len(t.partitions)].append(&entry{key: e.key, value: e.value}, w.now())
	return true
}

// sendNonsense asks for nothing that anybody understands.
func (w *world) sendNonsense(a, b, c int) bool {
	t := w.requests(a)
	text := nonsense[schemas.TopicInteractions][b%len(nonsense[schemas.TopicInteractions])]
	t.partitions[c%len(t.partitions)].append(&entry{key: []byte("x"), value: []byte(text)}, w.now())
	return true
}

// truncateRequests is a leader that was not in sync: requests that were acknowledged are gone, and
// others take their offsets.
func (w *world) truncateRequests(a, b, c int) bool {
	t := w.requests(a)
	p := t.partitions[c%len(t.partitions)]
	to := max(p.end()-int64(b%3+1), p.start)
	if to == p.end() {
		return false
	}
	w.undecided(p.present()[to-p.start:])
	p.truncate(to)
	return true
}
