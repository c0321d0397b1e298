package console_test

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"cdds/consumers/definitions"
	"cdds/ops/admin"
	"cdds/ops/auth"
	"cdds/ops/console"
	"cdds/ops/stack/stacktest"
	"cdds/pipeline"
	"cdds/pipeline/ledger"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
	"cdds/producers/schedule"
	"cdds/schemas"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// desk is the console on a real ClickHouse, with definitions in memory and, of what is
// published, the jobs kept.
type desk struct {
	t       testing.TB
	handler http.Handler
	who     auth.Principal
	tenant  string // chosen by who sees several
	zone    string // the value of the browser's cookie; empty without one
	auth    *auth.Service
	defined *definitions.Definitions
	// saved are the jobs that were published.
	saved []*schemas.Job
	// health is what was found at services and roles, looked at before noon.
	health []admin.Finding
	// letters are the dead letters there are, accounts what became of records.
	letters   []admin.DeadLetter
	mailbox   *mailbox
	accounts  map[schemas.Topic]warehouse.TopicAccount
	asked     *asked
	writeOffs []schemas.WriteOff
	warehouse *warehouse.Warehouse
	ledger    *ledger.Ledger
	office    *admin.Service
}

// save puts exports into history.
func (d *desk) save(exports ...schemas.Export) {
	d.t.Helper()
	check(d.t, d.ledger.SaveExports(d.t.Context(), exports))
}

type discard struct{}

func (discard) Publish(context.Context, ...schemas.Event) error { return nil }

// asked keeps the requests that were published, as the topic of requests does.
type asked struct {
	exports  []*schemas.ExportRequest
	erasures []*schemas.ErasureRequest
	audit    []*schemas.AuditRecord
	webhooks []*schemas.WebhookDelivery
}

func (a *asked) Publish(_ context.Context, events ...schemas.Event) error {
	for _, e := range events {
		switch r := e.(type) {
		case *schemas.ExportRequest:
			a.exports = append(a.exports, r)
		case *schemas.ErasureRequest:
			a.erasures = append(a.erasures, r)
		case *schemas.AuditRecord:
			a.audit = append(a.audit, r)
		case *schemas.WebhookDelivery:
			a.webhooks = append(a.webhooks, r)
		}
	}
	return nil
}

func (a *asked) Export(_ context.Context, tenantID, id string) (*schemas.ExportRequest, error) {
	for _, r := range a.exports {
		if r.TenantID == tenantID && r.ExportID == id {
			return r, nil
		}
	}
	return nil, nil //nolint:nilnil // as admin.Requests says
}

func (a *asked) Retry(context.Context, string, string, int) (*schemas.ExportRequest, error) {
	return nil, nil
}

func (a *asked) Erasure(_ context.Context, tenantID, id string) (*schemas.ErasureRequest, error) {
	for _, r := range a.erasures {
		if r.TenantID == tenantID && r.ErasureID == id {
			return r, nil
		}
	}
	return nil, nil //nolint:nilnil // as admin.Requests says
}

// Change remembers jobs, and makes holds known.
func (d *desk) Change(_ context.Context, v schemas.Versioned) error {
	switch v := v.(type) {
	case *schemas.Job:
		d.saved = append(d.saved, v)
	case *schemas.Hold:
		d.define(v)
	}
	return nil
}

// Draw returns the account that the desk has of a topic.
func (d *desk) Draw(_ context.Context, topic schemas.Topic) (warehouse.TopicAccount, error) {
	a := d.accounts[topic]
	a.Topic = topic
	return a, nil
}

// WriteOff keeps what was written off.
func (d *desk) WriteOff(_ context.Context, topic schemas.Topic, within []schemas.Run, reason, by, _ string, _ time.Time) (schemas.WriteOff, error) {
	w := schemas.WriteOff{Topic: topic, Number: 1, Runs: within, Reason: reason, By: by}
	d.writeOffs = append(d.writeOffs, w)
	return w, nil
}

// register is a topic of users that is read as soon as it is written.
type register struct{ directory *auth.Directory }

func (r register) Change(_ context.Context, v schemas.Versioned) error {
	attempt := schemas.NewAttempt(v)
	if err := attempt.Validate(); err != nil {
		return err
	}
	value, err := schemas.Encode(attempt)
	if err != nil {
		return err
	}
	return r.directory.Read([]byte(attempt.Key()), value)
}

func (register) Remove(schemas.Topic, []string) {}

// define makes a job or a certificate known.
func (d *desk) define(e schemas.Event) {
	d.t.Helper()
	value, err := schemas.Encode(e)
	check(d.t, err)
	d.defined.Apply(e.Topic(), []byte(e.Key()), value)
}

// still is a log that has nothing to read and positions with nothing behind.
type still struct{}

