package app_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"cdds/ops/app"
	"cdds/ops/dashboards"
	"cdds/ops/proof/pictures"
	"cdds/pipeline/smime"
	"cdds/schemas"
	"cdds/schemas/sample"
)

// empty are queries that show nothing in a run where nothing of the kind happens.
var empty = map[string]string{
	"exports: Retries and failures 0": "no step failed, and a step's series begins with its first retry",
	"artifacts: Kafka errors 0":       "no connection failed, and a client's series begins with its first error",
	"artifacts: Kafka errors 1":       "nothing could not be read, and a client's series begins with its first error",
}

// The queries are asked of a real Prometheus that scraped a real run: two tenants, both
// kinds of rows, exports that complete and one that is refused, and a dead letter.
// `make screenshots` draws what it shows.
func TestEveryPanelOfTheDashboardsShowsDataOfARealRun(t *testing.T) {
	t.Parallel()
	window, least := "5m", time.Duration(0)
	if *screenshots != "" {
		window, least = "15s", 70*time.Second
	}
	all, err := dashboards.Read()
	check(t, err)
	w := newWorld(t)
	w.config.Retention.Every = time.Second
	w.run(app.Roles()...)
	p := startPrometheus(t, w.metrics[len("http://"):], window)
	span := pictures.Span{From: time.Now()}
	for tenant, left := range map[string]time.Duration{"acme": 20 * 24 * time.Hour, "globex": 400 * 24 * time.Hour} {
		w.publish(recipient(t, tenant, left))
	}
	w.produce(schemas.TopicInteractions, nil, []byte("{"))
	w.publish(w.request("nobody", "refused"))

	waiting := map[string]string{}
	for _, d := range all {
		for _, panel := range d.Panels {
			for n, q := range panel.Queries {
				waiting[fmt.Sprintf("%s: %s %d", d.File, panel.Title, n)] = p.expr(q)
			}
		}
	}
	for query, why := range empty {
		if waiting[query] == "" {
			t.Errorf("%s is explained (%s) and does not exist", query, why)
		}
		delete(waiting, query)
	}
	pace := time.NewTicker(200 * time.Millisecond)
	defer pace.Stop()
	for round := 0; len(waiting) > 0 || time.Since(span.From) < least; round++ {
		<-pace.C
		w.work(round)
		for query, expr := range waiting {
			if len(p.query(expr)) > 0 {
				delete(waiting, query)
			}
		}
		if time.Since(span.From) > patience {
			for query, expr := range waiting {
				t.Errorf("%s shows nothing: %s", query, expr)
			}
			break
		}
	}
	span.To = time.Now()
	p.judged(t)
	if *screenshots != "" {
		draw(t, all, p, span)
	}
}

// work is what happens in a fifth of a second: rows, more of them in waves, and now and
// then an export.
func (w *world) work(round int) {
	w.t.Helper()
	now := time.Now().UTC()
	if round%100 == 50 {
		w.publish(w.request("nobody", fmt.Sprintf("refused-%d", round)))
	}
	for i, tenant := range []string{"acme", "globex"} {
		n := 20 + 15*(i+1)*((round/(40+20*i))%3)
		var events []schemas.Event
		for e := range sample.InteractionsBetween(uint64(2*round+i), n, now.Add(-time.Hour), now) {
			e.TenantID = tenant
			events = append(events, e)
		}
		for e := range sample.Contacts(uint64(2*round+i), 3+n/20) {
			e.TenantID = tenant
			events = append(events, e)
		}
		w.publish(events...)
		if round%(10+15*i) == 5 {
			r := w.request(tenant, fmt.Sprintf("export-%d", round))
			if round%20 == 15 {
				r.Entity = schemas.EntityContact
			}
			w.publish(r)
		}
	}
}

// recipient is a registered certificate of which so much is left.
func recipient(t *testing.T, tenant string, left time.Duration) *schemas.Certificate {
	t.Helper()
	text, _, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "receiver", Bits: 2048, Validity: left})
	check(t, err)
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	check(t, err)
	return schemas.NewCertificate(tenant, cert, "ada", schemas.TimeOf(time.Now()))
}

// judged checks that Prometheus evaluated every rule, and that the alerts which this run
// deserves fire and no others.
func (p *prometheusServer) judged(t *testing.T) {
	t.Helper()
	var rules struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	p.get("rules", nil, &rules)
	n := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			n++
			if r.Health != "ok" {
				t.Errorf("rule %s is %s: %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	if n < 20 {
		t.Errorf("Prometheus has only %d rules", n)
	}
	want := []string{"CDDSDeadLetters", "CDDSRecipientCertificateExpiring"}
	firing := func() (names []string) {
		var alerts struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
		p.get("alerts", nil, &alerts)
		for _, a := range alerts.Alerts {
			if a.State == "firing" {
				names = append(names, a.Labels["alertname"])
			}
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	p.until(fmt.Sprintf("%q fire and nothing else", want), func() bool { return slices.Equal(firing(), want) })
}

// draw takes a picture of every dashboard.
func draw(t *testing.T, all []dashboards.Dashboard, p *prometheusServer, span pictures.Span) {
	t.Helper()
	pages := http.NewServeMux()
	for _, d := range all {
		series := make([][]pictures.Series, len(d.Panels))
		for i, panel := range d.Panels {
			series[i] = p.lines(panel, span)
		}
		var page bytes.Buffer
		check(t, pictures.Page(&page, d, span, fmt.Sprintf("From a run of %.0f s; what is of 5 minutes elsewhere is of %s here.", span.To.Sub(span.From).Seconds(), p.window), series))
		pages.HandleFunc("GET /"+d.File, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page.Bytes()) })
	}
	server := httptest.NewServer(pages)
	defer server.Close()
	b := openBrowser(t, server.URL)
	for _, d := range all {
		b.do(chromedp.Navigate(server.URL+"/"+d.File), chromedp.WaitVisible("main", chromedp.ByQuery))
		b.inspect("dashboard-" + d.File)
	}
}
