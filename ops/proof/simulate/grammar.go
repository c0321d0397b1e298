package simulate

import (
	"math/rand/v2"
	"slices"
	"time"

	"cdds/schemas"
)

// rule is one thing that can happen, with numbers that chance chose. What cannot happen as
// things stand happens not at all, so that any part of a history is one too.
type rule struct {
	name   string
	weight int
	do     func(w *world, a, b, c int) (happened bool)
	// disturbs says that it may keep a process from finding out what it must: see model.delicate.
	disturbs bool
}

// rules are the grammar of histories. Order and weights decide what a seed means.
var rules = []rule{
	// Producers.
	{"produce", 20, (*world).produce, false},
	{"produce without a key", 4, (*world).produceKeyless, false},
	{"produce nonsense", 4, (*world).produceNonsense, false},
	{"produce an absurd batch", 2, (*world).produceHuge, false},
	{"begin a transaction", 4, (*world).begin, false},
	{"commit a transaction", 3, func(w *world, a, _, _ int) bool { return w.endTransaction(a, txnCommitted) }, false},
	{"abort a transaction", 2, func(w *world, a, _, _ int) bool { return w.endTransaction(a, txnAborted) }, false},
	// Whoever wants exports.
	{"request an export", 6, (*world).request, false},
	{"run a job", 6, (*world).runJob, false},
	{"change a job", 2, (*world).changeJob, false},
	{"cancel an export", 1, func(w *world, a, _, _ int) bool { return w.control(schemas.ActionCancel, a) }, false},
	{"delete an export", 1, func(w *world, a, _, _ int) bool { return w.control(schemas.ActionDelete, a) }, false},
	{"retry an export", 2, func(w *world, a, _, _ int) bool { return w.control(schemas.ActionRetry, a) }, false},
	{"send a request again", 2, (*world).sendAgain, false},
	{"send a broken request", 1, (*world).sendNonsense, false},
	{"erase", 4, (*world).requestErasure, false},
	{"hold", 3, (*world).makeHold, false},
	{"release a hold", 2, (*world).releaseHold, false},
	{"keep less history", 2, (*world).keepLess, false},
	{"age history", 6, (*world).age, true},
	{"write off", 2, (*world).writeOff, true},
	{"lose an object", 2, (*world).loseObject, false},
	{"let retention go on", 2, (*world).confirm, false},
	// Kafka.
	{"raise the partition count", 2, (*world).raise, true},
	{"elect a leader", 3, (*world).elect, false},
	{"truncate", 4, (*world).truncate, true},
	{"trim", 4, (*world).trim, true},
	{"make the topic again", 3, (*world).remake, true},
	{"move Kafka", 1, (*world).move, true},
	{"lose status events", 1, (*world).loseStatuses, true},
	{"raise the partition count of requests", 1, (*world).raiseRequests, true},
	{"make a topic of requests again", 1, (*world).remakeRequests, true},
	{"truncate requests", 2, (*world).truncateRequests, true},
	{"trim requests", 1, (*world).trimRequests, true},
	{"lose committed offsets of requests", 1, func(w *world, a, _, _ int) bool { w.forgetRequests(w.requests(a)); return true }, true},
	{"lose committed offsets", 1, (*world).loseOffsets, true},
	{"skew a broker's clock", 2, (*world).skew, false},
	// ClickHouse.
	{"lose ClickHouse", 2, (*world).loseClickHouse, true},
	{"back ClickHouse up", 3, (*world).backup, false},
	{"restore ClickHouse", 2, (*world).restore, true},
	{"drop a year", 2, (*world).dropYear, true},
	// Machines.
	{"start a process", 4, (*world).startAnother, true},
	{"kill a process", 3, (*world).killOne, true},
	{"stop a process", 2, (*world).stopOne, true},
	{"pause a process", 4, (*world).pause, true},
	{"resume a process", 6, (*world).resume, true},
	{"fail calls", 8, (*world).fail, true},
	// Time.
	{"run", 45, func(w *world, a, b, _ int) bool { w.run(a%120+1, rand.New(rand.NewPCG(uint64(b), 1))); return true }, false},
	{"rest", 5, func(w *world, _, _, _ int) bool { return w.rest(restLimit) }, false},
	{"stand still", 2, (*world).standStill, true},
	{"wait", 8, func(w *world, a, _, _ int) bool { w.sleep(waits[a%len(waits)]); return true }, false},
}

// restLimit bounds the calls until a world is at rest.
const restLimit = 20_000

var waits = []time.Duration{time.Second, 5 * time.Second, 20 * time.Second, time.Minute, 20 * time.Minute}

// generate makes the history of a seed.
func generate(seed uint64) history {
	chance := rand.New(rand.NewPCG(seed, 0))
	pick := func(n int) int { return chance.IntN(n) }
	h := history{setting: setting{
		Partitions: 1 + pick(3),
		Nameless:   pick(8) == 0,
		Erases:     pick(2) == 0,
		Retains:    pick(2) == 0,
		Bounded:    pick(4) == 0,
		Processes:  [][]string{{"ie"}, {"i", "e"}, {"ie", "ie"}, {"i", "ie", "e"}}[pick(4)],
	}}
	total := 0
	for _, r := range rules {
		total += r.weight
	}
	for range 20 + pick(41) {
		n := pick(total)
		for _, r := range rules {
			if n -= r.weight; n < 0 {
				h.Acts = append(h.Acts, act{r.name, pick(1000), pick(1000), pick(1000)})
				break
			}
		}
	}
	h.Contacts = pick(3) == 0
	return h
}

// do lets one act happen.
func (w *world) do(a act) {
	i := slices.IndexFunc(rules, func(r rule) bool { return r.name == a.Rule })
	if i < 0 {
		panic("there is no rule " + a.Rule)
	}
	if rules[i].disturbs && w.model.delicate() {
		return
	}
	w.steps++
	if rules[i].do(w, a.A, a.B, a.C) {
		w.coverage[a.Rule]++
	}
}
