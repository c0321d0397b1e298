package pipelinetest_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// history is random versions of some interactions in three partitions, published at times
// that do not follow the offsets.
func history(random *rand.Rand, tenant string) (all []schemas.Record[*schemas.Interaction]) {
	var offsets [3]int64
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for n := range 120 {
		e := &schemas.Interaction{
			InteractionID: fmt.Sprintf("i%02d", random.IntN(25)), TenantID: tenant,
			MediaType: []string{"voice", "chat"}[random.IntN(2)], Queue: []string{"sales", "support"}[random.IntN(2)],
			StartedAt: schemas.TimeOf(at.Add(time.Duration(random.IntN(3)) * time.Hour)), Text: fmt.Sprint(n),
		}
		e.Body, _ = schemas.Encode(e)
		p := random.IntN(3)
		all = append(all, schemas.Record[*schemas.Interaction]{Event: e, Partition: int32(p), Offset: offsets[p], Time: schemas.TimeOf(at.Add(time.Duration(n/2) * time.Second))})
		offsets[p]++
	}
	return all
}

func TestWhatDiffersFromAnEarlierExportGivesTheWholeWhenApplied(t *testing.T) {
	db := tables.New(stacktest.ClickHouse(t))
	check(t, db.Create(t.Context(), warehouse.Schema()))
	w := warehouse.New(db)
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 5))
		tenant := fmt.Sprintf("t%d", seed)
		records := history(random, tenant)
		twin := pipelinetest.NewSource(records...)
		// Each tenant's records are in partitions of their own, or positions would repeat.
		shift := int32(3 * seed)
		for p := range int32(3) {
			b := schemas.Batch[*schemas.Interaction]{Topic: schemas.TopicInteractions, Partition: p + shift}
			for _, r := range records {
				if r.Partition == p {
					r.Partition += shift
					b.Records, b.Next = append(b.Records, r), r.Offset+1
				}
			}
			check(t, w.InsertInteractions(t.Context(), b))
		}
		query := func(snapshot ...int64) warehouse.Query {
			q := pipelinetest.Everything(snapshot...)
			q.Filter.TenantID = tenant
			for _, narrow := range []func(){
				func() { q.Filter.MediaTypes = []string{"voice"} }, func() { q.Filter.Queues = []string{"sales"} }, func() {}, func() {},
			}[random.IntN(4):][:1] {
				narrow()
			}
			return q
		}
		some := func(below int64) []int64 {
			return []int64{random.Int64N(below), random.Int64N(below), random.Int64N(below)}
		}
		before := query(some(25)...)
		now := query(50, 50, 50)
		if random.IntN(2) == 0 { // most filters stay
			now.Filter = before.Filter
		}
		now.Before = &warehouse.Before{Filter: before.Filter, Snapshot: before.Snapshot}
		if random.IntN(2) == 0 {
			now.Before.ErasedFrom = time.Now().Add(-time.Hour)
			for _, most := range []int64{40, 8, 8, 8} { // of some ids versions stay that the earlier run had
				id, below := fmt.Sprintf("i%02d", random.IntN(25)), some(most)
				request := schemas.ErasureRequest{TenantID: tenant, ErasureID: "e" + id, InteractionID: id}
				check(t, w.Erase(t.Context(), schemas.Erasure{Request: request, Interactions: shifted(below, shift)}))
				twin.Erase(id, below, time.Now())
			}
			until, found, err := w.ErasedUntil(t.Context(), tenant, schemas.EntityInteraction, now.Before.ErasedFrom)
			check(t, err)
			if !found {
				t.Error("nothing seems to have been erased")
			}
			now.Before.ErasedTo = until.Add(time.Second)
		}
		asked := now
		earlier := *now.Before
		asked.Before = &earlier
		asked.Snapshot, asked.Before.Snapshot = shifted(now.Snapshot, shift), shifted(before.Snapshot, shift)
		for what, read := range map[string]func(s source, q warehouse.Query) string{"upserts": upserts, "removals": removals} {
			if got, want := read(w, asked), read(twin, now); got != want {
				t.Errorf("seed %d: the %s are\n%swant\n%s", seed, what, got, want)
			}
		}
		whole := now
		whole.Before = nil
		was := map[schemas.RowKey]string{}
		before.Scattered, whole.Scattered = true, true
		had := pipelinetest.NewSource(records...) // as the earlier run read it
		each(t, upserts(had, before), func(key schemas.RowKey, line string) { was[key] = line })
		check(t, w.Removed(t.Context(), asked, schemas.RowKey{}, nil, func(r schemas.Removal) error {
			for key := range was {
				if key.ID == r.ID && (r.Time.IsZero() || r.Time == key.Time) {
					delete(was, key)
				}
			}
			return nil
		}))
		each(t, upserts(w, asked), func(key schemas.RowKey, line string) { was[key] = line })
		want := 0
		each(t, upserts(twin, whole), func(key schemas.RowKey, line string) {
			want++
			if was[key] != line {
				t.Errorf("seed %d: %v is %q, want %q", seed, key, was[key], line)
			}
		})
		if len(was) != want {
			t.Errorf("seed %d: %d rows, want %d", seed, len(was), want)
		}
	}
}

