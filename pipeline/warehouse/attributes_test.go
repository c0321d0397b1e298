package warehouse_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// database is a connection to a database of the test's own.
func database(t *testing.T, name string) driver.Conn {
	t.Helper()
	check(t, stacktest.ClickHouse(t).Exec(t.Context(), "CREATE DATABASE "+name))
	return stacktest.ClickHouse(t, func(o *clickhouse.Options) { o.Auth.Database = name })
}

func ofTenant(tenant string, attributes map[string]string) warehouse.Query {
	return warehouse.Query{Snapshot: schemas.Snapshot{100}, Filter: schemas.Filter{
		TenantID: tenant, Entity: schemas.EntityInteraction, From: from, To: until, Match: schemas.Match{Attributes: attributes},
	}}
}

// ids are those of the rows that a query selects, by whatever way of asking.
func ids(t *testing.T, w *warehouse.Warehouse, q warehouse.Query) string {
	t.Helper()
	extent, err := w.Extent(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	chunks, err := pipelinetest.Chunks(t.Context(), w, q, 1)
	if err != nil || int64(len(chunks)) != extent.Rows {
		t.Fatalf("%d chunks of %d rows, %v", len(chunks), extent.Rows, err)
	}
	var all []string
	for _, c := range chunks {
		all = append(all, c.First.ID)
	}
	return strings.Join(all, " ")
}

// Only ingest reads the body: JSONExtract gives nothing for most of these.
func TestAttributesSelectRowsWhateverElseIsInTheBody(t *testing.T) {
	w := open(t)
	b := schemas.Batch[*schemas.Interaction]{}
	for _, c := range []struct{ id, members string }{
		{"a-plain", `"attributes":{"region":"north"}`},
		{"b-lone-surrogate", `"attributes":{"region":"north"},"text":"cut \ud83d"`},
		{"c-beyond-64-bits", `"attributes":{"region":"north"},"crm_id":18446744073709551616`},
		{"d-beyond-doubles", `"attributes":{"region":"north"},"x":[1e400,-1e-400]`},
		{"e-deep", `"attributes":{"region":"north"},"x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000)},
		{"f-escaped", `"attributes":{"r\u0065gion":"no\u0072th","x":"\ud83d"}`},
		{"g-many", `"x":{"attributes":{"region":"south"}},"attributes":{"a":"1","region":"north","z":"2"}`},
		{"not-cut", `"attributes":{"region":"north\ud83d"}`},
		{"not-empty", `"attributes":{"region":""}`},
		{"not-null", `"attributes":null`},
		{"not-south", `"attributes":{"region":"south"}`},
	} {
		message := fmt.Sprintf(`{"interaction_id":%q,"tenant_id":"attributes","media_type":"chat","started_at":%q,%s}`, c.id, from, c.members)
		e, err := schemas.DecodeInteraction([]byte(message))
		if err != nil {
			t.Fatalf("%s: %v", c.id, err)
		}
		b.Records = append(b.Records, schemas.Record[*schemas.Interaction]{Event: e, Offset: b.Next})
		b.Next++
	}
	if err := w.InsertInteractions(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got, want := ids(t, w, ofTenant("attributes", map[string]string{"region": "north"})), "a-plain b-lone-surrogate c-beyond-64-bits d-beyond-doubles e-deep f-escaped g-many"; got != want {
		t.Errorf("region=north selects %s, want %s", got, want)
	}
	for value, want := range map[string]string{"": "not-empty", "south": "not-south", "north\ufffd": ""} {
		if got := ids(t, w, ofTenant("attributes", map[string]string{"region": value})); got != want {
			t.Errorf("region=%s selects %q, want %q", value, got, want)
		}
	}

	contact, err := schemas.DecodeContact(fmt.Appendf(nil, `{"contact_id":"p","tenant_id":"attributes","created_at":%q,"attributes":{"vip":"yes"},"crm_id":18446744073709551616}`, from))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.InsertContacts(t.Context(), schemas.Batch[*schemas.Contact]{Records: []schemas.Record[*schemas.Contact]{{Event: contact}}, Next: 1}); err != nil {
		t.Fatal(err)
	}
	q := ofTenant("attributes", map[string]string{"vip": "yes"})
	q.Filter.Entity = schemas.EntityContact
	if got := ids(t, w, q); got != "p" {
		t.Errorf("vip=yes selects %q of the contacts", got)
	}
}

// before are the columns a table had when attributes and attachments were read from the
// body by ClickHouse.
const before = `CREATE TABLE interactions
(
    tenant_id        LowCardinality(String),
    started_at       DateTime64(3, 'UTC'),
    interaction_id   String,
    media_type       LowCardinality(String),
    direction        LowCardinality(String),
    status           LowCardinality(String),
    queue            LowCardinality(String),
    contact_id       String,
    body             String,
    body_bytes       UInt32,
    attached         Bool MATERIALIZED JSONLength(body, 'attachments') > 0,
    source_partition Int32,
    source_offset    Int64,
    ingested_at      DateTime64(3, 'UTC') DEFAULT now64(3),
    attributes       Map(String, String) ALIAS JSONExtract(body, 'attributes', 'Map(String, String)')
)
ENGINE = ReplacingMergeTree PARTITION BY toYear(started_at)
ORDER BY (tenant_id, started_at, interaction_id, source_partition, source_offset)`

func TestARowFromBeforeAttributesWereStoredIsNeverLeftOut(t *testing.T) {
	conn := database(t, "before_attributes")
	if err := conn.Exec(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	body := `{"interaction_id":"old","tenant_id":"acme","media_type":"chat","started_at":"` + from.String() + `","attributes":{"region":"north"},"attachments":[{"attachment_id":"a","content":"QUJD"}],"crm_id":18446744073709551616}`
	err := conn.Exec(t.Context(), `INSERT INTO interactions (tenant_id, started_at, interaction_id, media_type, body, body_bytes, source_partition, source_offset)
VALUES ('acme', '2026-01-01 00:00:00', 'old', 'chat', {body:String}, length({body:String}) + 1, 0, 7)`, tables.Named("body", body))
	if err != nil {
		t.Fatal(err)
	}
	db := tables.New(conn)
	for range 2 {
		if err := db.Create(t.Context(), warehouse.Schema()); err != nil {
			t.Fatal(err)
		}
	}
	w := warehouse.New(db)
	event, err := schemas.DecodeInteraction([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	store := func(offset int64, id string) {
		t.Helper()
		e := *event
		if e.InteractionID = id; id != "old" {
			e.Body = nil
		}
		if err := w.InsertInteractions(t.Context(), schemas.Batch[*schemas.Interaction]{
			First: offset, Next: offset + 1, Records: []schemas.Record[*schemas.Interaction]{{Event: &e, Offset: offset}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	store(8, "new")

	north := ofTenant("acme", map[string]string{"region": "north"})
	_, err = w.Extent(t.Context(), north)
	if !errors.Is(err, warehouse.ErrUnstated) || !strings.Contains(err.Error(), `interaction "old" of `+from.String()) {
		t.Fatalf("an export by attributes says %v; want which row does not state them", err)
	}
	whole := ofTenant("acme", nil)
	if got := ids(t, w, whole); got != "new old" {
		t.Errorf("without the filter there are %q", got)
	}
	key := schemas.RowKey{Time: from, ID: "old"}
	var attached []string
	err = w.Attached(t.Context(), whole, key, key, func(_ uint64, body []byte) error {
		attached = append(attached, string(body))
		return nil
	})
	if err != nil || !slices.Equal(attached, []string{body}) {
		t.Errorf("with attachments there is %q, %v; want the row, which has one", attached, err)
	}
	if extent, err := w.Extent(t.Context(), whole); err != nil || extent.Attached != 2 {
		t.Errorf("%d rows may have attachments, %v; want both", extent.Attached, err)
	}
	calls := ofTenant("acme", map[string]string{"region": "north"})
	calls.Filter.MediaTypes = []string{"voice"}
	if got := ids(t, w, calls); got != "" { // what it is does not depend on attributes
		t.Errorf("of another medium there are %q", got)
	}

	store(7, "old") // read from Kafka again
	if got := ids(t, w, north); got != "new old" {
		t.Errorf("stored again, region=north selects %q", got)
	}
}
