package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"cdds/consumers/history"
	"cdds/ops/api"
	"cdds/ops/console"
	"cdds/schemas"
)

// saveLarge has history know a completed export of so many parts, the last of which holds
// attachments.
func (d *desk) saveLarge(tenant, id string, parts int) {
	d.t.Helper()
	h, err := history.New(d.ledger, nil)
	check(d.t, err)
	at := schemas.TimeOf(d.now)
	offset := int64(0)
	digest := strings.Repeat("ab", 32)
	handle := func(events ...*schemas.ExportStatus) {
		b := schemas.Batch[*schemas.ExportStatus]{Topic: schemas.TopicExportStatus, First: offset, Next: offset + int64(len(events))}
		for _, e := range events {
			e.TenantID, e.ExportID, e.Time, e.Attempt, e.Worker = tenant, id, at, 1, "worker-1"
			b.Records = append(b.Records, schemas.Record[*schemas.ExportStatus]{Event: e, Offset: offset})
			offset++
		}
		check(d.t, h.Handle(d.t.Context(), b))
	}
	request := &schemas.ExportRequest{TenantID: tenant, ExportID: id, Entity: schemas.EntityInteraction, RequestedBy: "ada"}
	totals := schemas.Totals{Parts: parts, Rows: int64(parts), JSONLBytes: 1000 * int64(parts)}
	handle(&schemas.ExportStatus{EventID: "requested", State: schemas.Requested, Request: request, RequestDigest: request.Digest()},
		&schemas.ExportStatus{EventID: "planned", State: schemas.Planned, Planned: &totals})
	prefix := schemas.ExportPrefix(tenant, id)
	for n := 0; n < parts; {
		var events []*schemas.ExportStatus
		for range min(history.MaxRecords, parts-n) {
			n++
			key := schemas.RowKey{Time: at, ID: fmt.Sprintf("interaction-%08d", n)}
			part := schemas.Part{Number: n, Rows: 1, Bytes: 1000, First: key, Last: key}
			if n == parts {
				part.Kind = schemas.KindAttachments
			}
			name := schemas.PartName(schemas.EntityInteraction, id, part)
			events = append(events, &schemas.ExportStatus{EventID: schemas.PartEventID(n), State: schemas.Running, Part: &schemas.Receipt{
				Part: part, Name: name, Key: prefix + name, JSONLSHA256: digest, ZipBytes: 500, ZipSHA256: digest, SealedBytes: 800, SealedSHA256: digest,
			}})
		}
		handle(events...)
	}
	handle(&schemas.ExportStatus{EventID: "completed", State: schemas.Completed, Completion: &schemas.Completion{
		ManifestKey: prefix + schemas.ManifestName, SignatureKey: prefix + schemas.SignatureName, ManifestSHA256: digest, SignatureSHA256: digest,
		ManifestBytes: 1, SignatureBytes: 1, ExpiresAt: schemas.TimeOf(d.now.AddDate(0, 0, 30)),
	}})
}

func TestTheManyPartsOfAnExportComePageByPage(t *testing.T) {
	const parts = 1203
	d := newDesk(t, "many", 0, 0)
	d.saveLarge("many", "large", parts)
	get := func(path string, into any) {
		t.Helper()
		status, body := d.get(path)
		if err := json.Unmarshal(body, into); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %.300s", path, status, body)
		}
	}
	var e schemas.Export
	get("/exports/large", &e)
	if e.State != schemas.Completed || e.Done.Parts != parts || e.Done.Rows != parts-1 || len(e.Parts) != 500 || e.Parts[499].Number != 500 {
		t.Fatalf("it is %s with %d parts, of which it lists %d", e.State, e.Done.Parts, len(e.Parts))
	}
	numbers := 0
	for after, limit := 0, 400; ; {
		var page api.Listing[schemas.Receipt]
		get(fmt.Sprintf("/exports/large/parts?after=%d&limit=%d", after, limit), &page)
		for _, p := range page.Items {
			if numbers++; p.Number != numbers {
				t.Fatalf("part %d comes where %d is expected", p.Number, numbers)
			}
		}
		if len(page.Items) < limit {
			break
		}
		after = numbers
	}
	if numbers != parts {
		t.Errorf("%d parts come in pages, want %d", numbers, parts)
	}
	var files []string
	for next := ""; ; {
		var page api.Listing[api.ArtifactView]
		get("/exports/large/artifacts?cursor="+url.QueryEscape(next), &page)
		if len(page.Items) > 500 {
			t.Fatalf("a page has %d files", len(page.Items))
		}
		for _, f := range page.Items {
			if files = append(files, f.Name); f.Part != len(files) && len(files) <= parts {
				t.Fatalf("%s of part %d comes where part %d is expected", f.Name, f.Part, len(files))
			}
		}
		if next = page.Next; next == "" {
			break
		}
	}
	if len(files) != parts+2 || files[parts] != schemas.ManifestName || files[parts+1] != schemas.SignatureName {
		t.Errorf("%d files come in pages, want %d with the manifest last", len(files), parts+2)
	}
	_, page := d.fetch(console.Prefix + "/history/large")
	if shown := strings.Count(string(page), " download title="); shown != 100 || !strings.Contains(string(page), "and 1103 more") || !strings.Contains(string(page), "artifacts?export=large") {
		t.Errorf("the page shows %d files", shown)
	}
	_, script := d.fetch(console.Prefix + "/artifacts/large/download.sh")
	if fetched := strings.Count(string(script), "\nfetch "); fetched != parts+2 {
		t.Errorf("the download script fetches %d files, want %d", fetched, parts+2)
	}
}

// BenchmarkAVeryLargeExport is the time at the server of each answer about an export of
// 100,000 parts: the promise is 200 ms.
func BenchmarkAVeryLargeExport(b *testing.B) {
	const parts = 100_000
	d := newDesk(b, "bench-huge", 0, 0)
	d.saveLarge("bench-huge", "huge", parts)
	last := schemas.PartName(schemas.EntityInteraction, "huge", schemas.Part{Number: parts, Kind: schemas.KindAttachments})
	for _, path := range []string{
		api.Prefix + "/exports/huge", api.Prefix + "/exports/huge/parts?after=99000", api.Prefix + "/exports/huge/artifacts", api.Prefix + "/exports?limit=50",
		api.Prefix + "/artifacts?export=huge", api.Prefix + "/artifacts?limit=500", api.Prefix + "/overview",
		console.Prefix + "/history", console.Prefix + "/history/huge", console.Prefix + "/artifacts", console.Prefix + "/artifacts?export=huge&sort=part&order=asc", console.Prefix + "/",
	} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				if status, body := d.fetch(path); status != http.StatusOK {
					b.Fatalf("%d %.300s", status, body)
				}
			}
		})
	}
	b.Run("a file by its name", func(b *testing.B) {
		for b.Loop() {
			if a, found, err := d.ledger.Artifact(b.Context(), "bench-huge", "huge", last); err != nil || !found || a.Part != parts {
				b.Fatalf("%+v %v", a, err)
			}
		}
	})
}
