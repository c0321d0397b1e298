package schemas_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"cdds/schemas"
)

// digest is a SHA-256 of no matter what.
var digest = strings.Repeat("0123456789abcdef", 4)

func at(s string) schemas.Time {
	t, err := schemas.ParseTime(s)
	if err != nil {
		panic(err)
	}
	return t
}

func validRequest() *schemas.ExportRequest {
	return &schemas.ExportRequest{
		TenantID: "acme", ExportID: "e-1", Entity: schemas.EntityInteraction,
		From: at("2026-10-01T00:00:00Z"), To: at("2026-11-01T00:00:00Z"),
		MediaTypes: []string{"voice", "chat"}, SplitSize: 1 << 20, Encoding: schemas.EncodingDER,
		Recipients: []schemas.Recipient{{Fingerprint: digest}}, Snapshot: schemas.Snapshot{10, 0, 20},
		RequestedAt: at("2026-11-01T00:00:00Z"), RequestedBy: "ada",
	}
}

func validJob() *schemas.Job {
	return schemas.Job{
		TenantID: "acme", JobID: "nightly", Title: "Nightly", Description: "d", Entity: schemas.EntityInteraction,
		MediaTypes: []string{"voice"},
		Match: schemas.Match{
			Queues: []string{"sales"}, Directions: []string{"inbound"}, Statuses: []string{"closed"},
			Attributes: map[string]string{"region": "north"},
		},
		Schedule:  schemas.Schedule{Run: schemas.RunDaily, At: "02:30", TimeZone: "Europe/Berlin"},
		Timeframe: schemas.Timeframe{Kind: schemas.TimeframeLastDays, Days: 2},
		SplitSize: 1 << 20, Encoding: schemas.EncodingDER, Recipients: []string{digest}, RetentionDays: 7,
		Webhook: &schemas.Webhook{URL: "https://hooks.example.com/x", SecretVersion: 1},
		CatchUp: schemas.CatchUpAll, State: schemas.JobActive,
	}.Revised(nil, "ada", at("2026-10-01T00:00:00Z"))
}

func validManifest() *schemas.Manifest {
	key := func(second, id string) schemas.RowKey {
		return schemas.RowKey{Time: at("2026-10-01T00:00:" + second + "Z"), ID: id}
	}
	parts := []schemas.Receipt{
		{
			Part: schemas.Part{Number: 1, First: key("01", "a"), Last: key("02", "b"), Rows: 2, Bytes: 1400},
			Name: "interaction-e-1-0001.jsonl.zip.p7m", Key: "acme/e-1/interaction-e-1-0001.jsonl.zip.p7m",
			JSONLSHA256: digest, ZipBytes: 500, ZipSHA256: digest, SealedBytes: 800, SealedSHA256: digest,
		},
		{
			Part: schemas.Part{Number: 2, First: key("02", "c"), Last: key("02", "c"), Rows: 1, Bytes: 700},
			Name: "interaction-e-1-0002.jsonl.zip.p7m", Key: "acme/e-1/interaction-e-1-0002.jsonl.zip.p7m",
			JSONLSHA256: digest, ZipBytes: 300, ZipSHA256: digest, SealedBytes: 600, SealedSHA256: digest,
		},
	}
	r := validRequest()
	return &schemas.Manifest{
		Version: schemas.ManifestVersion, TenantID: "acme", ExportID: "e-1", Filter: r.Filter(),
		Topic: schemas.TopicInteractions, Snapshot: r.Snapshot,
		CreatedAt: at("2026-11-01T00:00:12Z"), ExpiresAt: at("2026-12-01T00:00:12Z"),
		Encoding: schemas.EncodingSMIME, Cipher: "aes-256-cbc", KeyTransport: "rsa-pkcs1v15",
		Recipients: []schemas.CertificateRef{{
			Fingerprint: digest, Subject: "CN=Ada", Issuer: "CN=Ada", Serial: "1f", NotAfter: at("2030-01-01T00:00:00Z"),
		}},
		Parts: parts, Totals: schemas.Total(parts),
	}
}

// decode reads and checks a document of the kind its schema's file is named after.
func decode(schema string, b []byte) error {
	var err error
	switch schema {
	case "interaction.schema.json":
		_, err = schemas.DecodeInteraction(b)
	case "contact.schema.json":
		_, err = schemas.DecodeContact(b)
	case "export-status.schema.json":
		_, err = schemas.DecodeExportStatus(b)
	case "audit-record.schema.json":
		_, err = schemas.DecodeAuditRecord(b)
	case "access-record.schema.json":
		_, err = schemas.DecodeAccessRecord(b)
	case "erasure-request.schema.json":
		_, err = schemas.DecodeErasureRequest(b)
	case "erased-subject.schema.json":
		_, err = schemas.DecodeErasedSubject(b)
	case "job.schema.json":
		_, err = schemas.DecodeJob(b)
	case "certificate.schema.json":
		_, err = schemas.DecodeCertificate(b)
	case "hold.schema.json":
		_, err = schemas.DecodeHold(b)
	case "webhook-delivery.schema.json":
		_, err = schemas.DecodeWebhookDelivery(b)
	case "manifest.schema.json":
		_, err = schemas.DecodeManifest(b)
	case "removal.schema.json":
		_, err = schemas.DecodeRemoval(b)
	case "export-request.schema.json":
		r, malformed := schemas.DecodeExportRequest(b)
		if malformed != nil {
			return malformed
		}
		err = r.Validate()
	default:
		panic("no such document: " + schema)
	}
	return err
}

// exampleOf is the first example in a schema, on one line.
func exampleOf(t *testing.T, schema string) []byte {
	t.Helper()
	for _, d := range schemas.JSONSchemas() {
		if d.Name != schema {
			continue
		}
		var document struct{ Examples []json.RawMessage }
		if err := json.Unmarshal(d.JSON, &document); err != nil || len(document.Examples) == 0 {
			t.Fatal("no example in", schema, err)
		}
		var b bytes.Buffer
		if err := json.Compact(&b, document.Examples[0]); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	t.Fatal("there is no", schema)
	return nil
}
