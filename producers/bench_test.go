package producers_test

import (
	"testing"

	"cdds/schemas"
	"cdds/schemas/sample"
)

// Client and broker share the machine.
func BenchmarkPublishAsync(b *testing.B) {
	var made, read []schemas.Event
	for e := range sample.Interactions(1, 2000) {
		body, err := schemas.Encode(e)
		if err != nil {
			b.Fatal(err)
		}
		decoded, err := schemas.DecodeInteraction(body)
		if err != nil {
			b.Fatal(err)
		}
		made, read = append(made, e), append(read, decoded)
	}
	b.Run("events made in Go", func(b *testing.B) { publishAll(b, made) })
	b.Run("events that were read", func(b *testing.B) { publishAll(b, read) })
}

func publishAll(b *testing.B, events []schemas.Event) {
	p := newPublisher(b, newCluster(b), nil)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		p.PublishAsync(b.Context(), events[i%len(events)], func(err error) {
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
