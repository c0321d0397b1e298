package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"cdds/consumers/definitions"
	"cdds/ops/admin"
	"cdds/ops/api"
	"cdds/ops/auth"
	"cdds/ops/console"
	"cdds/ops/stack/stacktest"
	"cdds/pipeline/ledger"
	"cdds/pipeline/smime"
	"cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
	"cdds/producers/schedule"
	"cdds/schemas"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

// desk is the API on a real ClickHouse, with definitions in memory and what is
// published thrown away.
type desk struct {
	t       testing.TB
	handler http.Handler
	ledger  *ledger.Ledger
	token   string
	now     time.Time
}

type discard struct{}

func (discard) Publish(context.Context, ...schemas.Event) error { return nil }

// known makes what is changed known, where nobody else changes anything.
type known struct{ directory *auth.Directory }

func (k known) Change(_ context.Context, v schemas.Versioned) error {
	k.directory.Apply(v.(*schemas.AccessRecord))
	return nil
}

func (known) Remove(schemas.Topic, []string) {}

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

// newDesk gives tenant so many exports and jobs, each a minute after the one before.
func newDesk(t testing.TB, tenant string, exports, jobs int) *desk {
	t.Helper()
	db := tables.New(stacktest.ClickHouse(t))
	check(t, db.Create(t.Context(), warehouse.Schema(), ledger.Schema()))
	d := &desk{t: t, ledger: ledger.New(db), now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return d.now }

	directory := auth.NewDirectory(clock)
	service, err := auth.New(auth.Options{Directory: directory, Records: known{directory}, Publisher: discard{}, Key: make([]byte, auth.KeySize), Now: clock})
	check(t, err)
	_, d.token, err = service.CreateToken(t.Context(), auth.Principal{Name: "test"}, schemas.APIToken{
		Name: "test", TenantID: tenant, Role: schemas.RoleAdministrator, ExpiresAt: schemas.TimeOf(d.now.Add(24 * time.Hour)),
	})
	check(t, err)
	defined, err := definitions.New(definitions.Options{Log: still{}})
	check(t, err)
	fill(t, defined, tenant, jobs, schemas.TimeOf(d.now))
	d.saveExports(tenant, 0, exports)
	office := admin.New(admin.Options{
		History: d.ledger, Rows: warehouse.New(db), Publisher: discard{}, Positions: still{}, Accounts: service, Directory: directory, Definitions: defined, Next: schedule.Next, Now: clock,
	})
	mux := http.NewServeMux()
	mux.Handle(api.Prefix+"/", api.New(api.Options{Admin: office, Auth: service, Every: time.Microsecond, Burst: 1 << 20}).Handler())
	mux.Handle(console.Prefix+"/", console.New(console.Options{Admin: office, Auth: service, Now: clock}).Handler())
	d.handler = service.Middleware(mux)
	return d
}

func fill(t testing.TB, defined *definitions.Definitions, tenant string, jobs int, now schemas.Time) {
	t.Helper()
	for n := range jobs {
		j := schemas.Job{
			TenantID: tenant, JobID: fmt.Sprintf("job-%03d", n), Title: "A job", Entity: schemas.EntityInteraction, State: schemas.JobActive,
			Schedule: schemas.Schedule{Run: schemas.RunDaily}, Timeframe: schemas.Timeframe{Kind: schemas.TimeframeAll},
			Recipients: []string{fmt.Sprintf("%064x", n)},
		}.Revised(nil, "test", now)
		value, err := schemas.Encode(j)
		check(t, err)
		defined.Apply(schemas.TopicJobs, []byte(j.Key()), value)
	}
	if got := len(defined.Jobs(tenant)); got != jobs {
		t.Fatalf("%d of %d jobs were taken", got, jobs)
	}
}

// saveExports saves completed exports of two parts each; every fifth failed instead.
func (d *desk) saveExports(tenant string, from, to int) { d.saveExportsOf(tenant, from, to, 2) }

func (d *desk) saveExportsOf(tenant string, from, to, parts int) {
	d.t.Helper()
	var all []schemas.Export
	for n := from; n < to; n++ {
		// Pairs share an instant, so that places need ids.
		at := schemas.TimeOf(d.now.Add(-time.Duration(n/2) * time.Minute))
		id := fmt.Sprintf("export-%04d", n)
		e := schemas.Export{
			TenantID: tenant, ExportID: id, State: schemas.Completed, RequestedAt: at, UpdatedAt: at, EndedAt: at, Events: 5,
			Request: &schemas.ExportRequest{TenantID: tenant, ExportID: id, Entity: schemas.EntityInteraction, RequestedBy: "ada", JobID: fmt.Sprintf("job-%03d", n%7)},
			Done:    schemas.Totals{Parts: parts, Rows: int64(n), SealedBytes: 2000},
			Completion: &schemas.Completion{
				ManifestKey: tenant + "/" + id + "/manifest.json", SignatureKey: tenant + "/" + id + "/manifest.json.p7s", ExpiresAt: schemas.TimeOf(d.now.Add(time.Hour)),
			},
		}
		for part := range parts {
			e.Parts = append(e.Parts, schemas.Receipt{Part: schemas.Part{Number: part + 1, Rows: 1}, Name: fmt.Sprintf("part-%d", part+1), SealedBytes: 1000})
		}
		if n%5 == 0 {
			e.State, e.Completion, e.Failure = schemas.Failed, nil, &schemas.Failure{Stage: "part", Reason: "a test"}
		}
		all = append(all, e)
	}
	check(d.t, d.ledger.SaveExports(d.t.Context(), all))
}

