package schemas_test

import (
	"encoding/json"
	"testing"

	"cdds/schemas"
	"cdds/schemas/sample"
)

// messages returns what a producer publishes, and their mean size in bytes.
func messages(tb testing.TB, n int) (all [][]byte, mean int64) {
	total := 0
	for e := range sample.Interactions(1, n) {
		b := encode(tb, e)
		all = append(all, b)
		total += len(b)
	}
	return all, int64(total / n)
}

func BenchmarkDecodeInteraction(b *testing.B)    { benchmarkDecode(b, schemas.DecodeInteraction) }
func BenchmarkDecodeInteractionRow(b *testing.B) { benchmarkDecode(b, schemas.DecodeInteractionRow) }

func benchmarkDecode(b *testing.B, decode func([]byte) (*schemas.Interaction, error)) {
	all, mean := messages(b, 2000)
	b.SetBytes(mean)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := decode(all[i%len(all)]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUnmarshalInteraction is what encoding/json alone takes for the fields,
// without Body and without any check.
func BenchmarkUnmarshalInteraction(b *testing.B) {
	type fields schemas.Interaction
	all, mean := messages(b, 2000)
	b.SetBytes(mean)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := json.Unmarshal(all[i%len(all)], new(fields)); err != nil {
			b.Fatal(err)
		}
	}
}

// What a record costs in allocations decides how ingest scales: a change that adds
// some must say why.
func TestDecodingAnInteractionStaysWithinItsAllocations(t *testing.T) {
	const budget = 5
	all, _ := messages(t, 200)
	i := 0
	got := testing.AllocsPerRun(1000, func() {
		if _, err := schemas.DecodeInteraction(all[i%len(all)]); err != nil {
			t.Fatal(err)
		}
		i++
	})
	if got > budget {
		t.Errorf("%.1f allocations per record; the budget is %d", got, budget)
	}
}
