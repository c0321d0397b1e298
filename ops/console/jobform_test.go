package console_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"cdds/pipeline/smime"
	"cdds/schemas"
)

// fields is what a browser sends of the form with the class editor, nothing changed.
func (d *desk) fields(page string) url.Values {
	d.t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	check(d.t, err)
	form := url.Values{}
	attribute := func(n *html.Node, name string) (string, bool) {
		i := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
		if i < 0 {
			return "", false
		}
		return n.Attr[i].Val, true
	}
	text := func(n *html.Node) (s string) {
		for c := range n.Descendants() {
			if c.Type == html.TextNode {
				s += c.Data
			}
		}
		return s
	}
	for n := range root.Descendants() {
		name, _ := attribute(n, "name")
		if n.Type != html.ElementNode || name == "" {
			continue
		}
		switch n.Data {
		case "input":
			value, _ := attribute(n, "value")
			_, checked := attribute(n, "checked")
			if kind, _ := attribute(n, "type"); kind != "checkbox" || checked {
				form.Add(name, value)
			}
		case "textarea": // lines as browsers send them
			form.Add(name, strings.ReplaceAll(strings.TrimPrefix(text(n), "\n"), "\n", "\r\n"))
		case "select":
			var chosen *html.Node
			for o := range n.Descendants() {
				if _, selected := attribute(o, "selected"); o.Data == "option" && (chosen == nil || selected) {
					chosen = o
				}
			}
			value, ok := attribute(chosen, "value")
			if !ok {
				value = text(chosen)
			}
			form.Add(name, value)
		}
	}
	return form
}

// certificate registers a new one for the desk's tenant.
func (d *desk) certificate(name string) *schemas.Certificate {
	d.t.Helper()
	return d.certificateFor(name, 0)
}

// certificateFor is certificate for one that ends so long after October began.
func (d *desk) certificateFor(name string, validity time.Duration) *schemas.Certificate {
	d.t.Helper()
	certificate, _, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: name, Bits: 2048, NotBefore: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), Validity: validity})
	check(d.t, err)
	block, _ := pem.Decode(certificate)
	parsed, err := x509.ParseCertificate(block.Bytes)
	check(d.t, err)
	c := schemas.NewCertificate(d.who.Tenant, parsed, "ada", schemas.TimeOf(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)))
	d.define(c)
	return c
}

func TestSavingAJobChangesWhatWasChangedAndNothingElse(t *testing.T) {
	d := newDesk(t, "untouched", 0, 0)
	a, b, successor := d.certificate("a"), d.certificate("b"), d.certificate("a, rotated")
	instant := func(s string) schemas.Time {
		at, err := time.Parse(time.RFC3339Nano, s)
		check(t, err)
		return schemas.TimeOf(at)
	}
	known := schemas.Job{
		TenantID: "untouched", JobID: "made-elsewhere", Title: "By hand", Description: "two\nlines", Entity: schemas.EntityInteraction, State: schemas.JobActive,
		MediaTypes: []string{"chat", "email"},
		Match: schemas.Match{
			Queues: []string{"Sales, EU", "Support"}, Statuses: []string{"closed", "late"}, Directions: []string{"inbound"},
			Attributes: map[string]string{"a=b": "c", "reason": " two words "},
		},
		Schedule:  schemas.Schedule{Run: schemas.RunOnce, Start: instant("2027-01-02T03:04:05.006Z")},
		Timeframe: schemas.Timeframe{Kind: schemas.TimeframeFixed, From: instant("2026-10-01T00:00:00Z"), To: instant("2026-10-31T23:59:59.999Z")},
		SplitSize: 3 << 19, Encoding: schemas.EncodingDER, Cipher: schemas.CipherGCM, KeyTransport: schemas.KeyTransportOAEP,
		Compression: schemas.CompressionFast, Attachments: schemas.AttachmentsNone, Names: schemas.NamesGenesys, CatchUp: schemas.CatchUpSkip, RetentionDays: 7,
		Recipients: []string{a.Fingerprint, b.Fingerprint},
		Webhook:    &schemas.Webhook{URL: "https://hooks.example/cdds", SecretVersion: 3},
	}
	first := known.Revised(nil, "ada", instant("2026-10-01T00:00:00Z"))
	check(t, first.Validate())
	d.define(first)
	a.ReplacedBy = successor.Fingerprint
	d.define(a)

	form := d.fields(d.get("/jobs/made-elsewhere/edit"))
	form.Set("title", "Another title")
	form.Set("then", "save")
	page := d.send("/jobs/made-elsewhere", form)
	if len(d.saved) != 1 {
		t.Fatalf("%d jobs were saved: %s", len(d.saved), page)
	}
	got, want := *d.saved[0], *first
	want.Title, want.Recipients = "Another title", []string{successor.Fingerprint, b.Fingerprint} // sealed for whoever replaces them
	want.Revision, want.UpdatedAt, want.UpdatedBy = got.Revision, got.UpdatedAt, got.UpdatedBy
	slices.Sort(got.Recipients)
	slices.Sort(want.Recipients)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("saved was\n%+v, want\n%+v", got, want)
	}

	form.Del("media_types")
	if page := d.send("/jobs/made-elsewhere", form); len(d.saved) != 1 || !strings.Contains(page, "choose at least one") {
		t.Error("no media type at all is saved as all of them")
	}
}

