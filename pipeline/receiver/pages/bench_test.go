package pages_test

import (
	"testing"

	"cdds/pipeline/receiver/pages"
	"cdds/schemas"
	"cdds/schemas/sample"
)

func BenchmarkWrite(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		d := newDecrypted(b, schemas.EntityInteraction)
		var rows []any
		for e := range sample.Interactions(1, 10_000) {
			rows = append(rows, e)
		}
		d.part("", rows...)
		b.SetBytes(d.report.Manifest.Totals.JSONLBytes)
		b.StartTimer()
		if _, err := d.write(pages.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
