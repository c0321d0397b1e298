package sample_test

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"

	"cdds/schemas"
	"cdds/schemas/sample"
)

const events = 5_000

func TestEveryEventIsValid(t *testing.T) {
	for e := range sample.Interactions(7, events) {
		if err := e.Validate(); err != nil {
			t.Fatalf("%s: %v", e.InteractionID, err)
		}
	}
	for c := range sample.Contacts(7, events) {
		if err := c.Validate(); err != nil {
			t.Fatalf("%s: %v", c.ContactID, err)
		}
	}
}

func TestSameSeedGivesTheSameEventsForEver(t *testing.T) {
	sum := sha256.New()
	for e := range sample.Interactions(1, 1000) {
		sum.Write(encode(t, e))
	}
	for c := range sample.Contacts(1, 1000) {
		sum.Write(encode(t, c))
	}
	const want = "a10c29b16b2c28b0e0b0e0a157f9fd96314777f7d059620fe647297fba7288f3"
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		t.Errorf("digest of the samples = %s, want %s: other tests and published measurements count on them", got, want)
	}
}

func TestEventsHaveTheVarietyOfAContactCentre(t *testing.T) {
	seen := map[string]bool{}
	media, tenants, languages := map[string]int{}, map[string]int{}, map[string]int{}
	var lines bytes.Buffer
	var before schemas.Time
	for e := range sample.Interactions(5, events) {
		if seen[e.InteractionID] {
			t.Fatalf("%s appears twice", e.InteractionID)
		}
		seen[e.InteractionID] = true
		if e.StartedAt.Before(before.Time) || e.StartedAt.Before(sample.Start) || !e.StartedAt.Before(sample.End) {
			t.Fatalf("%s began at %s, after one at %s; want order within [Start, End)", e.InteractionID, e.StartedAt, before)
		}
		before = e.StartedAt
		media[e.MediaType]++
		tenants[e.TenantID]++
		languages[e.Language]++
		lines.Write(encode(t, e))
		lines.WriteByte('\n')
	}
	if len(media) != len(schemas.MediaTypes()) || len(tenants) != len(sample.Tenants()) || len(languages) < 3 {
		t.Errorf("media types %v, tenants %v, languages %v", media, tenants, languages)
	}
	if mean := lines.Len() / events; mean < 600 || mean > 800 {
		t.Errorf("an interaction has %d bytes on average, want about 700", mean)
	}
	var zipped bytes.Buffer
	w, err := flate.NewWriter(&zipped, flate.DefaultCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(lines.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes each, zipped to %d", lines.Len()/events, zipped.Len()/events)
	if ratio := float64(lines.Len()) / float64(zipped.Len()); ratio < 3 || ratio > 4.5 {
		t.Errorf("compresses %.2f times; want 3 to 4.5", ratio)
	}
}

func TestContactsAreThoseTheInteractionsReferTo(t *testing.T) {
	seen := map[string]bool{}
	for c := range sample.Contacts(5, 50_000) {
		if seen[c.ContactID] {
			t.Fatalf("%s appears twice", c.ContactID)
		}
		seen[c.ContactID] = true
	}
	for e := range sample.Interactions(5, 1000) {
		if !seen[e.ContactID] {
			t.Fatalf("%s refers to %s, who is not among the contacts", e.InteractionID, e.ContactID)
		}
	}
}

func TestUpdatesAreLaterVersionsOfWhatWasPublished(t *testing.T) {
	type identity struct{ tenant, started, id string }
	seen := map[identity]schemas.Time{}
	updates, n := 0, 0
	for e := range sample.WithUpdates(5, sample.Interactions(5, events)) {
		if err := e.Validate(); err != nil {
			t.Fatal(err)
		}
		n++
		key := identity{e.TenantID, e.StartedAt.String(), e.InteractionID}
		last, known := seen[key]
		if updated := e.ModifiedAt != nil; updated != known || known && !e.At().After(last.Time) {
			t.Fatalf("%v: version of %s after one of %s", key, e.At(), last)
		}
		if known {
			updates++
		}
		seen[key] = e.At()
	}
	if n != events+updates || updates < events/64 || updates > events/16 {
		t.Errorf("%d events, %d of them updates; want %d and about one more in 32", n, updates, events)
	}
}

func encode(t *testing.T, e schemas.Event) []byte {
	t.Helper()
	b, err := schemas.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func BenchmarkInteractions(b *testing.B) {
	b.ReportAllocs()
	n := 0
	for range sample.Interactions(1, b.N) {
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkEncode(b *testing.B) {
	e := slices.Collect(sample.Interactions(1, 100))
	bytes := 0
	for i := range b.N {
		line, err := schemas.Encode(e[i%len(e)])
		if err != nil {
			b.Fatal(err)
		}
		bytes += len(line)
	}
	b.SetBytes(int64(bytes / b.N))
}

func BenchmarkDecode(b *testing.B) {
	var lines [][]byte
	for e := range sample.Interactions(1, 100) {
		line, err := schemas.Encode(e)
		if err != nil {
			b.Fatal(err)
		}
		lines = append(lines, line)
	}
	bytes := 0
	for i := range b.N {
		if _, err := schemas.DecodeInteraction(lines[i%len(lines)]); err != nil {
			b.Fatal(err)
		}
		bytes += len(lines[i%len(lines)])
	}
	b.SetBytes(int64(bytes / b.N))
}
