package ingest_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"cdds/consumers"
	"cdds/consumers/ingest"
	"cdds/schemas"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	_ consumers.Handler[*schemas.Interaction] = (*ingest.Handler[*schemas.Interaction])(nil)
	_ consumers.Handler[*schemas.Contact]     = (*ingest.Handler[*schemas.Contact])(nil)
)

var errDown = errors.New("the database is down")

// tables keep rows by offset, as the ClickHouse tables do.
type tables struct {
	interactions map[int64]string
	contacts     map[int64]string
	down         bool
}

func newTables() *tables {
	return &tables{interactions: make(map[int64]string), contacts: make(map[int64]string)}
}

func (s *tables) InsertInteractions(_ context.Context, batches ...schemas.Batch[*schemas.Interaction]) error {
	if s.down {
		return errDown
	}
	for _, b := range batches {
		for _, r := range b.Records {
			s.interactions[r.Offset] = r.Event.InteractionID
		}
	}
	return nil
}

func (s *tables) InsertContacts(_ context.Context, batches ...schemas.Batch[*schemas.Contact]) error {
	for _, b := range batches {
		for _, r := range b.Records {
			s.contacts[r.Offset] = r.Event.ContactID
		}
	}
	return nil
}

func batch[E any](topic schemas.Topic, events ...E) schemas.Batch[E] {
	b := schemas.Batch[E]{Topic: topic, Next: int64(len(events))}
	for i, e := range events {
		b.Records = append(b.Records, schemas.Record[E]{Event: e, Offset: int64(i), Time: schemas.TimeOf(time.Now())})
	}
	return b
}

func TestBatchesAreStoredAndCounted(t *testing.T) {
	s, reg := newTables(), prometheus.NewRegistry()
	interactions, err := ingest.NewInteractions(s, reg)
	if err != nil {
		t.Fatal(err)
	}
	contacts, err := ingest.NewContacts(s, reg)
	if err != nil {
		t.Fatal(err)
	}
	in := batch(schemas.TopicInteractions,
		&schemas.Interaction{InteractionID: "a", Body: []byte(`{"n":1}`)}, &schemas.Interaction{InteractionID: "b", Body: []byte(`{}`)})
	for range 2 { // a replay
		if err := interactions.Handle(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	if err := contacts.Handle(t.Context(), batch(schemas.TopicContacts, &schemas.Contact{ContactID: "c", Body: []byte(`{}`)})); err != nil {
		t.Fatal(err)
	}
	if len(s.interactions) != 2 || s.interactions[1] != "b" || s.contacts[0] != "c" {
		t.Errorf("stored %v and %v", s.interactions, s.contacts)
	}
	for name, want := range map[string]map[string]float64{
		"cdds_ingest_rows_total":  {"interaction": 4, "contact": 1},
		"cdds_ingest_bytes_total": {"interaction": 18, "contact": 2},
	} {
		if got := counters(t, reg, name); !maps.Equal(got, want) {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

// counters are the values of a metric by entity.
func counters(t *testing.T, reg *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				values[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return values
}

func TestFailedInsertIsAnErrorThatSaysWhatWasToBeStored(t *testing.T) {
	s := newTables()
	s.down = true
	h, err := ingest.NewInteractions(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = h.Handle(t.Context(), batch(schemas.TopicInteractions, &schemas.Interaction{}))
	if !errors.Is(err, errDown) || !strings.Contains(err.Error(), "1 row of cdds.interactions partition 0 from offset 0") {
		t.Errorf("error = %v", err)
	}
}
