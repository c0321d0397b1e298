package schemas_test

import (
	"testing"

	"cdds/schemas"
)

func TestFiltersHaveOneDigestIfTheySelectAlike(t *testing.T) {
	f := validRequest().Filter()
	later := f
	later.From, later.To = at("2026-11-01T00:00:00Z"), at("2026-12-01T00:00:00Z")
	if schemas.FilterDigest(later) != schemas.FilterDigest(f) {
		t.Error("another range is another filter")
	}
	for what, edit := range map[string]func(*schemas.Filter){
		"entity":      func(f *schemas.Filter) { f.Entity = schemas.EntityContact },
		"queues":      func(f *schemas.Filter) { f.Queues = []string{"other"} },
		"media types": func(f *schemas.Filter) { f.MediaTypes = []string{"email"} },
		"attributes":  func(f *schemas.Filter) { f.Attributes = map[string]string{"a": "b"} },
	} {
		other := f
		edit(&other)
		if schemas.FilterDigest(other) == schemas.FilterDigest(f) {
			t.Errorf("filters of other %s have one digest", what)
		}
	}
}

func TestAManifestMayHaveRemovalsAfterItsRowsAndBeAnyLinkOfAChain(t *testing.T) {
	m := validManifest()
	m.Parts[1].Kind, m.Parts[1].Name, m.Parts[1].Key = schemas.KindRemoved, "removed-e-1-0002.jsonl.zip.p7m", "acme/e-1/removed-e-1-0002.jsonl.zip.p7m"
	m.Parts[1].First, m.Parts[1].Last = m.Parts[0].First, m.Parts[0].First // removals have an order of their own
	m.Totals = schemas.Total(m.Parts)
	if m.Totals.Removed != 1 || m.Totals.Rows != 2 || m.Totals.JSONLBytes != 1400 {
		t.Errorf("totals are %+v", m.Totals)
	}
	m.Chain = &schemas.Chain{JobID: "j-1", Number: 1, FilterDigest: schemas.FilterDigest(m.Filter)}
	if _, err := schemas.DecodeManifest(encode(t, m)); err != nil {
		t.Error(err)
	}
	if !m.Chain.Whole() {
		t.Error("a run that continues none is not whole")
	}
	m.SinceExport = "e-0"
	m.Chain.Number, m.Chain.PreviousExportID, m.Chain.PreviousManifestSHA256 = 2, "e-0", digest
	if _, err := schemas.DecodeManifest(encode(t, m)); err != nil {
		t.Error(err)
	}
	if m.Chain.Whole() {
		t.Error("a run that continues another is whole")
	}
	if !schemas.IsArtifact("e-1", "removed-e-1-0002.jsonl.zip.p7m") {
		t.Error("a part with removals is no artifact")
	}
}

func TestRemovalsAreReadStrictly(t *testing.T) {
	for line, ok := range map[string]bool{
		`{"id":"i-1","time":"2026-11-01T00:00:00.000Z","reason":"filter"}`:            true,
		`{"id":"i-1","time":null,"reason":"erased"}`:                                  true,
		`{"id":"i-1","reason":"erased","later":1}`:                                    true,
		`{"id":"","time":null,"reason":"erased"}`:                                     false,
		`{"id":"i-1","time":"2026-11-01T00:00:00.000Z","reason":"erased"}`:            false,
		`{"id":"i-1","time":null,"reason":"filter"}`:                                  false,
		`{"id":"i-1","time":"2026-11-01T00:00:00.000Z","reason":"away"}`:              false,
		`{"id":"i-1","id":"i-2","time":"2026-11-01T00:00:00.000Z","reason":"filter"}`: false,
	} {
		if _, err := schemas.DecodeRemoval([]byte(line)); (err == nil) != ok {
			t.Errorf("%s: %v", line, err)
		}
	}
}
