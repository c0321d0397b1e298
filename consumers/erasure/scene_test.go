package erasure_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"cdds/consumers/erasure"
	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

const tenant = "acme"

// scene is what handlers work on, in memory: Kafka with interactions and requests, the twin of
// ClickHouse, the bucket, exports and holds. A test and its handlers take turns in a bubble of
// package synctest, so nothing here is locked.
type scene struct {
	*testing.T
	tables *pipelinetest.Warehouse
	store  *pipelinetest.Store

	records []schemas.Record[*schemas.Interaction]
	// read is how far ingest has read; all of it is stored unless ClickHouse lost it.
	read int
	// requests is how many requests are in their topic, and handled how many of them were handled.
	requests, handled int64
	published         []schemas.Event
	exports           []schemas.Export
	// unfolded are exports whose events history has, and which it does not show yet.
	unfolded []schemas.Export
	held     schemas.Holds
	changed  chan struct{}
	// meanwhile is called before each step of an erasure, with its name. An error is what becomes
	// of the step.
	meanwhile func(step string) error
}

// play runs a test on a new scene, whose clock is not the real one.
func play(t *testing.T, test func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{T: t, tables: pipelinetest.NewWarehouse(), store: pipelinetest.NewStore(), changed: make(chan struct{})}
		s.meanwhile = func(string) error { return nil }
		test(s)
	})
}

// handler is the role in one more process.
func (s *scene) handler() *erasure.Handler {
	return erasure.New(erasure.Options{
		Log: s, Rows: rows{s.tables, s}, Decisions: s.decisions(), History: past{s}, Objects: s.store, Publisher: s, Holds: s,
		Name: "test", Logger: slog.New(slog.DiscardHandler),
	})
}

func (s *scene) decisions() pipeline.Erasures { return pipeline.Erasures{Store: s.store} }

// handle has one more process handle a request.
func (s *scene) handle(r *schemas.ErasureRequest) error {
	return s.handler().Handle(s.Context(), schemas.Batch[*schemas.ErasureRequest]{Records: []schemas.Record[*schemas.ErasureRequest]{{Event: r}}})
}

// watch has one more process watch until the test ends.
func (s *scene) watch() {
	ctx, stop := context.WithCancel(s.Context())
	ended := make(chan error)
	go func() { ended <- s.handler().Watch(ctx) }()
	s.Cleanup(func() {
		stop()
		s.check(<-ended)
	})
	synctest.Wait()
}

// later lets time pass, until everybody waits.
func (s *scene) later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// once has do happen before a step of an erasure, the first time.
func (s *scene) once(step string, do func() error) {
	done := false
	s.meanwhile = func(name string) error {
		if done || name != step {
			return nil
		}
		done = true
		return do()
	}
}

// errDied is what becomes of a step of a process that dies.
var errDied = errors.New("the process died")

// diesBefore has the process that takes a step next die before it.
func (s *scene) diesBefore(step string) { s.once(step, func() error { return errDied }) }

// breaksOff has a process take a request up and die before a step.
func (s *scene) breaksOff(r *schemas.ErasureRequest, step string) {
	s.Helper()
	s.diesBefore(step)
	if err := s.handle(r); !errors.Is(err, errDied) {
		s.Fatalf("it should break off before %q: %v", step, err)
	}
}

// Steps of the twin's Erase, and others.
const (
	beforeLooking      = "look"
	beforeListing      = "list exports"
	beforeErasing      = "record subjects"
	beforeDeleting     = "delete rows"
	beforeCounting     = "count rows"
	beforeErasingAgain = "erase again " // the id of the erasure follows
)

// produced puts an interaction of a contact into Kafka.
func (s *scene) produced(id, contact string, year int) {
	at := schemas.TimeOf(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC))
	e, err := schemas.DecodeInteraction(fmt.Appendf(nil, `{"interaction_id":%q,"tenant_id":%q,"contact_id":%q,"media_type":"chat","started_at":%q}`, id, tenant, contact, at))
	s.check(err)
	s.records = append(s.records, schemas.Record[*schemas.Interaction]{Event: e, Offset: int64(len(s.records)), Time: schemas.TimeOf(time.Now())})
}

// ingest stores what Kafka has and ClickHouse lacks.
func (s *scene) ingest() {
	gaps, _, err := s.tables.Gaps(s.Context(), schemas.TopicInteractions, s.used(schemas.Snapshot{int64(len(s.records))}), len(s.records))
	s.check(err)
	for _, gap := range gaps {
		s.check(s.tables.InsertInteractions(s.Context(), schemas.Batch[*schemas.Interaction]{Records: s.records[gap.First:gap.Next]}))
	}
	s.read = len(s.records)
}

