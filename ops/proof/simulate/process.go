package simulate

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"cdds/consumers"
	"cdds/consumers/account"
	"cdds/consumers/ingest"
	"cdds/ops/connect"
	"cdds/pipeline"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// process is one running cdds: the product's own code on simulated services.
type process struct {
	w      *world
	number int
	// on is the cluster it is connected to.
	on      *cluster
	roles   string
	members []*member
	// paused processes are stopped (SIGSTOP): they see time pass and do nothing. dead ones
	// have no effect any more, though their goroutines have yet to find out.
	paused, dead bool
	// stopped processes were asked to end.
	stopped bool
	stop    context.CancelFunc
	running sync.WaitGroup
	// skew is how far its clock is ahead.
	skew time.Duration
}

// Roles of a process.
const (
	ingests = "i"
	exports = "e"
	erases  = "x"
	records = "h" // history
	retains = "r"
)

// start makes a process that runs roles.
func (w *world) start(roles string, skew time.Duration) *process {
	if strings.Contains(roles, exports) {
		if w.erases {
			roles += erases
		}
		if w.retains {
			roles += retains
		}
		if w.erases || w.retains { // who asks what history is
			roles += records
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	w.started++
	p := &process{w: w, number: w.started, on: w.cluster, roles: roles, stop: stop, skew: skew}
	w.processes = append(w.processes, p)
	k := conn{p, w.cluster}
	settler := consumers.NewSettler(consumers.SettlerOptions{
		Brokers: k, Decisions: pipeline.Incarnations{Store: objects{p}}, Stored: p.stored,
		Name: p.name(), Logger: w.log, Now: p.now,
	})
	offsets := connect.NewOffsets(k, settler)
	for _, role := range roles {
		switch string(role) {
		case ingests:
			p.ingest(ctx, k, settler, offsets)
		case exports:
			p.export(ctx, k, settler, offsets)
		case erases:
			p.erase(ctx, k, settler, offsets)
		case records:
			p.history(ctx, k, settler, offsets)
		case retains:
			p.retain(ctx, k, offsets)
		}
	}
	return p
}

func (p *process) name() string { return fmt.Sprintf("process %d", p.number) }

// now is the process's clock.
func (p *process) now() time.Time { return time.Now().Add(p.skew) }

// stored is how far ClickHouse has a topic, as package app asks.
func (p *process) stored(ctx context.Context, topic schemas.Topic) (map[int32]int64, error) {
	if !slices.Contains(p.w.topics, topic) {
		return nil, nil
	}
	return tables{p}.Reached(ctx, topic)
}

// kill ends a process as SIGKILL does.
func (p *process) kill() {
	p.w.gate.forget(p)
	p.paused, p.stopped = false, true
	p.stop()
}

// Sizes that make batches of a few records.
const (
	batchRecords = 3
	drain        = 2 * time.Second
)

// ingest runs the role of that name.
func (p *process) ingest(ctx context.Context, k conn, settler *consumers.Settler, offsets *connect.Offsets) {
	forgetting := p.forgetting(k)
	p.running.Go(func() { // as package app does
		for ctx.Err() == nil {
			_ = inTurn{forgetting, p}.take(ctx, "remember")
			_ = forgetting.Remember(ctx)
			select {
			case <-time.After(looksEvery):
			case <-ctx.Done():
			}
		}
	})
	interactions, err := ingest.NewInteractions(inTurn{forgetting, p}, nil)
	if err != nil {
		panic(err)
	}
	store(ctx, p, k, settler, offsets, schemas.TopicInteractions, schemas.DecodeInteractionRow, interactions)
	if !p.w.hasContacts() {
		return
	}
	people, err := ingest.NewContacts(inTurn{forgetting, p}, nil)
	if err != nil {
		panic(err)
	}
	store(ctx, p, k, settler, offsets, schemas.TopicContacts, schemas.DecodeContactRow, people)
}

// store runs the group that stores a topic, and what heals the account of that.
func store[E any](ctx context.Context, p *process, k conn, settler *consumers.Settler, offsets *connect.Offsets, topic schemas.Topic, decode func([]byte) (E, error), handler consumers.Handler[E]) {
	group := run(ctx, p, consumers.Options[E]{
		Cluster: k, GroupID: schemas.IngestGroup(topic), Topic: topic,
		Decode: decode, Handler: handler, DeadLetters: consumers.Letters{Topic: k, Account: tables{p}},
		MaxRecords: batchRecords, Tracer: places{}, Positions: settler, Healed: true, Steady: true, Drain: drain, Logger: p.w.log,
	})
	book := account.Book{Log: offsets, Store: tables{p}, Decisions: pipeline.WriteOffs{Store: objects{p}}}
	healer := consumers.Healer{
		GroupID: schemas.IngestGroup(topic), Topic: topic,
		Group: group, Log: offsets, Ledger: tables{p}, Logger: p.w.log,
		Restore: func(ctx context.Context) error { return book.Restore(ctx, topic) },
	}
	p.running.Go(func() { _ = healer.Run(ctx) })
}

// inTurn is Forgetting, which the groups of both topics share. It is asked one after the other, in an
// order that the scheduler chooses: who waits for whom in there would be the machine's chance.
type inTurn struct {
	*warehouse.Forgetting
	p *process
}

func (t inTurn) take(ctx context.Context, what string) error {
	if !t.p.w.hasContacts() { // there is but one group
		return nil
	}
	return t.p.ask(ctx, atHome, "turn to "+what, func() error { return nil })
}

// InsertInteractions implements ingest.Interactions.
func (t inTurn) InsertInteractions(ctx context.Context, batches ...schemas.Batch[*schemas.Interaction]) error {
	if err := t.take(ctx, "insert interactions"); err != nil {
		return err
	}
	return t.Forgetting.InsertInteractions(ctx, batches...)
}

// InsertContacts implements ingest.Contacts.
func (t inTurn) InsertContacts(ctx context.Context, batches ...schemas.Batch[*schemas.Contact]) error {
	if err := t.take(ctx, "insert contacts"); err != nil {
		return err
	}
	return t.Forgetting.InsertContacts(ctx, batches...)
}

// run starts a group.
func run[E any](ctx context.Context, p *process, o consumers.Options[E]) *consumers.Group[E] {
	g, err := consumers.New(o)
	if err != nil {
		panic(err)
	}
	p.running.Go(func() {
		if err := g.Run(ctx); err != nil {
			p.w.failf("a group of %s ended: %v", p.name(), err)
		}
	})
	return g
}

// quiet is a logger for what nobody reads.
var quiet = slog.New(slog.DiscardHandler)