func TestAJobThatRunsEveryFewHoursForgetsTheZoneItHad(t *testing.T) {
	d := newDesk(t, "hourly", 0, 0)
	form := d.fields(d.get("/jobs/new"))
	form.Set("title", "Hourly")
	form.Set("run", "hours")
	form.Set("every_hours", "6")
	form.Set("time_zone", "Europe/Berlin")
	form.Set("recipients", d.certificate("a").Fingerprint)
	form.Set("then", "save")
	if page := d.send("/jobs", form); len(d.saved) != 1 {
		t.Errorf("not saved: %s", page)
	}
}

func TestAPreviewIsForThoseWhoMayAndOfASchedule(t *testing.T) {
	d := newDesk(t, "previews", 0, 0)
	form := d.fields(d.get("/jobs/new"))
	form.Set("then", "preview")
	for _, wrong := range []url.Values{
		{"run": {"weekly"}, "weekday": {"x"}}, {"run": {"hours"}}, {"run": {"monthly"}}, {"run": {"daily"}, "time_zone": {"Europe/Berln"}},
	} {
		for name, values := range wrong {
			form[name] = values
		}
		if page := d.send("/jobs", form); !strings.Contains(page, "schedule.") || strings.Contains(page, `id="next"`) {
			t.Errorf("%v: shown when it would run", wrong)
		}
		form.Del("time_zone")
	}
	d.who.Role = schemas.RoleViewer
	form.Set("run", "daily")
	if page := d.send("/jobs", form); strings.Contains(page, `id="next"`) {
		t.Error("a viewer has a preview")
	}
}

func TestQueuesInTheEditorAreTheQueuesThereAre(t *testing.T) {
	d := newDesk(t, "queues", 0, 0)
	b := schemas.Batch[*schemas.Interaction]{}
	for n, queue := range []string{"sales", "support", "Sales", "Sales, EMEA"} {
		b.Records = append(b.Records, schemas.Record[*schemas.Interaction]{Offset: int64(n), Event: &schemas.Interaction{
			InteractionID: queue, TenantID: "queues", MediaType: "voice", StartedAt: schemas.TimeOf(time.Date(2026, 9, 1, 10, 0, 0, 0, time.UTC)), Queue: queue,
		}})
	}
	check(t, d.warehouse.InsertInteractions(t.Context(), b))
	form := d.fields(d.get("/jobs/new"))
	form.Set("title", "Queues")
	form.Set("recipients", d.certificate("a").Fingerprint)
	form.Set("then", "save")
	for text, want := range map[string][]string{
		"sales, support": {"sales", "support"}, "Sales, EMEA": {"Sales, EMEA"}, "Sales, EMEA\r\nsupport": {"Sales, EMEA", "support"},
		`"sales, support"`: {"sales, support"},
	} {
		before := len(d.saved)
		form.Set("queues", text)
		page := d.send("/jobs", form)
		if len(d.saved) != before+1 || !slices.Equal(d.saved[before].Queues, want) {
			t.Errorf("%q is not saved as %q: %s", text, want, page)
		}
	}
	before := len(d.saved)
	form.Set("queues", "sales, no-such-queue")
	if page := d.send("/jobs", form); len(d.saved) != before || !strings.Contains(page, "no-such-queue&#34;: name each queue") || !strings.Contains(page, ">sales, no-such-queue</textarea>") {
		t.Errorf("a queue that is not there is taken, or what was written is gone: %s", page)
	}
}