func (d *desk) get(path string) (int, []byte) { return d.fetch(api.Prefix + path) }

func (d *desk) fetch(path string) (int, []byte) {
	r := httptest.NewRequestWithContext(d.t.Context(), http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer "+d.token)
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Code, w.Body.Bytes()
}

// walk reads all pages of exports and returns their ids in order.
func (d *desk) walk(query string, between func(page int)) (ids []string) {
	d.t.Helper()
	for page, cursor := 0, ""; ; page++ {
		status, body := d.get("/exports?" + query + "&cursor=" + url.QueryEscape(cursor))
		var listing api.Listing[schemas.Export]
		if err := json.Unmarshal(body, &listing); err != nil || status != http.StatusOK {
			d.t.Fatalf("%d %s", status, body)
		}
		for _, e := range listing.Items {
			if len(e.Parts) > 0 {
				d.t.Errorf("%s is listed with its parts", e.ExportID)
			}
			ids = append(ids, e.ExportID)
		}
		if cursor = listing.Next; cursor == "" {
			return ids
		}
		between(page)
	}
}

func TestPagesHoldEveryExportOnceWhateverTheOrderAndWhateverIsAddedMeanwhile(t *testing.T) {
	d := newDesk(t, "pages", 43, 0)
	other := newDesk(t, "neighbour", 3, 0)
	for _, sort := range []string{"requested_at", "updated_at", "export_id", "state", "rows"} {
		for _, order := range []string{"asc", "desc"} {
			ids := d.walk("limit=7&sort="+sort+"&order="+order, func(int) {})
			if len(ids) != 43 || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 43 {
				t.Errorf("by %s %s there are %d: %v", sort, order, len(ids), ids)
			}
		}
	}
	d.now = d.now.Add(time.Hour)
	ids := d.walk("limit=10", func(page int) { d.saveExports("pages", 100+page, 101+page) }) // newer than all
	if len(ids) != 43 {
		t.Errorf("with exports added meanwhile there are %d: %v", len(ids), ids)
	}
	d.now = d.now.Add(-time.Hour)
	if ids := d.walk("limit=50&state=failed&job=job-000", func(int) {}); !slices.Equal(ids, []string{"export-0000", "export-0035"}) {
		t.Errorf("failed runs of job-000 are %v", ids)
	}
	if ids := d.walk("limit=50&q=EXPORT-001", func(int) {}); len(ids) != 10 {
		t.Errorf("ids with 001 are %v", ids)
	}
	if ids := other.walk("limit=50", func(int) {}); len(ids) != 3 {
		t.Errorf("the neighbour sees %v", ids)
	}
	for _, bad := range []string{"limit=0", "limit=501", "sort=body", "order=up", "cursor=!", "cursor=e30&sort=rows", "state=unheard", "unknown=1", "from=yesterday"} {
		if status, body := d.get("/exports?" + bad); status != http.StatusUnprocessableEntity {
			t.Errorf("?%s: %d %s", bad, status, body)
		}
	}
}

func TestAPrivateKeyIsRefusedAndSentNowhere(t *testing.T) {
	d := newDesk(t, "keys", 0, 0)
	_, key, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "receiver"})
	check(t, err)
	asJSON, err := json.Marshal(map[string]any{
		"entity": "interaction", "from": "2020-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z", "recipients": []map[string]string{{"certificate": string(key)}},
	})
	check(t, err)
	for path, body := range map[string][]byte{"/certificates": key, "/exports": asJSON} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, api.Prefix+path, bytes.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+d.token)
		if path == "/exports" {
			r.Header.Set("Content-Type", "application/json")
		}
		w := httptest.NewRecorder()
		d.handler.ServeHTTP(w, r)
		if w.Code != http.StatusUnprocessableEntity || !bytes.Contains(w.Body.Bytes(), []byte("private key")) || bytes.Contains(w.Body.Bytes(), key[40:80]) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// BenchmarkListings is the time at the server of each listing with 500 exports and
// 200 jobs: the promise is 100 ms.
func BenchmarkListings(b *testing.B) {
	d := newDesk(b, "bench", 500, 200)
	for _, path := range []string{
		"/exports?limit=50", "/exports?limit=500&sort=rows", "/exports?state=failed&q=export", "/artifacts?limit=500", "/jobs", "/certificates",
		"/audit?limit=500", "/erasures", "/deliveries", "/overview", "/users", "/tokens", "/exports/export-0001", "/exports/export-0001/artifacts",
	} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				if status, body := d.get(path); status != http.StatusOK {
					b.Fatalf("%d %s", status, body)
				}
			}
		})
	}
}

// BenchmarkListingOfLargeExports is the time to list exports of a hundred parts each:
// what nobody asked for is neither read nor sent.
func BenchmarkListingOfLargeExports(b *testing.B) {
	d := newDesk(b, "bench-large", 0, 0)
	d.saveExportsOf("bench-large", 0, 500, 100)
	for b.Loop() {
		if status, body := d.get("/exports?limit=500"); status != http.StatusOK {
			b.Fatalf("%d %s", status, body)
		}
	}
}

// BenchmarkPages is the same for the pages of the console.
func BenchmarkPages(b *testing.B) {
	d := newDesk(b, "bench-pages", 500, 200)
	for _, path := range []string{"/", "/jobs", "/jobs/job-001", "/jobs/new", "/history", "/history?sort=rows", "/history/export-0001", "/artifacts", "/certificates", "/audit", "/access"} {
		b.Run(path, func(b *testing.B) {
			for b.Loop() {
				if status, body := d.fetch(console.Prefix + path); status != http.StatusOK {
					b.Fatalf("%d %.300s", status, body)
				}
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
