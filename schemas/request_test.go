package schemas_test

import (
	"errors"
	"strings"
	"testing"

	"cdds/schemas"
)

func TestRequestReportsEachBrokenRule(t *testing.T) {
	certificate := schemas.Recipient{Certificate: "-----BEGIN CERTIFICATE-----"}
	for problem, edit := range map[string]func(*schemas.ExportRequest){
		"tenant_id: is missing":                              func(r *schemas.ExportRequest) { r.TenantID = "" },
		"tenant_id: \"a/b\" must be":                         func(r *schemas.ExportRequest) { r.TenantID = "a/b" },
		"export_id: is missing":                              func(r *schemas.ExportRequest) { r.ExportID = "" },
		"export_id: \"..\" must be":                          func(r *schemas.ExportRequest) { r.ExportID = ".." },
		"action: \"pause\" is unknown":                       func(r *schemas.ExportRequest) { r.Action = "pause" },
		"entity: is missing":                                 func(r *schemas.ExportRequest) { r.Entity = "" },
		"entity: \"agent\" is unknown":                       func(r *schemas.ExportRequest) { r.Entity = "agent" },
		"from: is missing":                                   func(r *schemas.ExportRequest) { r.From = schemas.Time{} },
		"to: is missing":                                     func(r *schemas.ExportRequest) { r.To = schemas.Time{} },
		"to: 9999-12-31T00:00:00.000Z is":                    func(r *schemas.ExportRequest) { r.To = at("9999-12-31T00:00:00Z") },
		"from: 2026-11-01T00:00:00.000Z mus":                 func(r *schemas.ExportRequest) { r.From = r.To },
		"media_types: \"fax\" is unknown":                    func(r *schemas.ExportRequest) { r.MediaTypes = []string{"voice", "fax"} },
		"media_types: contacts have none":                    func(r *schemas.ExportRequest) { r.Entity = schemas.EntityContact },
		"split_size: 1 is outside":                           func(r *schemas.ExportRequest) { r.SplitSize = 1 },
		"encoding: \"pem\" is unknown":                       func(r *schemas.ExportRequest) { r.Encoding = "pem" },
		"recipients: give at least one certificate":          func(r *schemas.ExportRequest) { r.Recipients = nil },
		"recipients: there are 33":                           func(r *schemas.ExportRequest) { r.Recipients = make([]schemas.Recipient, 33) },
		"recipients[1]: give a fingerprint or a certificate": func(r *schemas.ExportRequest) { r.Recipients = []schemas.Recipient{certificate, {}} },
		"recipients[0]: fingerprint must be SHA-256":         func(r *schemas.ExportRequest) { r.Recipients[0].Fingerprint = "ab" },
		"give a fingerprint or a certificate, not both":      func(r *schemas.ExportRequest) { r.Recipients[0].Certificate = "x" },
		"certificate has 65537 bytes":                        func(r *schemas.ExportRequest) { r.Recipients = []schemas.Recipient{{Certificate: text(65537)}} },
		"snapshot: partition 1 has the negative offset -5":   func(r *schemas.ExportRequest) { r.Snapshot = schemas.Snapshot{3, -5} },
		"since_export: \"../other\" is no export id":         func(r *schemas.ExportRequest) { r.SinceExport = "../other" },
		"requested_by: has 4097 bytes":                       func(r *schemas.ExportRequest) { r.RequestedBy = text(4097) },
	} {
		r := validRequest()
		edit(r)
		err := r.Validate()
		var invalid *schemas.InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), problem) {
			t.Errorf("got %v, want %s", err, problem)
		}
	}
}

func TestRequestThatCanBeAnsweredIsReadWhateverItAsks(t *testing.T) {
	r, err := schemas.DecodeExportRequest([]byte(`{"tenant_id":"acme","export_id":"e-1","entity":"agents","split_size":-1}`))
	if err != nil {
		t.Fatal(err)
	}
	if r.Validate() == nil {
		t.Error("an impossible request is valid")
	}
	for _, unanswerable := range []string{`{"tenant_id":"acme"}`, `{"export_id":"e-1"}`, `{"tenant_id":"a/b","export_id":"e-1"}`, `null`, `{"tenant_id":7,"export_id":"e-1"}`} {
		if _, err := schemas.DecodeExportRequest([]byte(unanswerable)); err == nil {
			t.Errorf("%s was read, but nobody could be answered", unanswerable)
		}
	}
}

