package retention_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/ops/retention"
	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

const (
	hour = time.Hour
	day  = 24 * time.Hour
)

// house is a bucket and a history with exports in both, and a clock.
type house struct {
	t     *testing.T
	now   time.Time
	store *pipelinetest.Store
	// log is how much was published, and stored what of it history holds, by export.
	log int
	// holds are those of every tenant.
	holds schemas.Holds
	// unheard is how many times nothing can be published.
	unheard int
	stored  map[[2]string][]*schemas.ExportStatus
	// asked is how often history was asked about exports, askedParts how often for parts of some.
	asked, askedParts int
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), store: pipelinetest.NewStore(), stored: map[[2]string][]*schemas.ExportStatus{}}
	h.store.Now = h.clock
	return h
}

func (h *house) Held(context.Context, string) (schemas.Holds, error) { return h.holds, nil }

func (h *house) clock() time.Time { return h.now }

// Publish appends to the log and, as a history that follows does, stores it.
func (h *house) Publish(_ context.Context, events ...schemas.Event) error {
	if h.unheard > 0 {
		h.unheard--
		return errors.New("no broker answers")
	}
	for _, e := range events {
		if s, ok := e.(*schemas.ExportStatus); ok {
			id := [2]string{s.TenantID, s.ExportID}
			h.log++
			h.stored[id] = append(h.stored[id], s)
		}
	}
	return nil
}

func (h *house) EndOffsets(context.Context, schemas.Topic) (schemas.Snapshot, error) {
	return schemas.Snapshot{int64(h.log)}, nil
}

// Handled is the end: the group is ahead, whatever history holds.
func (h *house) Handled(context.Context, string, schemas.Topic) (schemas.Snapshot, error) {
	return schemas.Snapshot{int64(h.log)}, nil
}

func (h *house) Present(_ context.Context, _ schemas.Topic, to schemas.Snapshot) ([]schemas.Run, error) {
	return []schemas.Run{{First: 0, Next: to[0]}}, nil
}

func (h *house) Missing(_ context.Context, _ schemas.Topic, runs []schemas.Run) (int64, error) {
	n := runs[0].Next
	for _, events := range h.stored {
		n -= int64(len(events))
	}
	return n, nil
}

func (h *house) Export(_ context.Context, tenantID, exportID string) (schemas.Export, bool, error) {
	h.asked++
	e, known := h.fold([2]string{tenantID, exportID})
	e.Parts = nil
	return e, known, nil
}

func (h *house) fold(id [2]string) (schemas.Export, bool) {
	return schemas.Fold(h.stored[id]...), len(h.stored[id]) > 0
}

