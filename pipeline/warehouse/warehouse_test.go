package warehouse_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/ledger"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// open returns a warehouse on the shared stack. Tests use tenants of their own.
func open(t testing.TB) *warehouse.Warehouse {
	t.Helper()
	db := tables.New(stacktest.ClickHouse(t))
	for range 2 { // safe to repeat
		if err := db.Create(t.Context(), warehouse.Schema(), ledger.Schema()); err != nil {
			t.Fatal(err)
		}
	}
	return warehouse.New(db)
}

// history is the ledger of the shared stack.
func history(t testing.TB) *ledger.Ledger {
	t.Helper()
	return ledger.New(tables.New(stacktest.ClickHouse(t)))
}

// lose makes the shared stack's ClickHouse lose rows, as a restore from an older backup does.
func lose(t *testing.T, table, where string) {
	t.Helper()
	check(t, stacktest.ClickHouse(t).Exec(t.Context(), "ALTER TABLE "+table+" DELETE WHERE "+where+" SETTINGS mutations_sync = 2"))
}

var (
	from  = schemas.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	until = schemas.TimeOf(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
)

// ids that are hard on whatever quotes or compares them.
var oddIDs = []string{
	"a", "b", "a ", "A", `it's`, `"quoted"`, `back\slash`, `\n`, `'; DROP TABLE interactions; --`, "ümläut", "日本", "😀",
	"{first_id:String}", "%s", "a\u0301", "\u00e1", strings.Repeat("x", 256),
}

// version is one published version of an interaction.
type version struct {
	id        string
	at        schemas.Time
	media     string
	contact   string
	partition int32
	offset    int64
	published schemas.Time
	text      string
	// files are the sizes of its attachments.
	files []uint64
}

func (v version) record(tenant string) schemas.Record[*schemas.Interaction] {
	e := &schemas.Interaction{InteractionID: v.id, TenantID: tenant, MediaType: v.media, ContactID: v.contact, StartedAt: v.at, Text: v.text}
	for n, size := range v.files {
		a := schemas.Attachment{AttachmentID: fmt.Sprint(n)}
		if size > 100 {
			a.Object, a.Size, a.SHA256 = tenant+"/o", int64(size), strings.Repeat("0", 64)
		} else {
			a.Content = base64.StdEncoding.EncodeToString(make([]byte, size))
		}
		e.Attachments = append(e.Attachments, a)
	}
	return schemas.Record[*schemas.Interaction]{Event: e, Partition: v.partition, Offset: v.offset, Time: v.published}
}

func (v version) line(tenant string) string {
	b, err := schemas.Encode(v.record(tenant).Event)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// versions draws a history: positions are unique, identities repeat. An identity stays in
// its partition as Kafka keys have it, or they are scattered: there are two partitioners, or
// partitions were added.
func versions(t *rapid.T) []version {
	scattered := rapid.Bool().Draw(t, "scattered")
	next := [3]int64{}
	var all []version
	for n := range rapid.IntRange(0, 40).Draw(t, "versions") {
		id := rapid.IntRange(0, len(oddIDs)-1).Draw(t, "id")
		p := int32(id % len(next))
		if scattered && rapid.IntRange(0, 3).Draw(t, "elsewhere") == 0 {
			p = int32(rapid.IntRange(0, len(next)-1).Draw(t, "partition"))
		}
		all = append(all, version{
			id: oddIDs[id], at: schemas.TimeOf(from.Add(time.Duration(id%4) * 24 * 40 * time.Hour)),
			media: rapid.SampledFrom([]string{"chat", "voice"}).Draw(t, "media"), partition: p, offset: next[p],
			contact:   rapid.SampledFrom([]string{"ann", "ANN", ""}).Draw(t, "contact"),
			published: schemas.TimeOf(from.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "published")) * time.Second)),
			text:      fmt.Sprintf("version %d %s", n, strings.Repeat("ü", rapid.IntRange(0, 30).Draw(t, "length"))),
			files:     rapid.SliceOfN(rapid.SampledFrom([]uint64{0, 1, 2, 3, 100, 101, schemas.MaxObjectBytes}), 0, 3).Draw(t, "files"),
		})
		next[p] += rapid.Int64Range(1, 3).Draw(t, "step")
	}
	return all
}

