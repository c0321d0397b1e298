package consumers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cdds/schemas"

	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkGroup reads interactions of about 600 bytes from six partitions with the
// batch shape of ingest, and a handler that costs nothing.
func BenchmarkGroup(b *testing.B) {
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
		client.Produce(b.Context(), &kgo.Record{Partition: int32(i % partitions), Value: []byte(value)}, nil)
	}
	if err := client.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for n := range b.N {
		s := newTable()
		join(b, c, s, func(o *Options[*schemas.Interaction]) {
			o.GroupID = fmt.Sprint("bench-", n)
			o.MaxRecords, o.MaxBytes, o.Linger = 20_000, 16<<20, 200*time.Millisecond
		})
		s.awaitStored(b, records)
	}
	b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
