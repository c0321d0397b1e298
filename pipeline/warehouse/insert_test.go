package warehouse_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/tables"
	"cdds/schemas"
)

// TestColumnsAreWhatTheEventsSay stores a block of many rows and, in the memory of that,
// one of few, and reads the columns back.
func TestColumnsAreWhatTheEventsSay(t *testing.T) {
	w, conn := open(t), stacktest.ClickHouse(t)
	const tenant = "columns"
	offset := int64(0)
	for _, rows := range []int{70_000, 3} {
		b := schemas.Batch[*schemas.Interaction]{Topic: schemas.TopicInteractions, Partition: 91}
		for n := range rows {
			v := version{id: fmt.Sprintf("%d\x00\"é", n), at: schemas.TimeOf(from.Add(time.Duration(n) * time.Millisecond)), media: "chat", partition: 91, offset: offset, text: "x"}
			if n%3 > 0 {
				v.published = schemas.TimeOf(from.Add(time.Hour))
			}
			if n%5 == 0 {
				v.files = []uint64{3, 5 << 30}
			}
			r := v.record(tenant)
			r.Event.Queue = fmt.Sprint("queue ", n%68_000) // more words than two bytes count
			if n%2 == 0 {
				r.Event.Direction = "inbound"
			}
			if n%7 == 0 {
				r.Event.Attributes = map[string]string{"b": fmt.Sprint(n), "a": "", "ü": "é"}
			}
			b.Records = append(b.Records, r)
			offset++
		}
		check(t, w.InsertInteractions(t.Context(), b))
		stored, err := conn.Query(t.Context(), `
SELECT interaction_id, started_at, media_type, direction, status, queue, contact_id, attributes, stated, attached, attachment_bytes, body, body_bytes, source_offset, published_at
FROM interactions WHERE tenant_id = {tenant:String} AND source_partition = 91 AND source_offset >= {first:Int64} ORDER BY source_offset`,
			tables.Named("tenant", tenant), tables.Named("first", b.Records[0].Offset))
		check(t, err)
		n := 0
		for ; stored.Next(); n++ {
			var id, media, direction, status, queue, contact, body string
			var at, published time.Time
			var attributes map[string]string
			var stated, attached bool
			var sizes []uint64
			var size uint32
			var place int64
			check(t, stored.Scan(&id, &at, &media, &direction, &status, &queue, &contact, &attributes, &stated, &attached, &sizes, &body, &size, &place, &published))
			r := b.Records[n]
			want, err := schemas.Encode(r.Event)
			check(t, err)
			publishedAt := r.Time.Time
			if publishedAt.IsZero() {
				publishedAt = time.Unix(0, 0)
			}
			var files []uint64
			for _, a := range r.Event.Attachments {
				files = append(files, uint64(a.PlannedBytes()))
			}
			e := r.Event
			if id != e.InteractionID || !at.Equal(e.StartedAt.Time) || media != e.MediaType || direction != e.Direction || status != e.Status || queue != e.Queue || contact != e.ContactID ||
				!maps.Equal(attributes, e.Attributes) || !stated || attached != (len(files) > 0) || fmt.Sprint(sizes) != fmt.Sprint(files) ||
				body != string(want) || int(size) != len(want)+1 || place != r.Offset || !published.Equal(publishedAt) {
				t.Fatalf("row %d of %d is stored as %q, %v, %q, %q, %q, %q, %q, %v, %v, %v, %v, %q, %d, %d, %v", n, rows,
					id, at, media, direction, status, queue, contact, attributes, stated, attached, sizes, body, size, place, published)
			}
		}
		check(t, stored.Err())
		if n != rows {
			t.Errorf("%d of %d rows are stored", n, rows)
		}
	}
}

// TestAnInsertAllocatesNothingForARow counts what this process allocates; ClickHouse is
// another.
func TestAnInsertAllocatesNothingForARow(t *testing.T) {
	w := open(t)
	const rows = 5000
	b := schemas.Batch[*schemas.Interaction]{Topic: schemas.TopicInteractions, Partition: 92}
	for n := range int64(rows) {
		r := version{id: fmt.Sprint(n), at: from, media: "chat", partition: 92, offset: n}.record("allocations")
		r.Event.Body = []byte(`{"x":1}`) // as if it were read
		r.Event.Attributes = map[string]string{"a": "b", "c": "d"}
		b.Records = append(b.Records, r)
	}
	allocations := testing.AllocsPerRun(3, func() { check(t, w.InsertInteractions(t.Context(), b)) })
	if allocations > rows/2 {
		t.Errorf("an insert of %d rows allocates %.0f times", rows, allocations)
	}
}
