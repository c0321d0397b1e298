package warehouse_test

import (
	"bufio"
	"io"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
	"cdds/schemas/sample"
)

func TestWhatTravelsCompressedIsTheSame(t *testing.T) {
	open(t) // makes the tables
	w := warehouse.New(tables.New(stacktest.ClickHouse(t, func(o *clickhouse.Options) {
		o.Compression = &clickhouse.Compression{Method: clickhouse.CompressionGZIP, Level: 1}
	})))

	const tenant, rows = "compressed", 5_000
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	b := schemas.Batch[*schemas.Interaction]{Topic: schemas.TopicInteractions, Partition: 9, Next: rows}
	want := map[string]bool{}
	for i := range sample.InteractionsBetween(1, rows, at, at.Add(time.Hour)) {
		i.TenantID = tenant
		b.Records = append(b.Records, schemas.Record[*schemas.Interaction]{Event: i, Partition: 9, Offset: int64(len(b.Records))})
		line, err := schemas.Encode(i)
		check(t, err)
		want[string(line)] = true
	}
	check(t, w.InsertInteractions(t.Context(), b))

	q := warehouse.Query{
		Filter:   schemas.Filter{TenantID: tenant, Entity: schemas.EntityInteraction, From: schemas.TimeOf(at), To: schemas.TimeOf(at.Add(time.Hour))},
		Snapshot: schemas.Snapshot{9: rows},
	}
	chunks, err := pipelinetest.Chunks(t.Context(), w, q, rows)
	check(t, err)
	if len(chunks) != 1 || chunks[0].Rows != int64(len(want)) {
		t.Fatalf("there are %+v of %d", chunks, len(want))
	}
	r, err := w.Rows(t.Context(), q, chunks[0].First, chunks[0].Last)
	check(t, err)
	defer r.Close()
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF && line == "" {
			break
		}
		check(t, err)
		delete(want, line[:len(line)-1])
	}
	if len(want) > 0 {
		t.Errorf("%d lines did not come back", len(want))
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