func (h *house) EachPart(_ context.Context, exports [][2]string, each func([2]string, schemas.Receipt) error) error {
	h.askedParts++
	for _, id := range exports {
		e, _ := h.fold(id)
		for _, r := range e.Parts {
			if err := each(id, r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *house) States(_ context.Context, exports [][2]string) (map[[2]string]schemas.State, error) {
	h.asked++
	states := map[[2]string]schemas.State{}
	for _, id := range exports {
		if events := h.stored[id]; len(events) > 0 {
			states[id] = schemas.Fold(events...).State
		}
	}
	return states, nil
}

func (h *house) ExportsIn(_ context.Context, states []schemas.State, afterTenant, afterExport string, limit int) (page []schemas.Export, err error) {
	order := slices.SortedFunc(maps.Keys(h.stored), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	for _, id := range order {
		if len(page) == limit || slices.Compare(id[:], []string{afterTenant, afterExport}) <= 0 {
			continue
		}
		if e, _ := h.fold(id); slices.Contains(states, e.State) {
			e.Parts = nil
			page = append(page, e)
		}
	}
	return page, nil
}

// exporter is what workers and retention write decisions with.
func (h *house) exporter() *pipeline.Exporter {
	return pipeline.New(pipeline.Options{Store: h.store, Now: h.clock, Lifetime: 30 * day})
}

// keeper is a retention process that starts now.
func (h *house) keeper() *retention.Keeper {
	return retention.New(retention.Options{
		History: h, Account: h, Log: h, Objects: h.store, Artifacts: h.exporter(), Publisher: h, Holds: h,
		Lifetime: func(string) time.Duration { return 30 * day }, Grace: day,
		Name: "test", Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: h.clock,
	})
}

// export makes one of acme that is completed, with one part, in bucket and history.
func (h *house) export(id string) {
	h.t.Helper()
	h.accept(id)
	part := schemas.Part{Number: 1, Rows: 1}
	r := schemas.Receipt{Part: part, Name: schemas.PartName(schemas.EntityInteraction, id, part)}
	r.Key = schemas.ExportPrefix("acme", id) + r.Name
	m := schemas.Manifest{TenantID: "acme", ExportID: id, ExpiresAt: schemas.TimeOf(h.now.Add(30 * day)), Parts: []schemas.Receipt{r}}
	m.Filter.Entity = schemas.EntityInteraction
	content, err := schemas.Encode(m)
	check(h.t, err)
	h.put(id, r.Name, "sealed")
	h.put(id, schemas.ManifestName, string(content))
	h.put(id, schemas.SignatureName, "signature")
	_, err = h.exporter().End(h.t.Context(), "acme", id, schemas.Completed)
	check(h.t, err)
	h.tell(id, "part/000001", schemas.Running, func(s *schemas.ExportStatus) { s.Part = &r })
	h.tell(id, "completed", schemas.Completed, func(s *schemas.ExportStatus) { s.Completion = &schemas.Completion{ExpiresAt: m.ExpiresAt} })
}

// accept makes one of acme that was requested and is at work.
func (h *house) accept(id string) {
	h.t.Helper()
	request := &schemas.ExportRequest{TenantID: "acme", ExportID: id, Entity: schemas.EntityInteraction}
	_, err := h.exporter().Accept(h.t.Context(), request, pipeline.Origin{}, func() (pipeline.Acceptance, error) { return pipeline.Acceptance{}, nil })
	check(h.t, err)
	h.tell(id, "requested", schemas.Requested, func(s *schemas.ExportStatus) { s.Request = request })
}

func (h *house) put(id, name, content string) {
	h.t.Helper()
	sum := sha256.Sum256([]byte(content))
	check(h.t, h.store.Put(h.t.Context(), schemas.ExportPrefix("acme", id)+name, bucket.Content{
		Body: strings.NewReader(content), Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Expires: strings.HasSuffix(name, ".p7m"),
	}))
}

func (h *house) tell(id, event string, state schemas.State, edit func(*schemas.ExportStatus)) {
	h.t.Helper()
	s := &schemas.ExportStatus{TenantID: "acme", ExportID: id, EventID: event, State: state, Time: schemas.TimeOf(h.now)}
	edit(s)
	check(h.t, h.Publish(h.t.Context(), s))
}

// forget has history lose all it holds, and Kafka too if it is asked to.
func (h *house) forget(kafkaToo bool) {
	clear(h.stored)
	if kafkaToo {
		h.log = 0
	}
}

// objects is how many objects begin with a prefix.
func (h *house) objects(prefix string) int {
	h.t.Helper()
	all, err := h.store.List(h.t.Context(), prefix)
	check(h.t, err)
	return len(all)
}

// lose removes the objects whose key holds part.
func (h *house) lose(part string) {
	h.t.Helper()
	all, err := h.store.List(h.t.Context(), "")
	check(h.t, err)
	for _, o := range all {
		if strings.Contains(o.Key, part) {
			check(h.t, h.store.Remove(h.t.Context(), o.Key))
		}
	}
}

// states counts exports by state, as history has them.
func (h *house) states() string {
	counts := map[schemas.State]int{}
	all, _ := h.ExportsIn(h.t.Context(), schemas.States(), "", "", 10_000)
	for _, e := range all {
		counts[e.State]++
	}
	return fmt.Sprint(counts)
}

// sweep is one pass that must not fail.
func (h *house) sweep(k *retention.Keeper) retention.Report {
	h.t.Helper()
	report, err := k.Sweep(h.t.Context())
	check(h.t, err)
	return report
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
