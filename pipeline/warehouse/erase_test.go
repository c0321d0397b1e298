package warehouse_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// TestAnErasureIsOfStatementsThatReplicasAgreeOn erases a contact whose interactions have
// versions that do not name it, under ids that are as long as ids are and full of quotes.
func TestAnErasureIsOfStatementsThatReplicasAgreeOn(t *testing.T) {
	w, conn := open(t), stacktest.ClickHouse(t)
	const tenant, interactions = "replicas", 300
	id := func(n int) string { return fmt.Sprintf("%04d", n) + strings.Repeat(`'"\ü`, 50) }
	b := schemas.Batch[*schemas.Interaction]{Topic: "replicas"}
	for n := range 2*interactions + 1 {
		r := version{id: id(n / 2), at: from, media: "chat", offset: int64(n)}.record(tenant)
		if n%2 == 0 && n < 2*interactions {
			r.Event.ContactID = "it's eve"
		}
		b.Records = append(b.Records, r)
	}
	check(t, w.InsertInteractions(t.Context(), b))
	e := schemas.Erasure{
		Request:      schemas.ErasureRequest{TenantID: tenant, ErasureID: "e1", ContactID: "it's eve"},
		Interactions: schemas.Snapshot{1000}, Contacts: schemas.Snapshot{1000},
	}
	check(t, w.Erase(t.Context(), e))

	var left, erased uint64
	check(t, conn.QueryRow(t.Context(), "SELECT count() FROM interactions WHERE tenant_id = '"+tenant+"'").Scan(&left))
	check(t, conn.QueryRow(t.Context(), "SELECT count() FROM erased_rows FINAL WHERE tenant_id = '"+tenant+"'").Scan(&erased))
	if left != 1 || erased != 2*interactions {
		t.Errorf("%d rows are left and %d erased; want 1 and %d", left, erased, 2*interactions)
	}
	var mutations, subqueries uint64
	check(t, conn.QueryRow(t.Context(), `
SELECT count(), countIf(match(command, '(?i)\\bselect\\b')) FROM system.mutations
WHERE database = currentDatabase() AND table IN ('interactions', 'contacts') AND command LIKE '%''`+tenant+`''%'`).Scan(&mutations, &subqueries))
	if mutations == 0 || subqueries > 0 {
		t.Errorf("%d of %d mutations have a subquery, which a replicated table refuses", subqueries, mutations)
	}
	back, err := w.CameBack(t.Context(), []schemas.Erasure{e})
	check(t, err)
	if len(back) > 0 {
		t.Error("rows seem to have come back")
	}
}