// expected is the model: the newest version within the snapshots of each identity, if
// it passes the filter, in order of time and then id bytes; with Before those that differ.
func expected(all []version, q warehouse.Query, erased ...string) []version {
	rows := selected(all, q)
	if q.Before == nil {
		return rows
	}
	had := selected(all, warehouse.Query{Filter: q.Before.Filter, Snapshot: q.Before.Snapshot})
	return slices.DeleteFunc(rows, func(v version) bool {
		if q.Before.ErasedFrom.Before(q.Before.ErasedTo) && slices.Contains(erased, v.id) { // what is left of it once more
			return false
		}
		return slices.ContainsFunc(had, func(h version) bool { return h.id == v.id && h.partition == v.partition && h.offset == v.offset })
	})
}

// selected is expected without what was selected before.
func selected(all []version, q warehouse.Query) []version {
	newest := map[string]version{}
	for _, v := range all {
		if int(v.partition) >= len(q.Snapshot) || v.offset >= q.Snapshot[v.partition] {
			continue
		}
		if v.at.Before(q.Filter.From.Time) || !v.at.Before(q.Filter.To.Time) {
			continue
		}
		key := fmt.Sprint(v.partition, v.id)
		if old, ok := newest[key]; !ok || v.offset > old.offset {
			newest[key] = v
		}
	}
	across := map[string]version{}
	for _, v := range newest {
		old, ok := across[v.id]
		if later := v.published.Compare(old.published); !ok || later > 0 || later == 0 && v.partition > old.partition {
			across[v.id] = v
		}
	}
	var rows []version
	for _, v := range across {
		asked := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
		if asked(q.Filter.MediaTypes, v.media) && asked(q.Filter.Contacts, v.contact) {
			rows = append(rows, v)
		}
	}
	slices.SortFunc(rows, func(a, b version) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id)) })
	return rows
}

// TestChunksAndRowsAreWhatTheModelSays holds the two queries exports are made of
// against a model, over arbitrary histories, snapshots, ranges and filters, inserted
// in arbitrary batches and partly twice.
func TestChunksAndRowsAreWhatTheModelSays(t *testing.T) {
	w := open(t)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		if runs > 40 { // each costs queries; the seed varies from run to run
			return
		}
		tenant := fmt.Sprintf("model-%d-%d", time.Now().UnixNano(), runs)
		all := versions(rt)
		insert(t, rt, w, tenant, all)

		q := warehouse.Query{
			Filter: schemas.Filter{TenantID: tenant, Entity: schemas.EntityInteraction, From: from, To: until},
		}
		for range rapid.IntRange(0, 3).Draw(rt, "partitions") {
			q.Snapshot = append(q.Snapshot, rapid.Int64Range(0, 40).Draw(rt, "snapshot"))
		}
		if rapid.Bool().Draw(rt, "filtered") {
			q.Filter.MediaTypes = []string{"chat"}
		}
		if rapid.Bool().Draw(rt, "people") {
			q.Filter.Contacts = []string{"ann", "nobody"}
		}
		if rapid.Bool().Draw(rt, "range") {
			// Exactly at a start: inclusive from, exclusive to.
			q.Filter.From = schemas.TimeOf(from.Add(24 * 40 * time.Hour))
			q.Filter.To = schemas.TimeOf(from.Add(3 * 24 * 40 * time.Hour))
		}
		if rapid.Bool().Draw(rt, "continues") {
			q.Before = &warehouse.Before{Filter: q.Filter}
			for _, end := range q.Snapshot {
				q.Before.Snapshot = append(q.Before.Snapshot, rapid.Int64Range(0, end).Draw(rt, "since"))
			}
		}
		want := expected(all, q)
		extent, err := w.Extent(t.Context(), q)
		if err != nil {
			rt.Fatal(err)
		}
		if extent.Rows != int64(len(want)) {
			rt.Fatalf("the extent has %d rows, want %d", extent.Rows, len(want))
		}
		q.Scattered = extent.Scattered
		size := rapid.Int64Range(1, 7).Draw(rt, "chunk")
		chunks, err := pipelinetest.Chunks(t.Context(), w, q, size)
		if err != nil {
			rt.Fatal(err)
		}
		at := 0
		for i, c := range chunks {
			n := min(int(size), len(want)-at)
			if n <= 0 || c.Rows != int64(n) || c.First.ID != want[at].id || c.Last.ID != want[at+n-1].id || c.First.Time != want[at].at {
				rt.Fatalf("chunk %d of %d is %+v; want %d rows from %v", i+1, len(chunks), c, n, want[at:])
			}
			var text strings.Builder
			for _, v := range want[at : at+n] {
				text.WriteString(v.line(tenant) + "\n")
			}
			if got := read(t, rt, w, q, c); got != text.String() || c.Bytes != int64(len(got)) {
				rt.Fatalf("chunk %d of %d bytes reads\n%s\nwant\n%s", i+1, c.Bytes, got, text.String())
			}
			at += n
		}
		if at != len(want) {
			rt.Fatalf("%d of %d rows are in chunks", at, len(want))
		}
		if len(chunks) > 0 {
			attachmentsAreAs(rt, w, q, tenant, chunks, want)
		}
	})
}