func (still) Run(ctx context.Context, _ func(schemas.Topic, []byte, []byte)) error {
	<-ctx.Done()
	return nil
}
func (still) Sync(context.Context) error { return nil }
func (still) Ready() error               { return nil }
func (still) EndOffsets(context.Context, schemas.Topic) (schemas.Snapshot, error) {
	return schemas.Snapshot{7}, nil
}
func (still) Ingested(context.Context, schemas.Topic) (schemas.Snapshot, error) {
	return schemas.Snapshot{4}, nil
}

// newDesk gives tenant so many jobs and exports, each a minute after the one before.
// The newest are all of job-000; the oldest, one each, of the others.
func newDesk(t testing.TB, tenant string, exports, jobs int) *desk {
	t.Helper()
	db := tables.New(stacktest.ClickHouse(t))
	check(t, db.Create(t.Context(), warehouse.Schema(), ledger.Schema()))
	l, w := ledger.New(db), warehouse.New(db)
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return start }
	now := schemas.TimeOf(start)

	directory := auth.NewDirectory(clock)
	service, err := auth.New(auth.Options{Directory: directory, Records: register{directory}, Publisher: discard{}, Key: make([]byte, auth.KeySize), Now: clock})
	check(t, err)
	defined, err := definitions.New(definitions.Options{Log: still{}})
	check(t, err)
	for n := range jobs {
		j := schemas.Job{
			TenantID: tenant, JobID: fmt.Sprintf("job-%03d", n), Title: fmt.Sprintf("A job <%d>", n), Entity: schemas.EntityInteraction, State: schemas.JobActive,
			Schedule: schemas.Schedule{Run: schemas.RunDaily}, Timeframe: schemas.Timeframe{Kind: schemas.TimeframeAll}, Recipients: []string{fmt.Sprintf("%064x", n)},
		}.Revised(nil, "test", now)
		value, err := schemas.Encode(j)
		check(t, err)
		defined.Apply(schemas.TopicJobs, []byte(j.Key()), value)
	}
	var all []schemas.Export
	for n := range exports {
		at := schemas.TimeOf(start.Add(-time.Duration(n) * time.Minute))
		id := fmt.Sprintf("export-%04d", n)
		all = append(all, schemas.Export{
			TenantID: tenant, ExportID: id, State: schemas.Completed, RequestedAt: at, UpdatedAt: at, EndedAt: at, Events: 5,
			Request: &schemas.ExportRequest{TenantID: tenant, ExportID: id, Entity: schemas.EntityInteraction, RequestedBy: "ada", JobID: fmt.Sprintf("job-%03d", max(0, n-(exports-jobs)))},
			Done:    schemas.Totals{Parts: 1, Rows: int64(n), SealedBytes: 1000},
			Parts:   []schemas.Receipt{{Part: schemas.Part{Number: 1, Rows: 1}, Name: "part-1", SealedBytes: 1000}},
			Completion: &schemas.Completion{
				ManifestKey: tenant + "/" + id + "/manifest.json", SignatureKey: tenant + "/" + id + "/manifest.json.p7s", ExpiresAt: schemas.TimeOf(start.Add(time.Hour)),
			},
		})
	}
	check(t, l.SaveExports(t.Context(), all))
	d := &desk{t: t, asked: &asked{}, warehouse: w, ledger: l, auth: service, defined: defined, who: auth.Principal{Subject: "user/ada", Name: "ada", Tenant: tenant, Role: schemas.RoleAdministrator}}
	d.mailbox = &mailbox{desk: d}
	d.office = admin.New(admin.Options{
		History: l, Rows: w, Publisher: d.asked, Requests: d.asked, Records: d, Positions: still{}, Accounts: service, Directory: directory, Definitions: defined,
		CheckJob: func(_ context.Context, j schemas.Job) error { return schedule.Check(j) }, Next: schedule.Next, Now: clock,
		Run:     func(j schemas.Job) *schemas.ExportRequest { return schedule.RunNow(j, now) },
		Letters: d.mailbox, Republications: pipeline.Republications{Store: pipelinetest.NewStore()}, ErasureDecisions: pipeline.Erasures{Store: pipelinetest.NewStore()},
		Book: d, WebhookSecret: func(j schemas.Job) (string, error) { return "whsec_of-" + j.JobID, nil },
		Health: func() ([]admin.Finding, schemas.Time) { return d.health, schemas.TimeOf(start.Add(-2 * time.Second)) },
		Estimator: admin.Estimator{
			Exporter: pipeline.New(pipeline.Options{Source: w, Now: clock}), Rows: w, Positions: still{}, History: l,
		},
	})
	pages := console.New(console.Options{Admin: d.office, Auth: service, URL: "http://127.0.0.1", API: "/api/v1", Now: clock}).Handler()
	d.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.tenant != "" {
			r.AddCookie(&http.Cookie{Name: "cdds_tenant", Value: d.tenant})
		}
		if d.zone != "" {
			r.AddCookie(&http.Cookie{Name: "cdds_zone", Value: d.zone})
		}
		pages.ServeHTTP(w, r.WithContext(auth.With(r.Context(), d.who)))
	})
	return d
}

