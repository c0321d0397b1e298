package consumers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cdds/schemas"

	"github.com/twmb/franz-go/pkg/kgo"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// BenchmarkGroup reads interactions of about 600 bytes from six partitions with the
// batch shape of ingest, and a handler that costs nothing; with tracing off, and with one
// in a hundred of them traced.
func BenchmarkGroup(b *testing.B) {
	b.Run("tracing=off", func(b *testing.B) { benchmarkGroup(b, 0, nil) })
	b.Run("tracing=0.01", func(b *testing.B) {
		benchmarkGroup(b, 100, sdktrace.NewTracerProvider().Tracer("bench"))
	})
}

func benchmarkGroup(b *testing.B, traced int, tracer trace.Tracer) {
	const records, partitions = 120_000, 6
	c := newCluster(b, partitions)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic(string(topic)),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	text := strings.Repeat("The customer asks about an invoice. ", 12)
	for i := range records {
		value := strings.Replace(event(fmt.Sprint(i)), `"tenant_id"`, `"text":"`+text+`","tenant_id"`, 1)
		r := &kgo.Record{Partition: int32(i % partitions), Value: []byte(value), Headers: published(1, 0)[0].Headers[:5]}
		if traced > 0 && i%traced == 0 {
			r.Headers = published(1, 1)[0].Headers
		}
		client.Produce(b.Context(), r, nil)
	}
	if err := client.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		s := newTable()
		join(b, c, s, func(o *Options[*schemas.Interaction]) {
			o.GroupID = fmt.Sprint("bench-", n)
			o.Tracer = tracer
			o.MaxRecords, o.MaxBytes, o.Linger = 20_000, 16<<20, 200*time.Millisecond
		})
		s.awaitStored(b, records)
	}
	b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