// attachmentsAreAs holds what is asked of attachments against the model, from the second
// row to the last but one.
func attachmentsAreAs(t *rapid.T, w *warehouse.Warehouse, q warehouse.Query, tenant string, chunks []warehouse.Chunk, want []version) {
	extent, err := w.Extent(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	counted := int64(0)
	for _, c := range chunks {
		counted += c.Attached
	}
	with := slices.DeleteFunc(slices.Clone(want), func(v version) bool { return len(v.files) == 0 })
	if extent.Attached != int64(len(with)) || counted != int64(len(with)) {
		t.Fatalf("%d rows have attachments; the extent says %d, the chunks say %d", len(with), extent.Attached, counted)
	}
	if len(with) > 2 {
		with = with[1 : len(with)-1]
	}
	if len(with) == 0 {
		return
	}
	key := func(v version) schemas.RowKey { return schemas.RowKey{Time: v.at, ID: v.id} }
	first, last := key(with[0]), key(with[len(with)-1])
	n, text := 0, ""
	err = w.AttachmentSizes(context.Background(), q, first, last, func(k schemas.RowKey, chosen uint64, sizes []uint64) {
		if n >= len(with) || k != key(with[n]) || chosen != warehouse.VersionOf(with[n].partition, with[n].offset) || !slices.Equal(sizes, with[n].files) {
			t.Fatalf("row %d is %v with attachments of %d bytes; want %+v", n, k, sizes, with)
		}
		text += with[n].line(tenant) + "\n"
		n++
	})
	if err != nil || n != len(with) {
		t.Fatalf("%d of %d rows with attachments, %v", n, len(with), err)
	}
	var got string
	n = 0
	err = w.Attached(context.Background(), q, first, last, func(chosen uint64, body []byte) error {
		if n >= len(with) || chosen != warehouse.VersionOf(with[n].partition, with[n].offset) {
			t.Fatalf("row %d is of version %016x; want %+v", n, chosen, with)
		}
		n++
		got += string(body) + "\n"
		return nil
	})
	if err != nil || got != text {
		t.Fatalf("the rows with attachments are\n%s\nwant\n%s, %v", got, text, err)
	}
}

// insert stores versions partition by partition in batches cut at random, some of
// them again.
func insert(t *testing.T, rt *rapid.T, w *warehouse.Warehouse, tenant string, all []version) {
	for p := range int32(3) {
		var records []schemas.Record[*schemas.Interaction]
		for _, v := range all {
			if v.partition == p {
				records = append(records, v.record(tenant))
			}
		}
		for len(records) > 0 {
			n := rapid.IntRange(1, len(records)).Draw(rt, "batch")
			b := schemas.Batch[*schemas.Interaction]{
				Topic: schemas.Topic(tenant), Partition: p, First: records[0].Offset, Next: records[n-1].Offset + 1, Records: records[:n],
			}
			for range rapid.IntRange(1, 2).Draw(rt, "times") {
				if err := w.InsertInteractions(t.Context(), b); err != nil {
					rt.Fatal(err)
				}
			}
			// The next batch may begin before this one ended, as after a crash.
			records = records[max(1, n-rapid.IntRange(0, 1).Draw(rt, "back")):]
		}
	}
}

func read(t *testing.T, rt *rapid.T, w *warehouse.Warehouse, q warehouse.Query, c warehouse.Chunk) string {
	r, err := w.Rows(t.Context(), q, c.First, c.Last)
	if err != nil {
		rt.Fatal(err)
	}
	defer r.Close()
	var b strings.Builder
	if _, err := bufio.NewReader(r).WriteTo(&b); err != nil {
		rt.Fatal(err)
	}
	return b.String()
}

// TestABatchOverCenturiesMakesABoundedNumberOfParts stores what a hostile or careless
// producer dates into every month of two centuries.
func TestABatchOverCenturiesMakesABoundedNumberOfParts(t *testing.T) {
	w := open(t)
	const months = 2400
	b := schemas.Batch[*schemas.Interaction]{Topic: "months", First: 0, Next: months}
	for n := range months {
		at := schemas.TimeOf(time.Date(1900, time.Month(1+n), 1, 0, 0, 0, 0, time.UTC))
		b.Records = append(b.Records, version{id: fmt.Sprint(n), at: at, media: "chat", offset: int64(n)}.record("months"))
	}
	check(t, w.InsertInteractions(t.Context(), b))
	known, err := w.HasTenant(t.Context(), "months")
	if err != nil || !known {
		t.Errorf("the tenant is known: %v, %v", known, err)
	}
	conn := stacktest.ClickHouse(t)
	var partitions uint64
	check(t, conn.QueryRow(t.Context(), "SELECT uniqExact(partition_id) FROM system.parts WHERE database = currentDatabase() AND table = 'interactions' AND active").Scan(&partitions))
	if partitions > 71 {
		t.Errorf("the table has %d partitions", partitions)
	}
}

func TestColumnsNotStoredAreComputedFromTheBody(t *testing.T) {
	w := open(t)
	ended := schemas.TimeOf(from.Add(time.Minute))
	b := schemas.Batch[*schemas.Interaction]{Topic: "aliases", First: 0, Next: 1, Records: []schemas.Record[*schemas.Interaction]{{
		Event: &schemas.Interaction{
			InteractionID: "i", TenantID: "aliases", MediaType: "chat", StartedAt: from, EndedAt: &ended, Text: "hello \"you\"\n",
			Attributes: map[string]string{"k'": `v"`}, Attachments: []schemas.Attachment{{AttachmentID: "a", Content: "aGk="}},
		},
	}}}
	if err := w.InsertInteractions(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	conn := stacktest.ClickHouse(t)
	var text string
	var end time.Time
	var attributes map[string]string
	var attachments []string
	err := conn.QueryRow(t.Context(), "SELECT text, assumeNotNull(ended_at), attributes, attachments FROM interactions WHERE tenant_id = 'aliases'").Scan(&text, &end, &attributes, &attachments)
	if err != nil || text != "hello \"you\"\n" || !end.Equal(ended.Time) || attributes["k'"] != `v"` || len(attachments) != 1 {
		t.Errorf("%q %s %v %v, %v", text, end, attributes, attachments, err)
	}
}
