package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/consumers"
	"cdds/ops/api"
	"cdds/ops/app"
	"cdds/ops/connect"
	"cdds/ops/console"
	"cdds/ops/retention"
	"cdds/pipeline"
	"cdds/schemas"
)

// asked is everything that reads, by tenant: {export}, {job} and so on stand for the first
// tenant's.
func asked(n sizes, fingerprint string) (calls, pages []string) {
	newest, job := (n.exports-1)/10*10, 0
	export := fmt.Sprintf("export-%07d", newest)
	calls = []string{
		"/overview", "/queues?name=sales",
		"/jobs", fmt.Sprintf("/jobs/job-%05d", job), fmt.Sprintf("/jobs/job-%05d/next", job), "/deliveries",
		"/exports", "/exports?limit=500", "/exports?state=failed", "/exports?sort=rows", "/exports?q=0000", "/exports/" + export,
		"/exports/" + export + "/parts", "/exports/" + export + "/artifacts", "/artifacts",
		"/certificates", "/certificates/" + fingerprint, "/erasures", "/holds", "/audit", "/users", "/tokens", "/sessions",
	}
	pages = []string{
		"/", "/jobs", fmt.Sprintf("/jobs/job-%05d", job), "/jobs/new", "/history", "/history?text=0000", "/history/" + export,
		"/exports/new", "/artifacts", "/certificates", "/certificates/" + fingerprint, "/privacy", "/audit", "/health", "/webhooks", "/access",
	}
	return calls, pages
}

