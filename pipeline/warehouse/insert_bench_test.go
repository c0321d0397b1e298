package warehouse_test

import (
	"syscall"
	"testing"
	"time"

	"cdds/schemas"
	"cdds/schemas/sample"
)

// BenchmarkInsertInteractions stores batches as ingest does while it catches up. Of the
// CPU time, user and system, it counts that of this process only: ClickHouse is another.
func BenchmarkInsertInteractions(b *testing.B) {
	w := open(b)
	const rows = 20_000
	batch := schemas.Batch[*schemas.Interaction]{Topic: schemas.TopicInteractions, Partition: 90}
	for e := range sample.InteractionsBetween(1, rows, from.Time, until.Time) {
		body, err := schemas.Encode(e)
		if err != nil {
			b.Fatal(err)
		}
		read, err := schemas.DecodeInteraction(body)
		if err != nil {
			b.Fatal(err)
		}
		batch.Records = append(batch.Records, schemas.Record[*schemas.Interaction]{Event: read, Partition: 90, Offset: int64(len(batch.Records)), Time: from})
	}
	b.ReportAllocs()
	begin := cpu(b)
	for b.Loop() {
		if err := w.InsertInteractions(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpu(b)-begin)/float64(b.N)/rows, "cpu-ns/row")
	b.ReportMetric(0, "ns/op")
}

// cpu is the CPU time of this process.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