func (d *desk) get(path string) string {
	d.t.Helper()
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, httptest.NewRequestWithContext(d.t.Context(), http.MethodGet, console.Prefix+path, nil))
	if w.Code != http.StatusOK {
		d.t.Fatalf("%s answers %d: %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// refused returns a page that the desk's user may not see.
func (d *desk) refused(path string) string {
	d.t.Helper()
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, httptest.NewRequestWithContext(d.t.Context(), http.MethodGet, console.Prefix+path, nil))
	if w.Code != http.StatusForbidden {
		d.t.Errorf("%s answers %d, want 403", path, w.Code)
	}
	return w.Body.String()
}

// send posts a form and returns the page that comes back.
func (d *desk) send(path string, form url.Values) string {
	d.t.Helper()
	r := httptest.NewRequestWithContext(d.t.Context(), http.MethodPost, console.Prefix+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	if w.Code >= http.StatusInternalServerError {
		d.t.Fatalf("%s answers %d: %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

func TestTheEditorKeepsWhatWasChosenWhileItShowsWhenTheJobWouldRun(t *testing.T) {
	d := newDesk(t, "editor", 0, 1)
	form := url.Values{
		"title": {"Nightly"}, "entity": {"interaction"}, "media_types": {"chat"}, "timeframe": {"all"}, "run": {"daily"}, "at": {"02:30"}, "time_zone": {"Europe/Berlin"},
		"recipients": {fmt.Sprintf("%064x", 0)}, "attachments": {"none"}, "cipher": {"aes-256-gcm"}, "key_transport": {"rsa-oaep"}, "encoding": {"der"}, "compression": {"fast"}, "names": {"genesys"},
		"then": {"preview"},
	}
	page := d.send("/jobs", form)
	for _, chosen := range []string{`value="none" selected`, `value="aes-256-gcm" selected`, `value="rsa-oaep" selected`, `value="der" selected`, `<option selected>fast`, `value="genesys" selected`} {
		if !strings.Contains(page, chosen) {
			t.Errorf("the editor lost %s", chosen)
		}
	}
	if n := strings.Count(page, " 02:30 CET</li>"); n != 5 { // winter has begun
		t.Errorf("it shows %d next runs at 02:30 in Berlin, want 5", n)
	}
	form.Set("then", "save")
	form.Set("cipher", "rot13")
	if page := d.send("/jobs", form); !strings.Contains(page, "rot13") || !strings.Contains(page, "cipher") {
		t.Error("an unknown cipher is not refused by name")
	}
}

var (
	exportLink = regexp.MustCompile(`/history/(export-\d+)"`)
	moreLink   = regexp.MustCompile(`href="(\?[^"]*after_id=[^"]*)"`)
)

func TestPagesOfHistoryHoldEveryExportOnce(t *testing.T) {
	d := newDesk(t, "walk", 120, 3)
	for _, sort := range []string{"sort=requested_at", "sort=rows&order=asc", "sort=state"} {
		seen, query := map[string]int{}, "?"+sort
		for pages := 0; query != "" && pages < 10; pages++ {
			body := d.get("/history" + query)
			for _, id := range exportLink.FindAllStringSubmatch(body, -1) {
				seen[id[1]]++
			}
			query = ""
			if more := moreLink.FindStringSubmatch(body); more != nil {
				query = html.UnescapeString(more[1])
			}
		}
		if len(seen) != 120 {
			t.Errorf("by %s the pages hold %d exports, want 120", sort, len(seen))
		}
		for id, times := range seen {
			if times != 1 {
				t.Errorf("by %s export %s is on the pages %d times", sort, id, times)
			}
		}
	}
}

func TestTheListOfJobsShowsALatestRunHoweverLongAgo(t *testing.T) {
	d := newDesk(t, "latest", 500, 3)
	body := d.get("/jobs")
	for _, id := range []string{"export-0000", "export-0498", "export-0499"} {
		if !strings.Contains(body, "/history/"+id+`"`) {
			t.Errorf("the list of jobs does not show %s, the latest run of one", id)
		}
	}
	if strings.Contains(body, "never ran") {
		t.Error("a job that ran is said never to have run")
	}
	if strings.Contains(body, "<0>") || !strings.Contains(body, "A job &lt;0&gt;") {
		t.Error("a title is not escaped")
	}
}

// BenchmarkPages is the time at the server of each page with 500 exports and 200
// jobs: the promise is 100 ms.
func BenchmarkPages(b *testing.B) {
	d := newDesk(b, "bench", 500, 200)
	for _, path := range []string{
		"/", "/jobs", "/jobs?page=4", "/jobs/new", "/jobs/job-000", "/jobs/job-000/edit", "/history", "/history?sort=rows&state=ended", "/history?text=export-01",
		"/history/export-0001", "/artifacts", "/certificates", "/audit", "/access",
	} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				d.get(path)
			}
		})
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