// visit has the first user sign in at a web role.
func (s *system) visit(ctx context.Context, r *report, do func(*visitor) error) (err error) {
	first := make(chan string, 1)
	a, err := app.New(app.Options{
		Config: s.config, Roles: []string{"web"}, Name: "scale", Registry: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		FirstUser: func(_, password string) { first <- password },
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- a.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	began := time.Now()
	v, err := newVisitor(ctx, a.WebURL(), first)
	if err != nil {
		return err
	}
	r.started = time.Since(began)
	return do(v)
}

// faces measures the API and the console, of the first tenant and of all of them.
func (s *system) faces(ctx context.Context, n sizes, r *report) error {
	return s.visit(ctx, r, func(v *visitor) error { return v.measureAll(r, n) })
}

func (v *visitor) measureAll(r *report, n sizes) error {
	var certificates api.Listing[schemas.Certificate]
	if err := v.read("/certificates?tenant=tenant-00000", &certificates); err != nil {
		return err
	}
	if len(certificates.Items) == 0 {
		return errors.New("the first tenant has no certificate")
	}
	calls, pages := asked(n, certificates.Items[0].Fingerprint)
	for _, path := range []string{"/session", "/tenants"} { // these belong to no tenant
		if err := v.measure(r, "", api.Prefix+path, n.requests); err != nil {
			return err
		}
	}
	for _, tenant := range []string{"tenant-00000", schemas.AllTenants} {
		v.choose(tenant)
		if tenant == schemas.AllTenants { // the other pages have one choose a tenant
			pages = []string{"/", "/jobs", "/history", "/audit", "/health", "/access"}
		}
		for _, path := range calls {
			if err := v.measure(r, tenant, api.Prefix+path, n.requests); err != nil {
				return err
			}
		}
		for _, path := range pages {
			if err := v.measure(r, tenant, console.Prefix+path, n.requests); err != nil {
				return err
			}
		}
	}
	return nil
}

// visitor is the first user, signed in.
type visitor struct {
	ctx    context.Context
	url    *url.URL
	client *http.Client
}

func newVisitor(ctx context.Context, base string, first <-chan string) (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	v := &visitor{ctx: ctx, url: u, client: &http.Client{Jar: jar, Timeout: time.Minute}}
	const chosen = "correct horse battery staple"
	for {
		if v.send("POST", "/session", map[string]string{"name": "admin", "password": chosen}) == nil {
			return v, nil // a run before this one chose it
		}
		select {
		case password := <-first:
			if err := v.send("POST", "/session", map[string]string{"name": "admin", "password": password}); err != nil {
				return nil, err
			}
			return v, v.send("PUT", "/session/password", map[string]string{"old": password, "new": chosen})
		case <-time.After(time.Second): // users are not read yet
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (v *visitor) send(method, path string, body any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(v.ctx, method, v.url.String()+api.Prefix+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	answer, err := v.client.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s", method, path, answer.Status)
	}
	return nil
}

// choose looks at a tenant from now on.
func (v *visitor) choose(tenant string) {
	v.client.Jar.SetCookies(v.url, []*http.Cookie{{Name: "cdds_tenant", Value: tenant, Path: "/"}}) //nolint:gosec // a client's cookie, on loopback
}

// get returns an answer and how long it took to the last byte, of the request that was let
// through: the API slows who asks too fast.
func (v *visitor) get(path string) (status int, body []byte, took time.Duration, err error) {
	for {
		q, err := http.NewRequestWithContext(v.ctx, http.MethodGet, v.url.String()+path, nil)
		if err != nil {
			return 0, nil, 0, err
		}
		began := time.Now()
		answer, err := v.client.Do(q)
		if err != nil {
			return 0, nil, 0, err
		}
		body, err := io.ReadAll(answer.Body)
		took := time.Since(began)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusTooManyRequests {
			return answer.StatusCode, body, took, err
		}
		seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
		if err != nil {
			return 0, nil, 0, fmt.Errorf("%s: Retry-After: %w", path, err)
		}
		select {
		case <-time.After(time.Duration(seconds) * time.Second):
		case <-v.ctx.Done():
			return 0, nil, 0, v.ctx.Err()
		}
	}
}

func (v *visitor) read(path string, into any) error {
	status, body, _, err := v.get(api.Prefix + path)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: %d %s", path, status, body)
	}
	return schemas.ReadKnown(body, into)
}

var fingerprints = regexp.MustCompile(`[0-9a-f]{64}`)

// slow is how long a page may take in all before it is asked for less often.
const slow = 20 * time.Second

// measure asks for a path and notes the times. What cannot be read of all tenants is left out.
func (v *visitor) measure(r *report, tenant, path string, requests int) error {
	asked := path
	u, err := url.Parse(path)
	if err != nil {
		return err
	}
	if tenant != "" && strings.HasPrefix(path, api.Prefix) {
		q := u.Query()
		q.Set("tenant", tenant)
		u.RawQuery = q.Encode()
		asked = u.String()
	}
	f := figure{tenant: tenant, path: fingerprints.ReplaceAllString(path, "{fingerprint}")}
	for began := time.Now(); len(f.times) < requests && time.Since(began) < slow; {
		status, body, took, err := v.get(asked)
		if err != nil {
			return fmt.Errorf("%s: %w", asked, err)
		}
		if status != http.StatusOK {
			if tenant == schemas.AllTenants {
				return nil
			}
			return fmt.Errorf("%s: %d %.200s", asked, status, body)
		}
		f.bytes = len(body)
		f.times = append(f.times, took)
	}
	slices.Sort(f.times)
	r.figures = append(r.figures, f)
	return nil
}

// unheld are the holds where there are none.
type unheld struct{}

func (unheld) Held(context.Context, string) (schemas.Holds, error) { return nil, nil }
func (unheld) Changed() <-chan struct{}                            { return nil }

// keeper is retention, as of another time.
func (s *system) keeper(now func() time.Time) *retention.Keeper {
	offsets := connect.NewOffsets(consumers.Kafka(s.client), consumers.NewSettler(consumers.SettlerOptions{
		Brokers: consumers.Kafka(s.client), Decisions: pipeline.Incarnations{Store: s.bucket}, Name: "scale",
	}))
	return retention.New(retention.Options{
		History: s.ledger, Account: s.warehouse, Log: offsets, Objects: s.bucket, Publisher: s.publisher, Holds: unheld{},
		Artifacts: pipeline.New(pipeline.Options{Store: s.bucket, Now: now}),
		Lifetime:  func(string) time.Duration { return 30 * 24 * time.Hour }, Grace: 24 * time.Hour,
		Name: "scale", Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler), Now: now,
	})
}

// passes measures the two of retention, when nothing is due.
func (s *system) passes(ctx context.Context, r *report) error {
	keeper := s.keeper(time.Now)
	for _, pass := range []struct {
		name string
		do   func(context.Context) (retention.Report, error)
	}{{"expiry", keeper.Expire}, {"sweep", keeper.Sweep}} {
		began := time.Now()
		done, err := pass.do(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", pass.name, err)
		}
		if done != (retention.Report{}) {
			return fmt.Errorf("%s: nothing is due, and it did %+v", pass.name, done)
		}
		r.passes = append(r.passes, taken{pass.name, time.Since(began)})
	}
	return nil
}