// stored is an interaction of eve that ClickHouse has.
func (s *scene) stored() {
	s.produced("i1", "eve", 2024)
	s.ingest()
}

// begins is an export that history knows, of everything that is stored.
func (s *scene) begins(id string) {
	s.exports = append(s.exports, schemas.Export{
		TenantID: tenant, ExportID: id, State: schemas.Running, Snapshot: schemas.Snapshot{int64(s.read)},
		Request: &schemas.ExportRequest{TenantID: tenant, ExportID: id, Entity: schemas.EntityInteraction, From: yearOf(2000), To: yearOf(2100)},
	})
}

// rereads has history lose what it shows of exports, and show it again after a while: it has read
// all their events by then.
func (s *scene) rereads(d time.Duration) {
	s.exports, s.unfolded = nil, s.exports
	go func() {
		time.Sleep(d)
		s.exports, s.unfolded = s.unfolded, nil
	}()
}

func yearOf(year int) schemas.Time {
	return schemas.TimeOf(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC))
}

// holds adds a hold.
func (s *scene) holds(h schemas.Hold) {
	h.TenantID, h.HoldID, h.Name = tenant, "h1", "a case"
	s.held = append(s.held, h)
	s.turn()
}

// release releases all holds.
func (s *scene) release() {
	s.held = nil
	s.turn()
}

func (s *scene) turn() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// erasureOf is a request, as the next one of its topic.
func (s *scene) erasureOf(id string) *schemas.ErasureRequest {
	s.requests++
	return &schemas.ErasureRequest{TenantID: tenant, ErasureID: id, ContactID: "eve", RequestedAt: schemas.TimeOf(time.Now())}
}

// shown is what history shows of an erasure.
func (s *scene) shown(id string) schemas.Erasure {
	e, _, err := s.tables.Erasure(s.Context(), tenant, id)
	s.check(err)
	return e
}

// rowsLeft are the ids of the interactions that are stored.
func (s *scene) rowsLeft() (ids []string) {
	for _, r := range s.tables.Records(schemas.TopicInteractions) {
		ids = append(ids, r.Event.InteractionID)
	}
	slices.Sort(ids)
	return ids
}

// publishedOf is how often the request of an erasure was published again.
func (s *scene) publishedOf(id string) (n int) {
	for _, e := range s.published {
		if r, is := e.(*schemas.ErasureRequest); is && r.ErasureID == id {
			n++
		}
	}
	return n
}

// audited is how often the audit trail says something of an erasure.
func (s *scene) audited(action, id string) (n int) {
	for _, e := range s.published {
		if a, is := e.(*schemas.AuditRecord); is && a.Subject == id && a.Action == action {
			n++
		}
	}
	return n
}

// named are the exports that an erasure names, in order.
func named(e schemas.Erasure) (ids []string) {
	for _, x := range e.Exports {
		ids = append(ids, x.ExportID)
	}
	slices.Sort(ids)
	return ids
}

func (s *scene) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// EndOffsets implements erasure.Log. Topics other than those of interactions and requests are empty.
func (s *scene) EndOffsets(_ context.Context, topic schemas.Topic) (schemas.Snapshot, error) {
	switch topic {
	case schemas.TopicInteractions:
		return schemas.Snapshot{int64(len(s.records))}, nil
	case schemas.TopicErasureRequests:
		return schemas.Snapshot{s.requests}, nil
	}
	return schemas.Snapshot{0}, nil
}

// Handled implements erasure.Log.
func (s *scene) Handled(_ context.Context, _ string, topic schemas.Topic) (schemas.Snapshot, error) {
	switch topic {
	case schemas.TopicInteractions:
		return schemas.Snapshot{int64(s.read)}, nil
	case schemas.TopicErasureRequests:
		return schemas.Snapshot{s.handled}, nil
	}
	return schemas.Snapshot{0}, nil
}

// Present implements erasure.Log: Kafka has lost nothing.
func (s *scene) Present(_ context.Context, _ schemas.Topic, to schemas.Snapshot) ([]schemas.Run, error) {
	return s.used(to), nil
}

func (s *scene) used(to schemas.Snapshot) []schemas.Run { return []schemas.Run{{Next: to[0]}} }

// Publish implements erasure.Publisher.
func (s *scene) Publish(_ context.Context, events ...schemas.Event) error {
	s.published = append(s.published, events...)
	for _, e := range events {
		if e.Topic() == schemas.TopicErasureRequests {
			s.requests++
		}
	}
	return nil
}

// Held implements erasure.Holds.
func (s *scene) Held(context.Context, string) (schemas.Holds, error) { return s.held, nil }

// Changed implements erasure.Holds.
func (s *scene) Changed() <-chan struct{} { return s.changed }
