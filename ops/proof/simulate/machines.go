package simulate

import (
	"slices"
	"time"
)

// most is how many processes there are at most.
const most = 4

func (w *world) startAnother(_, b, c int) bool {
	if len(w.living()) == most {
		return false
	}
	w.start([]string{ingests, exports, ingests + exports}[c%3], time.Duration(b%5-2)*time.Second)
	return true
}

// undisturbed reports whether whoever has read records of a partition goes on with it; or
// that it is dead, and a later one can tell by what is stored and by the leader epoch that
// was committed.
func (w *world) undisturbed(p *partitionLog) bool {
	for _, dying := range w.processes {
		if dying.stopped && slices.ContainsFunc(dying.members, func(m *member) bool { return m.joined || m.expelled }) {
			return false // it still holds what it has read
		}
	}
	_, abandoned := w.waiting()
	paused := w.one(0, func(p *process) bool { return p.paused }) != nil
	living := w.living()
	proven := len(living) == 1 && living[0].does(ingests) || len(living) < 2 && w.model.marked(p)
	return len(w.faults.next) == 0 && len(abandoned) == 0 && proven && !paused
}

// one is a living process that is.
func (w *world) one(a int, is func(*process) bool) *process {
	all := slices.DeleteFunc(w.living(), func(p *process) bool { return !is(p) })
	if len(all) == 0 {
		return nil
	}
	return all[a%len(all)]
}

func (w *world) killOne(a, _, _ int) bool {
	p := w.one(a, func(*process) bool { return true })
	if p == nil {
		return false
	}
	p.kill()
	return true
}

func (w *world) stopOne(a, _, _ int) bool {
	p := w.one(a, func(p *process) bool { return !p.paused })
	if p == nil {
		return false
	}
	p.stopped = true
	p.stop()
	return true
}

func (w *world) pause(a, _, _ int) bool {
	p := w.one(a, func(p *process) bool { return !p.paused })
	if p == nil {
		return false
	}
	p.paused = true
	return true
}

func (w *world) resume(a, _, _ int) bool {
	p := w.one(a, func(p *process) bool { return p.paused })
	if p == nil {
		return false
	}
	p.paused = false
	return true
}

func (w *world) fail(a, b, c int) bool {
	w.faults.next = append(w.faults.next, fault{[]string{atKafka, atClickHouse, atClickHouse, atBucket}[a%4], moment(b % 3), c%6 + 1})
	return true
}
