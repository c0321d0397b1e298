package simulate

import (
	"context"
	"time"

	"cdds/consumers"
	"cdds/ops/connect"
	"cdds/pipeline"
	"cdds/schemas"
)

// rounds bounds how long a world may take to come to its end, in looks of the healer.
const rounds = 80

// settleDown ends all trouble and lets everything come to its end: whatever Kafka has is
// stored then. Afterwards it checks the laws.
func (w *world) settleDown() {
	w.faults.next = nil
	for _, p := range w.living() {
		p.paused = false
	}
	for _, role := range []string{ingests, exports} {
		if w.one(0, func(p *process) bool { return p.does(role) }) == nil {
			w.start(role, 0)
		}
	}
	auditor := w.auditor()
	w.sleep(metadataTimeout)
	w.catchUp(auditor)
	if w.broken == "" {
		w.settleErasures()
	}
	if w.broken == "" {
		w.check(auditor)
	}
	if w.broken == "" {
		w.settleExports()
	}
}

// auditor is somebody who looks at the account from outside, on services that do not fail.
type auditor struct {
	offsets *connect.Offsets
	settler *consumers.Settler
}

// catchUp lets time pass until everything is ingested; false if it is not in so many rounds. A
// transaction may end meanwhile.
func (w *world) catchUp(a *auditor) bool {
	for range rounds {
		if !w.rest(restLimit) {
			w.failf("there is no end to what processes do")
		}
		if w.broken != "" || w.ingested(a) {
			return true
		}
		w.sleep(15 * time.Second)
	}
	return false
}

// auditor looks at once, without the gate.
func (w *world) auditor() *auditor {
	k := direct{w.cluster}
	settler := consumers.NewSettler(consumers.SettlerOptions{
		Brokers: k, Decisions: pipeline.Incarnations{Store: w.objects}, Stored: w.tables.Reached, Name: "auditor", Logger: quiet,
	})
	return &auditor{connect.NewOffsets(k, settler), settler}
}

// ingested reports whether everything that readers can see is committed, and nothing is
// missing that Kafka has.
func (w *world) ingested(a *auditor) bool {
	ctx := context.Background()
	for _, topic := range w.topics {
		end, err := a.offsets.EndOffsets(ctx, topic)
		if err != nil {
			w.failf("the end of a topic is unknown: %v", err)
			return false
		}
		done, err := a.offsets.Ingested(ctx, topic)
		if err != nil || end.Behind(done) > 0 {
			return false
		}
		present, err := a.offsets.Present(ctx, topic, end)
		if err != nil {
			return false
		}
		if missing, err := w.tables.Missing(ctx, topic, present); err != nil || missing > 0 {
			return false
		}
	}
	return true
}

// check compares what the product made with what is true.
func (w *world) check(a *auditor) {
	if !w.catchUp(a) {
		w.failf("after %v of quiet, records that Kafka has are not stored", rounds*15*time.Second)
		return
	}
	if w.broken != "" {
		return
	}
	for _, topic := range w.topics {
		if _, err := a.settler.Settle(context.Background(), topic); err != nil {
			w.failf("the positions of a topic are unknown: %v", err)
			return
		}
		w.checkPresent(topic)
		w.checkRows(topic)
		w.checkAccount(a, topic)
		w.checkLosses(a, topic)
		w.checkDecisions(topic)
	}
	w.checkErasures()
	w.checkHolds()
}

// checkPresent: what Kafka has is stored, dead-lettered or void, each at its position.
func (w *world) checkPresent(topic schemas.Topic) {
	rows := map[position]string{}
	for _, r := range w.tables.Records(topic) {
		rows[position{topic, r.Partition, r.Offset}] = string(r.Event.Body)
	}
	for _, p := range w.logOf(topic).partitions {
		for _, e := range p.present() {
			if e.offset >= p.stable() {
				break
			}
			at := position{topic, p.n, w.model.position(e)}
			row, is := rows[at]
			switch valid := e.visible() && e.huge == [2]int64{} && e.content.event != nil; {
			case valid && !is && (w.isAged(e) || w.mayBeErased(e)):
			case valid && !is:
				w.failf("the record at offset %d of partition %d is not stored at %d: %s", e.offset, p.n, at.offset, e.content.body)
			case valid && row != e.content.body:
				w.failf("at position %d/%d is stored %s, not %s", at.partition, at.offset, row, e.content.body)
			case !valid && is:
				w.failf("at position %d/%d, which has no record for readers, is stored %s", at.partition, at.offset, row)
			case e.visible() && !valid && w.model.bodies[at] != "letter "+e.letter():
				w.failf("the record at %d/%d was not dead-lettered: %q", at.partition, at.offset, e.content.body)
			}
		}
	}
}

