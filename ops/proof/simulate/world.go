package simulate

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// world is everything of one history.
type world struct {
	gate   gate
	faults faults
	log    *slog.Logger
	// trace sees every call that is let through; nil: nobody.
	trace func(c *call, err error)
	// acted sees every act before it happens; nil: nobody.
	acted func(act)
	// steps counts what the scheduler let through.
	steps int

	cluster *cluster
	tables  *pipelinetest.Warehouse
	objects noted
	// attachments is the bucket that events refer to.
	attachments *pipelinetest.Store
	told        told
	backups     []backup
	processes   []*process
	started     int
	lives       map[string]int // by topic name
	open        []*transaction
	// holdsChanged is closed when holds change.
	holdsChanged chan struct{}
	// erases and retains say that processes which export do that, too.
	erases, retains bool
	// bounded says that tenants have a quota.
	bounded bool
	// topics are those with rows.
	topics []schemas.Topic

	model    model
	broken   string // the first law that was broken
	law      string // and which it was
	coverage map[string]int
	// decrypted are the messages that were opened, by the digest of what was sealed; verified
	// are the signatures, by the digest of what was signed and of them.
	decrypted map[[sha256.Size]byte][]byte
	verified  map[[sha256.Size]byte]bool
}

// backup is what ClickHouse had at a moment.
type backup struct {
	pipelinetest.Backup
	told told
}

// setting is what does not change during a history.
type setting struct {
	// Partitions the topic begins with.
	Partitions int
	// Nameless brokers know no topic ids.
	Nameless bool
	// Erases says that there is a role that erases, wherever exports are made.
	Erases bool
	// Retains says that there is a retention role, wherever exports are made.
	Retains bool
	// Bounded says that tenants have a quota.
	Bounded bool
	// Contacts says that there are contacts, in a topic of their own.
	Contacts bool
	// Processes are the roles of those that run from the beginning, such as "i", "e", "ie".
	Processes []string
}

// history is what happens in one world.
type history struct {
	setting
	Acts []act
}

// act is one step of a history: a rule of the grammar and what it makes of chance.
type act struct {
	Rule    string
	A, B, C int
}

// outcome of a history.
type outcome struct {
	broken   string // the law that was broken, empty if none
	law      string // without what is different each time
	act      int    // during which act
	steps    int
	coverage map[string]int
}

// play lets a history happen, and checks the laws.
func play(t *testing.T, h history, watch func(w *world)) (o outcome) {
	synctest.Test(t, func(*testing.T) {
		w := newWorld(h.setting)
		if watch != nil {
			watch(w)
		}
		defer w.end()
		for i, a := range h.Acts {
			o.act = i
			if w.acted != nil {
				w.acted(a)
			}
			w.do(a)
			if w.broken != "" {
				break
			}
		}
		if w.broken == "" {
			o.act = len(h.Acts)
			w.settleDown()
		}
		o.broken, o.law, o.steps, o.coverage = w.broken, w.law, w.steps, w.coverage
	})
	return o
}

func newWorld(s setting) *world {
	w := &world{
		log: quiet, tables: pipelinetest.NewWarehouse(),
		lives: map[string]int{}, coverage: map[string]int{}, steps: 1, erases: s.Erases, retains: s.Retains, bounded: s.Bounded, told: told{}.clone(), holdsChanged: make(chan struct{}),
		decrypted: map[[sha256.Size]byte][]byte{}, verified: map[[sha256.Size]byte]bool{},
	}
	w.attachments = pipelinetest.NewStore()
	w.model.w, w.objects = w, noted{pipelinetest.NewStore(), w, nil}
	w.cluster = newCluster(w)
	w.cluster.nameless = s.Nameless
	w.topics = []schemas.Topic{schemas.TopicInteractions}
	if s.Contacts {
		w.topics = append(w.topics, schemas.TopicContacts)
		w.create(w.cluster, string(schemas.TopicContacts.DeadLetter()), 1)
	}
	for _, topic := range w.topics {
		w.create(w.cluster, string(topic), max(1, s.Partitions))
	}
	for _, topic := range []schemas.Topic{schemas.TopicExportRequests, schemas.TopicExportStatus, schemas.TopicAudit, schemas.TopicInteractions.DeadLetter(), schemas.TopicExportRequests.DeadLetter(), schemas.TopicErasureRequests, schemas.TopicErasureRequests.DeadLetter(), schemas.TopicErased} {
		w.create(w.cluster, string(topic), 1)
	}
	for n, roles := range s.Processes {
		w.start(roles, time.Duration(n-1)*time.Second)
	}
	return w
}

// create makes a topic.
func (w *world) create(c *cluster, name string, partitions int) *topicLog {
	t := newTopicLog(name, w.lives[name], partitions)
	w.lives[name]++
	c.topics[name] = t
	return t
}

// source is a topic with rows, which a number of an act chooses.
func (w *world) source(n int) *topicLog {
	if n%2 == 1 {
		return w.logOf(w.topics[len(w.topics)-1])
	}
	return w.logOf(schemas.TopicInteractions)
}

// hasContacts reports whether contacts have a topic.
func (w *world) hasContacts() bool { return len(w.topics) > 1 }

// logOf is the present life of a topic.
func (w *world) logOf(topic schemas.Topic) *topicLog { return w.cluster.topics[string(topic)] }

// present reports whether a log is of the present life of its topic.
func (w *world) present(p *partitionLog) bool { return p.topic == w.logOf(p.topic.of()) }

// now is the time, which no process knows exactly.
func (w *world) now() time.Time { return time.Now() }

// events are what happens without any process.
func (w *world) events() []func() { return w.cluster.events() }

// failf notes that a law was broken.
func (w *world) failf(format string, args ...any) {
	if w.broken == "" {
		w.broken, w.law = fmt.Sprintf(format, args...), format
	}
}

// living are the processes that were neither killed nor stopped.
func (w *world) living() (all []*process) {
	for _, p := range w.processes {
		if !p.dead && !p.stopped {
			all = append(all, p)
		}
	}
	return all
}

// end ends all processes, so that the bubble can end.
func (w *world) end() {
	for _, p := range w.processes {
		p.kill()
	}
	for _, p := range w.processes {
		p.running.Wait()
	}
}

// faults are calls that are about to fail.
type faults struct{ next []fault }

// fault is that calls of a service fail, before or after their effect, or in the middle.
type fault struct {
	service string
	moment  moment
	left    int
}

type moment int

const (
	before moment = iota
	after
	halfway
)

// strike answers a call, or fails it.
func (f *faults) strike(c *call) error {
	for i := range f.next {
		if f.next[i].service != c.service || f.next[i].left == 0 || c.p == nil {
			continue
		}
		f.next[i].left--
		switch {
		case f.next[i].moment == after && c.changes:
			_ = c.effect()
		case f.next[i].moment == halfway && c.half != nil:
			c.half()
		}
		return errNoAnswer
	}
	return c.effect()
}