func TestAMisspeltMemberOfARequestIsRefusedNotIgnored(t *testing.T) {
	r, err := schemas.DecodeExportRequest([]byte(`{"tenant_id":"acme","export_id":"e-1","entity":"interaction","media_type":["chat"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Validate(); err == nil || !strings.Contains(err.Error(), "media_type") {
		t.Errorf("the request was taken as one for all media: %v", err)
	}
}

func TestASpelledOutDefaultIsNoOtherRequest(t *testing.T) {
	short := validRequest()
	short.Action, short.SplitSize, short.Encoding = "", 0, ""
	long := validRequest()
	long.Action, long.SplitSize, long.Encoding = schemas.ActionCreate, schemas.DefaultSplitSize, schemas.EncodingSMIME
	long.Cipher, long.KeyTransport = schemas.CipherCBC, schemas.KeyTransportPKCS1
	long.Compression, long.Attachments = schemas.CompressionStandard, schemas.AttachmentsIncluded
	if short.Digest() != long.Digest() {
		t.Error("spelling out defaults gives another digest")
	}
}

func TestDigestIdentifiesWhatIsAskedNotWhenOrByWhom(t *testing.T) {
	// Digests are kept in status events and beside artifacts: they must not change.
	const want = "4640eedb50ccf36bd692e4ca767fae11564d907d1edc8ecc1e1dba3a86ed2ec9"
	if got := validRequest().Digest(); got != want {
		t.Errorf("digest = %s, want %s", got, want)
	}
	again := validRequest()
	again.RequestedAt, again.RequestedBy = at("2027-01-01T00:00:00Z"), "bob"
	if again.Digest() != want {
		t.Error("asking again gives another digest")
	}
	read, err := schemas.DecodeExportRequest(encode(t, validRequest()))
	if err != nil || read.Digest() != want {
		t.Errorf("a request that was read has another digest (%v)", err)
	}
	for name, edit := range map[string]func(*schemas.ExportRequest){
		"action":        func(r *schemas.ExportRequest) { r.Action = schemas.ActionCancel },
		"tenant_id":     func(r *schemas.ExportRequest) { r.TenantID = "globex" },
		"export_id":     func(r *schemas.ExportRequest) { r.ExportID = "e-2" },
		"entity":        func(r *schemas.ExportRequest) { r.Entity = schemas.EntityContact },
		"from":          func(r *schemas.ExportRequest) { r.From = at("2026-10-02T00:00:00Z") },
		"to":            func(r *schemas.ExportRequest) { r.To = at("2026-10-02T00:00:00Z") },
		"media_types":   func(r *schemas.ExportRequest) { r.MediaTypes = nil },
		"split_size":    func(r *schemas.ExportRequest) { r.SplitSize++ },
		"encoding":      func(r *schemas.ExportRequest) { r.Encoding = "" },
		"cipher":        func(r *schemas.ExportRequest) { r.Cipher = schemas.CipherGCM },
		"key transport": func(r *schemas.ExportRequest) { r.KeyTransport = schemas.KeyTransportOAEP },
		"recipients":    func(r *schemas.ExportRequest) { r.Recipients = append(r.Recipients, r.Recipients[0]) },
		"since":         func(r *schemas.ExportRequest) { r.SinceExport = "e-0" },
		"snapshot":      func(r *schemas.ExportRequest) { r.Snapshot[0]++ },
	} {
		r := validRequest()
		edit(r)
		if r.Digest() == want {
			t.Errorf("a request with other %s has the same digest", name)
		}
	}
}

func TestSnapshotBehindCountsEachPartitionByItself(t *testing.T) {
	for _, c := range []struct {
		snapshot, done schemas.Snapshot
		want           int64
	}{
		{nil, nil, 0},
		{schemas.Snapshot{5, 3}, schemas.Snapshot{5, 3}, 0},
		{schemas.Snapshot{5, 3}, schemas.Snapshot{9, 1}, 2}, // being ahead elsewhere does not help
		{schemas.Snapshot{5, 3}, schemas.Snapshot{5}, 0},    // a partition that is gone brings nothing more
		{schemas.Snapshot{5}, schemas.Snapshot{5, 3}, 0},
	} {
		if got := c.snapshot.Behind(c.done); got != c.want {
			t.Errorf("%v behind %v = %d, want %d", c.snapshot, c.done, got, c.want)
		}
	}
}

func TestSnapshotPastTakesAnIncarnationThatBeginsInAPartitionThatIsGoneForNothing(t *testing.T) {
	const incarnation = 1 << 40
	if p, past := (schemas.Snapshot{2 * incarnation}).Past(schemas.Snapshot{incarnation + 5, incarnation}); past {
		t.Errorf("partition %d lacks something", p)
	}
	if p, past := (schemas.Snapshot{2 * incarnation}).Past(schemas.Snapshot{incarnation + 5, incarnation + 1}); !past || p != 1 {
		t.Errorf("partition 1 lacks nothing: %d, %t", p, past)
	}
}

func TestSnapshotPastNamesTheFirstPartitionThatLacksSomething(t *testing.T) {
	for _, c := range []struct {
		snapshot, earlier schemas.Snapshot
		partition         int
		past              bool
	}{
		{nil, nil, 0, false},
		{schemas.Snapshot{5, 3}, schemas.Snapshot{5, 3}, 0, false},
		{schemas.Snapshot{5, 3}, schemas.Snapshot{5, 4}, 1, true},
		{schemas.Snapshot{5}, schemas.Snapshot{5, 0}, 0, false}, // a partition without records
		{schemas.Snapshot{5}, schemas.Snapshot{5, 1}, 1, true},
		{schemas.Snapshot{5, 3}, schemas.Snapshot{4}, 0, false}, // partitions were added
	} {
		if p, past := c.snapshot.Past(c.earlier); p != c.partition || past != c.past {
			t.Errorf("%v past %v = %d, %t; want %d, %t", c.snapshot, c.earlier, p, past, c.partition, c.past)
		}
	}
}

func TestManifestThatContradictsItselfIsRefused(t *testing.T) {
	for problem, edit := range map[string]func(*schemas.Manifest){
		"version: 2 is not 1":                        func(m *schemas.Manifest) { m.Version = 2 },
		"number 3 stands where 2":                    func(m *schemas.Manifest) { m.Parts[1].Number = 3 },
		"part 2 has the name \"interaction-e-1-0001": func(m *schemas.Manifest) { m.Parts[1].Name = m.Parts[0].Name },
		"part 1 has the name \"manifest.json.p7s\"":  func(m *schemas.Manifest) { m.Parts[0].Name = schemas.SignatureName },
		"part 1 has the name \"../x\"":               func(m *schemas.Manifest) { m.Parts[0].Name = "../x" },
		"part 2 has the key \"globex/":               func(m *schemas.Manifest) { m.Parts[1].Key = "globex/e-1/" + m.Parts[1].Name },
		"filter.entity: \"../x\" is unknown":         func(m *schemas.Manifest) { m.Filter.Entity = "../x" },
		"part 1 lacks a digest":                      func(m *schemas.Manifest) { m.Parts[0].ZipSHA256 = "" },
		"part 2 has an impossible size":              func(m *schemas.Manifest) { m.Parts[1].Last.ID = "b" },
		"part 2 overlaps":                            func(m *schemas.Manifest) { m.Parts[1].First = m.Parts[0].Last },
		"part 2 overlaps the one before": func(m *schemas.Manifest) { // removals do not come before rows
			m.Parts[0].Kind, m.Parts[0].Name, m.Parts[0].Key = schemas.KindRemoved, "removed-e-1-0001.jsonl.zip.p7m", ""
		},
		"part 1 is of the unknown kind":             func(m *schemas.Manifest) { m.Parts[0].Kind = "../x" },
		"chain: has the number 0":                   func(m *schemas.Manifest) { m.Chain.Number = 0 },
		"chain: names no job":                       func(m *schemas.Manifest) { m.Chain.JobID = "" },
		"chain: must have both the previous":        func(m *schemas.Manifest) { m.Chain.PreviousManifestSHA256 = "" },
		"chain: continues \"e-0\", the export \"\"": func(m *schemas.Manifest) { m.SinceExport = "" },
		"chain: filter_digest does not match":       func(m *schemas.Manifest) { m.Filter.Queues = []string{"other"} },
		"totals: are not the sums":                  func(m *schemas.Manifest) { m.Parts = m.Parts[:1] },
	} {
		m := validManifest()
		m.SinceExport = "e-0"
		m.Chain = &schemas.Chain{JobID: "j-1", Number: 2, PreviousExportID: "e-0", PreviousManifestSHA256: digest, FilterDigest: schemas.FilterDigest(m.Filter)}
		edit(m)
		if !strings.Contains(problem, "totals") {
			m.Totals = schemas.Total(m.Parts)
		}
		if _, err := schemas.DecodeManifest(encode(t, m)); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("got %v, want %s", err, problem)
		}
	}
}
