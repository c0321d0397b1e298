package schemas_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cdds/schemas"
)

// stored draws events of stored parts as workers publish them, and some that claim a part.
func stored() *rapid.Generator[*schemas.ExportStatus] {
	return rapid.Custom(func(t *rapid.T) *schemas.ExportStatus {
		number := rapid.IntRange(1, 4).Draw(t, "number")
		s := status(schemas.PartEventID(number), schemas.Running, rapid.IntRange(0, 3).Draw(t, "second"))
		s.Attempt = rapid.IntRange(0, 3).Draw(t, "attempt")
		s.Worker = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "worker")
		part := schemas.Part{Number: number, Kind: rapid.SampledFrom([]string{"", schemas.KindRemoved, schemas.KindAttachments}).Draw(t, "kind"), Rows: rapid.Int64Range(1, 2).Draw(t, "rows")}
		s.Part = &schemas.Receipt{Part: part, SealedBytes: 3, Problems: 1, Segments: []schemas.Segment{{SealedBytes: 5}}}
		switch rapid.IntRange(0, 6).Draw(t, "claim") {
		case 0:
			s.Part.Number++
		case 1:
			s.Waiting = "for ingest"
		}
		return s
	})
}

func TestAFoldOntoATallyIsTheFoldOfAllEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := append(rapid.SliceOfN(stored(), 0, 12).Draw(t, "parts"), rapid.SliceOfN(statuses(), 0, 6).Draw(t, "others")...)
		whole := schemas.Fold(events...)

		// Some parts are counted; of the others, and of all else, the events are there.
		counted := rapid.SliceOfN(rapid.IntRange(0, 5), 0, 4).Draw(t, "counted")
		isCounted := func(s *schemas.ExportStatus) bool { return s.StoresPart() && slices.Contains(counted, s.Part.Number) }
		var tally schemas.Tally
		for _, s := range schemas.Distinct(events...) {
			if isCounted(s) {
				tally.Add(max(s.Attempt, 1), s.Time, schemas.Total([]schemas.Receipt{*s.Part}))
			}
		}
		rest := slices.DeleteFunc(slices.Clone(events), isCounted)
		got := schemas.FoldOnto(tally, rest...)
		if len(rest) == 0 { // whoever folds has an event at hand
			got.TenantID, got.ExportID = whole.TenantID, whole.ExportID
		}
		whole.Parts = slices.DeleteFunc(whole.Parts, func(r schemas.Receipt) bool { return slices.Contains(counted, r.Number) })
		if len(whole.Parts) == 0 {
			whole.Parts = nil
		}
		if a, b := mustEncode(whole), mustEncode(got); a != b {
			t.Fatalf("of all events\n%s\nonto a tally\n%s", a, b)
		}
	})
}

func TestTotalsAreTheirNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Int64Range(0, 1<<40), 9, 9).Draw(t, "numbers")
		if got := schemas.TotalsFrom(numbers).Numbers(); !slices.Equal(got, numbers) {
			t.Errorf("%v came back as %v", numbers, got)
		}
	})
	if got := schemas.TotalsFrom([]int64{1}); got != (schemas.Totals{}) {
		t.Errorf("one number is %+v", got)
	}
}
