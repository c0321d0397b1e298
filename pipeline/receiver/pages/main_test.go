package pages_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/pipeline/receiver"
	"cdds/pipeline/receiver/pages"
	"cdds/schemas"
)

// decrypted is an export as receiver.Decrypt leaves it.
type decrypted struct {
	t      testing.TB
	dir    string
	report receiver.Report
	// receipts are those of the parts, which the report does not hold.
	receipts []schemas.Receipt
}

func newDecrypted(t testing.TB, entity string) *decrypted {
	from := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	return &decrypted{t: t, dir: t.TempDir(), report: receiver.Report{
		ManifestSHA256: strings.Repeat("ab", 32),
		Manifest: &schemas.Manifest{
			Version: schemas.ManifestVersion, TenantID: "acme", ExportID: "x1",
			Filter:    schemas.Filter{TenantID: "acme", Entity: entity, From: schemas.TimeOf(from), To: schemas.TimeOf(from.AddDate(0, 2, 0))},
			CreatedAt: schemas.TimeOf(from.AddDate(0, 2, 1)),
		},
	}}
}

// part adds a part with these lines.
func (d *decrypted) part(kind string, lines ...any) {
	d.t.Helper()
	m := d.report.Manifest
	p := schemas.Receipt{Part: schemas.Part{Number: len(d.receipts) + 1, Kind: kind, Rows: int64(len(lines))}}
	f, err := os.Create(filepath.Join(d.dir, schemas.EntryName(m.Filter.Entity, p.Part)))
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for _, line := range lines {
		b, err := schemas.Encode(line)
		if err == nil {
			_, err = f.Write(append(b, '\n'))
		}
		if err != nil {
			d.t.Fatal(err)
		}
		p.Bytes += int64(len(b)) + 1
	}
	switch kind {
	case schemas.KindRemoved:
		d.report.Parts.Removed++
	case schemas.KindAttachments:
		d.report.Parts.Attachments++
	default:
		d.report.Parts.Rows++
	}
	d.receipts = append(d.receipts, p)
	m.Totals = schemas.Total(d.receipts)
}

func (d *decrypted) write(o pages.Options) (pages.Result, error) {
	d.t.Helper()
	return pages.Write(context.Background(), d.dir, d.report, o)
}

// pages are the pages by path, once they are written.
func (d *decrypted) pages(o pages.Options) map[string]string {
	d.t.Helper()
	if _, err := d.write(o); err != nil {
		d.t.Fatal(err)
	}
	all := map[string]string{}
	root := filepath.Join(d.dir, pages.Dir)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		all[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return all
}

// names are what is in the directory, sorted.
func (d *decrypted) names() string {
	d.t.Helper()
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// row is an interaction of a contact.
func row(id, contact string, at time.Time, more ...map[string]any) map[string]any {
	r := map[string]any{"tenant_id": "acme", "interaction_id": id, "media_type": "chat", "started_at": schemas.TimeOf(at).String()}
	if contact != "" {
		r["contact_id"] = contact
	}
	for _, m := range more {
		for name, value := range m {
			r[name] = value
		}
	}
	return r
}

// at is a minute of the range of test exports.
func at(minute int) time.Time {
	return time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(minute) * time.Minute)
}

// hostile is markup that would change the title of a page if it ran, in many dialects.
func hostile(field string) string {
	return fmt.Sprintf(`%s"'><script>document.title="owned"</script><img src=x onerror=document.title="owned"><svg onload=document.title="owned"></style></title><a href="javascript:document.title='owned'">%s</a>&lt;`, field, field)
}

// sampleExport is one of three contacts, with everything that a page can show.
func sampleExport(t testing.TB) *decrypted {
	d := newDecrypted(t, schemas.EntityInteraction)
	m := d.report.Manifest
	m.Filter.Contacts = []string{"c-ada", "c-bob", "c-nobody"}
	d.part("",
		row("i1", "c-ada", at(610), map[string]any{"ended_at": schemas.TimeOf(at(616)).String(), "direction": "inbound", "status": "closed", "subject": "Where is my order", "queue": "orders", "agent_id": "agent-294", "category": "delivery", "disposition": "resolved", "language": "en",
			"text":       "customer: Hello, I ordered a lamp ten days ago, and it has not come yet. The number is CNRX7ZWPK4TW.\nagent: Good morning! Let me look it up. One moment.\nagent: It left our warehouse yesterday and is with the courier in Zürich. It should reach you tomorrow before noon.\ncustomer: Wonderful, thank you!",
			"attributes": map[string]any{"channel": "web", "csat": "5"}}),
		row("i2", "c-ada", at(4810), map[string]any{"media_type": "email", "direction": "inbound", "status": "closed", "subject": "Invoice for the lamp", "queue": "billing", "agent_id": "agent-12",
			"text": "Good evening,\n\nplease find the invoice attached. The amount does not match what I paid.\n\nKind regards\nAda", "notes": "Called back on Monday. Refund of 12.50 promised."}),
		row("i3", "c-bob", at(5000), map[string]any{"media_type": "voice", "direction": "outbound", "status": "closed", "queue": "retention", "agent_id": "agent-7"}),
		row("i4", "c-ada", at(52000), map[string]any{"media_type": "voice", "direction": "inbound", "status": "open", "subject": "بخصوص الفاتورة", "queue": "billing", "agent_id": "agent-12"}),
		row("i5", "", at(53000), map[string]any{"text": "A visitor without a name asks for the opening hours."}))
	line := func(id string, minute int, name, content, file, problem string) map[string]any {
		l := map[string]any{"interaction_id": id, "started_at": schemas.TimeOf(at(minute)).String(), "attachment_id": name, "name": name, "content_type": content, "size": 48213}
		if problem != "" {
			l["problem"] = problem
		} else {
			l["file"] = "attachments-0002/" + file
		}
		return l
	}
	d.part(schemas.KindAttachments,
		line("i2", 4810, "invoice 4711.pdf", "application/pdf", "000001-invoice_4711.pdf", ""),
		line("i2", 4810, "order.html", "text/html", "000002-order.html", ""),
		line("i4", 52000, "call.wav", "audio/wav", "", "the object acme/calls/i4.wav is not in the bucket"))
	return d
}