// source is a warehouse.Warehouse or its twin.
type source interface {
	Extent(ctx context.Context, q warehouse.Query) (warehouse.Extent, error)
	Chunks(ctx context.Context, q warehouse.Query, n int64, each func(warehouse.Chunk) error) error
	Rows(ctx context.Context, q warehouse.Query, first, last schemas.RowKey) (warehouse.Lines, error)
	Removed(ctx context.Context, q warehouse.Query, first schemas.RowKey, last *schemas.RowKey, each func(schemas.Removal) error) error
}

func upserts(s source, q warehouse.Query) string {
	extent, err := s.Extent(context.Background(), q)
	if err != nil {
		return err.Error()
	}
	chunks, err := pipelinetest.Chunks(context.Background(), s, q, 1000)
	if err != nil || len(chunks) == 0 {
		return fmt.Sprint(extent.Rows, extent.Bytes, err)
	}
	if chunks[0].Rows != extent.Rows || chunks[0].Bytes != extent.Bytes || chunks[0].Versions != extent.Versions {
		return fmt.Sprint(chunks, extent)
	}
	r, err := s.Rows(context.Background(), q, chunks[0].First, chunks[0].Last)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = r.Close() }()
	content, err := io.ReadAll(r)
	if err != nil {
		return err.Error()
	}
	if r.Sum() != extent.Versions {
		return fmt.Sprint(extent, r.Sum())
	}
	return string(content)
}

func removals(s source, q warehouse.Query) (all string) {
	err := s.Removed(context.Background(), q, schemas.RowKey{}, nil, func(r schemas.Removal) error {
		all += fmt.Sprintln(r.Time, r.ID, r.Reason)
		return nil
	})
	if err != nil {
		return err.Error()
	}
	return all
}

func each(t *testing.T, lines string, found func(schemas.RowKey, string)) {
	t.Helper()
	for line := range strings.Lines(lines) {
		if !strings.HasPrefix(line, "{") {
			continue // nothing is selected
		}
		e, err := schemas.DecodeInteraction([]byte(strings.TrimSuffix(line, "\n")))
		check(t, err)
		found(schemas.RowKey{Time: e.StartedAt, ID: e.InteractionID}, line)
	}
}

// shifted is a snapshot of partitions that begin later.
func shifted(s schemas.Snapshot, by int32) schemas.Snapshot {
	return append(make(schemas.Snapshot, by), s...)
}

func TestThousandsOfRowsThatDifferAreCutInOrder(t *testing.T) {
	db := tables.New(stacktest.ClickHouse(t))
	check(t, db.Create(t.Context(), warehouse.Schema()))
	w := warehouse.New(db)
	const rows, partition = 20_000, 100
	from := pipelinetest.Everything().Filter.From
	for version := range 2 { // the second one is what differs
		for p := range 4 { // as imported: an id always in the same partition
			b := schemas.Batch[*schemas.Interaction]{Topic: schemas.TopicInteractions, Partition: int32(partition + p), First: int64(version * rows / 4)}
			for n := p; n < rows; n += 4 {
				e := &schemas.Interaction{
					InteractionID: fmt.Sprintf("i%05d", n), TenantID: "thousands", MediaType: "chat",
					StartedAt: schemas.TimeOf(from.Add(time.Duration(n*31%600) * time.Hour)), Text: fmt.Sprint(version),
				}
				e.Body, _ = schemas.Encode(e)
				b.Records = append(b.Records, schemas.Record[*schemas.Interaction]{Event: e, Partition: b.Partition, Offset: b.First + int64(n/4)})
			}
			b.Next = b.First + rows/4
			check(t, w.InsertInteractions(t.Context(), b))
		}
	}
	ends := func(end int64) schemas.Snapshot { return shifted(schemas.Snapshot{end, end, end, end}, partition) }
	q := pipelinetest.Everything(ends(rows / 2)...)
	q.Filter.TenantID = "thousands"
	q.Before = &warehouse.Before{Filter: q.Filter, Snapshot: ends(rows / 4)}
	before, _, err := w.ErasedUntil(t.Context(), "thousands", schemas.EntityInteraction, time.Time{})
	check(t, err)
	request := schemas.ErasureRequest{ErasureID: "e", TenantID: "thousands", InteractionID: "i00001"}
	check(t, w.Erase(t.Context(), schemas.Erasure{Request: request, Interactions: ends(rows / 4)}))
	after, _, err := w.ErasedUntil(t.Context(), "thousands", schemas.EntityInteraction, time.Time{})
	check(t, err)
	q.Before.ErasedFrom, q.Before.ErasedTo = before, after
	for range 5 {
		var all int64
		check(t, w.Chunks(t.Context(), q, 4096, func(c warehouse.Chunk) error { all += c.Rows; return nil }))
		if all != rows {
			t.Fatalf("%d rows differ, want %d", all, rows)
		}
	}
}