// TestAnErasureOfManySubjectsTakesFewMutations erases 1,000 contacts and 100 interactions of
// others. Every tenth interaction of a contact has a version that does not name it.
func TestAnErasureOfManySubjectsTakesFewMutations(t *testing.T) {
	w, conn := open(t), stacktest.ClickHouse(t)
	const tenant, contacts, single = "bulk", 1000, 100
	b := schemas.Batch[*schemas.Interaction]{Topic: "bulk"}
	add := func(id, contact string) {
		r := version{id: id, at: from, media: "chat", offset: int64(len(b.Records))}.record(tenant)
		r.Event.ContactID = contact
		b.Records = append(b.Records, r)
	}
	r := schemas.ErasureRequest{TenantID: tenant, ErasureID: "bulk"}
	want := map[schemas.Subject]int64{}
	for n := range contacts {
		contact := fmt.Sprintf(`o'%d "\\ü`, n)
		r.Contacts = append(r.Contacts, contact)
		add(fmt.Sprint("i", n), contact)
		want[schemas.Subject{Kind: schemas.ErasedContact, ID: contact}] = 1
		if n%10 == 0 {
			add(fmt.Sprint("i", n), "")
			want[schemas.Subject{Kind: schemas.ErasedContact, ID: contact}] = 2
		}
	}
	for n := range single {
		id := fmt.Sprint("single", n)
		r.Interactions = append(r.Interactions, id)
		add(id, "stays")
		want[schemas.Subject{Kind: schemas.ErasedInteraction, ID: id}] = 1
	}
	add("other", "stays")
	add("late", r.Contacts[0])
	check(t, w.InsertInteractions(t.Context(), b))
	end := int64(len(b.Records))
	e := schemas.Erasure{Request: r, Interactions: schemas.Snapshot{end - 1}, Contacts: schemas.Snapshot{0}}

	impact, err := w.Impact(t.Context(), e)
	check(t, err)
	for _, o := range impact.Outcomes() {
		if o.Rows != want[o.Subject] || o.Outcome != schemas.SubjectFound {
			t.Errorf("of %s %s %d versions are %s, want %d", o.Kind, o.ID, o.Rows, o.Outcome, want[o.Subject])
		}
	}
	check(t, w.Erase(t.Context(), e))
	check(t, w.Erase(t.Context(), e)) // a process that died repeats it
	rows, err := w.ErasedRows(t.Context(), e)
	check(t, err)
	if rows != end-2 || impact.Versions != rows {
		t.Errorf("%d versions were found and %d erased, want %d", impact.Versions, rows, end-2)
	}
	var left []string
	check(t, conn.QueryRow(t.Context(), "SELECT groupArray(interaction_id) FROM (SELECT interaction_id FROM interactions WHERE tenant_id = '"+tenant+"' ORDER BY interaction_id)").Scan(&left))
	if !slices.Equal(left, []string{"late", "other"}) {
		t.Errorf("left are %v", left)
	}
	var mutations uint64
	check(t, conn.QueryRow(t.Context(), `
SELECT count() FROM system.mutations
WHERE database = currentDatabase() AND table = 'interactions' AND command LIKE '%''`+tenant+`''%'`).Scan(&mutations))
	if mutations > 2 { // one each time
		t.Errorf("it took %d mutations", mutations)
	}
}

// TestDatesOfAnyMonthAreStoredExportedAndErasedInTime has one tenant's rows lie in as
// many months as a producer's dates can reach, one in each.
func TestDatesOfAnyMonthAreStoredExportedAndErasedInTime(t *testing.T) {
	w := open(t)
	const months, within = 922, 10 * time.Second
	first := time.Date(1949, 1, 1, 0, 0, 0, 0, time.UTC)
	b := schemas.Batch[*schemas.Interaction]{Topic: "anymonth"}
	for n := range months {
		at := schemas.TimeOf(first.AddDate(0, n, 0))
		r := version{id: fmt.Sprint(n), at: at, media: "chat", offset: int64(n)}.record("anymonth")
		r.Event.ContactID = "c"
		b.Records = append(b.Records, r)
	}
	timed := func(what string, do func()) {
		t.Helper()
		begin := time.Now()
		do()
		took := time.Since(begin)
		t.Log(what, took.Round(time.Millisecond))
		if took > within {
			t.Errorf("%s of %d months took %s; want at most %s", what, months, took, within)
		}
	}
	timed("storing", func() { check(t, w.InsertInteractions(t.Context(), b)) })
	q := warehouse.Query{
		Snapshot: schemas.Snapshot{months},
		Filter:   schemas.Filter{TenantID: "anymonth", Entity: schemas.EntityInteraction, From: schemas.TimeOf(first), To: schemas.TimeOf(first.AddDate(0, months, 0))},
	}
	timed("reading", func() {
		chunks, err := pipelinetest.Chunks(t.Context(), w, q, 100)
		check(t, err)
		rows := 0
		for _, c := range chunks {
			r, err := w.Rows(t.Context(), q, c.First, c.Last)
			check(t, err)
			lines, err := io.ReadAll(r)
			check(t, errors.Join(err, r.Close()))
			rows += bytes.Count(lines, []byte("\n"))
		}
		if rows != months {
			t.Errorf("%d rows were read", rows)
		}
	})
	timed("erasing", func() {
		check(t, w.Erase(t.Context(), schemas.Erasure{
			Request:      schemas.ErasureRequest{TenantID: "anymonth", ErasureID: "e1", ContactID: "c"},
			Interactions: schemas.Snapshot{months}, Contacts: schemas.Snapshot{months},
		}))
	})
}