// letter is what a dead letter has of it.
func (e *entry) letter() string {
	if e.huge != [2]int64{} {
		return ""
	}
	return e.content.body
}

// checkRows: nothing is stored that is not true.
func (w *world) checkRows(topic schemas.Topic) {
	visible := map[string]bool{}
	for _, e := range w.model.places {
		if e.content != nil && e.topic() == topic && e.visible() {
			visible[e.content.body] = true
		}
	}
	seen := map[position]string{}
	for _, r := range w.tables.Records(topic) {
		body, at := string(r.Event.Body), position{topic, r.Partition, r.Offset}
		if !visible[body] {
			w.failf("at position %d/%d is a row that was never committed: %s", at.partition, at.offset, body)
		}
		if other, twice := seen[at]; twice && other != body {
			w.failf("position %d/%d has two rows: %s and %s", at.partition, at.offset, other, body)
		}
		seen[at] = body
	}
}

// checkAccount: each position in use counts once, and nothing beyond them is accounted for.
func (w *world) checkAccount(a *auditor, topic schemas.Topic) {
	ctx := context.Background()
	end, _ := a.offsets.EndOffsets(ctx, topic)
	used, err := a.offsets.Used(ctx, topic, end)
	if err != nil {
		w.failf("the positions in use are unknown: %v", err)
		return
	}
	all, _ := w.tables.Account(ctx, topic, used)
	for _, n := range all {
		// Whoever had read what Kafka lost may have stored it when its positions had been given
		// up already.
		late := len(w.model.decisions[topic]) > 1
		if sum := n.Stored + n.DeadLetters + n.Voids + n.Erased + n.AgedOut + n.WrittenOff + n.Missing; sum < n.Used || sum > n.Used && !late {
			w.failf("of the %d positions in use of partition %d %d are accounted for: %+v; used are %v", n.Used, n.Partition, sum, n, used)
		}
	}
}

// checkLosses: what Kafka lost, and CDDS must know of, has a position in use, so that it is
// stored, written off or missing.
func (w *world) checkLosses(a *auditor, topic schemas.Topic) {
	ctx := context.Background()
	end, _ := a.offsets.EndOffsets(ctx, topic)
	used, _ := a.offsets.Used(ctx, topic, end)
	for _, e := range w.model.places {
		if e.topic() != topic || e.lost == nil || !e.lost.known || w.cluster.nameless {
			continue
		}
		in := false
		positions := w.model.positionsOf(e)
		for _, at := range positions {
			for _, r := range used {
				in = in || r.Partition == e.log.n && r.First <= at && at < r.Next
			}
		}
		if !in && len(positions) > 0 {
			w.failf("the record at offset %d of partition %d was %s after it was read, and its position %v is not in use: %v", e.offset, e.log.n, e.lost.how, positions, used)
		}
	}
}

// positionsOf are the positions an entry that was lost can have: the one by then, or, if it
// was written when a loss was not decided yet, one of what was decided later.
func (m *model) positionsOf(e *entry) (all []int64) {
	l := m.lineages[e.topic()]
	for n, i := range l {
		decided := m.w.cluster.nameless || i.TopicID == e.log.topic.id()
		if decided && (e.lost == nil || m.decisions[e.topic()][n] <= e.lost.step || e.lost.how == trimmed) {
			all = append(all, l[:n+1].Position(e.log.n, e.offset))
		}
	}
	return all
}

// checkDecisions: an incarnation is decided only where something happened.
func (w *world) checkDecisions(topic schemas.Topic) {
	lives := w.lives[string(topic)]
	replaced, cut := 0, 0
	for _, i := range w.model.lineages[topic] {
		switch i.Cause {
		case schemas.IncarnationReplaced:
			replaced++
		case schemas.IncarnationTruncated:
			cut++
		}
	}
	if w.cluster.nameless {
		return
	}
	// An election is taken for a loss where records were stored and not committed: see Settler.
	// So is a topic that is made again while a loss is being confirmed, before it is known.
	if replaced > lives-1 || cut > w.model.cuts[topic]+lives-1 {
		w.failf("%d incarnations were decided because the topic was replaced, which happened %d times, and %d because it was truncated, which happened %d times",
			replaced, lives-1, cut, w.model.cuts[topic])
	}
}

// does reports whether a process runs a role.
func (p *process) does(role string) bool {
	for _, r := range p.roles {
		if string(r) == role {
			return true
		}
	}
	return false
}
