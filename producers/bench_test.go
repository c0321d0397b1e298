package producers_test

import (
	"testing"

	"cdds/schemas/sample"
)

func BenchmarkPublishAsync(b *testing.B) {
	cluster := newCluster(b)
	p := newPublisher(b, cluster, nil)
	b.ReportAllocs()
	b.ResetTimer()
	for e := range sample.Interactions(1, b.N) {
		p.PublishAsync(b.Context(), e, func(err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := p.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
