package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"cdds/ops/config"
	"cdds/ops/stack"
	"cdds/pipeline"
	"cdds/schemas"
)

// TestAQuotaIsTheSameForTwoReplicasAndWhoeverPublishes has two web processes and a worker.
// Ingest does not run at first, so that exports stay open.
func TestAQuotaIsTheSameForTwoReplicasAndWhoeverPublishes(t *testing.T) {
	t.Parallel()
	a := newSiteOf(t, []string{"export", "history", "web"}, func(c *config.Config) {
		c.Export.QuotaExportsByTenant = map[string]int{"acme": 2}
		c.Export.QuotaBytesByTenant = map[string]config.Bytes{"globex": 1}
	})
	b := a.replica()
	onA := a.as("administrator", "acme")
	onB := onA.through(b)
	pem, err := os.ReadFile(a.cert)
	check(t, err)
	var c schemas.Certificate
	onA.into(&c, 201, "POST", "/certificates", pem)
	a.publish(of("eve", 1), interaction("globex", 2))
	decisions := pipeline.Decisions{Store: a.bucket}
	open := func(n int) {
		t.Helper()
		a.eventually(func() bool {
			found, err := decisions.OpenOf(t.Context(), "acme", "")
			return err == nil && found == n
		})
	}
	onA.must(202, "POST", "/exports", exportBody(c.Fingerprint, "e1"))
	open(1)
	onB.must(202, "POST", "/exports", exportBody(c.Fingerprint, "e2"))
	open(2)
	for name, at := range map[string]*caller{"A": onA, "B": onB} {
		status, header, body := at.send("POST", "/exports", exportBody(c.Fingerprint, "e3"))
		if status != http.StatusTooManyRequests || header.Get("Retry-After") != "30" || !strings.Contains(string(body), "2 exports that did not end, and may have 2 at once") {
			t.Errorf("replica %s answers a third with %d, Retry-After %q: %s", name, status, header.Get("Retry-After"), body)
		}
		if policy, left := strings.Join(header.Values("RateLimit-Policy"), ", "), strings.Join(header.Values("RateLimit"), ", "); !strings.Contains(policy, `"exports";q=2`) || !strings.Contains(policy, `"requests";q=`) || !strings.Contains(left, `"exports";r=0`) {
			t.Errorf("replica %s says %s and %s", name, policy, left)
		}
		at.must(202, "POST", "/exports", exportBody(c.Fingerprint, "e1")) // which was accepted
	}
	var job schemas.Job
	onB.into(&job, 201, "POST", "/jobs", jobBody("nightly", c.Fingerprint))
	onA.must(429, "POST", "/jobs/nightly/run", nil)
	a.publish(&schemas.ExportRequest{ // past the API
		TenantID: "acme", ExportID: "e4", Entity: schemas.EntityInteraction, Recipients: []schemas.Recipient{{Fingerprint: c.Fingerprint}},
		From: schemas.TimeOf(time.Unix(0, 0)), To: schemas.TimeOf(time.Now()),
	})
	var e schemas.Export
	a.eventually(func() bool {
		status, _, body := onB.send("GET", "/exports/e4", nil)
		return status == 200 && json.Unmarshal(body, &e) == nil && e.State == schemas.Refused
	})
	if !strings.Contains(e.Reason, "quota: the tenant has 2 exports") {
		t.Errorf("what was published past the API was refused because %s", e.Reason)
	}
	onB.must(202, "POST", "/exports/e1/cancel", nil)
	open(1)
	if _, header, _ := onA.send("POST", "/exports", exportBody(c.Fingerprint, "e3")); !strings.Contains(strings.Join(header.Values("RateLimit"), ", "), `"exports";r=`) || header.Get("Location") == "" {
		t.Errorf("once one was cancelled: %v", header)
	}
	answer, err := http.Get(a.metrics + "/metrics") //nolint:noctx // a scrape in a test
	check(t, err)
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	check(t, err)
	if !strings.Contains(string(page), `cdds_tenant_quota_refused_total{quota="exports",tenant="acme"}`) {
		t.Error("no metric counts what the quota refused")
	}

	a.run("ingest")
	globex := a.as("administrator", "globex")
	globex.into(&c, 201, "POST", "/certificates", pem)
	globex.must(202, "POST", "/exports", exportBody(c.Fingerprint, "g1"))
	a.eventually(func() bool {
		return json.Unmarshal(globex.must(200, "GET", "/exports/g1", nil), &e) == nil && e.State == schemas.Completed
	})
	status, header, body := globex.through(b).send("POST", "/exports", exportBody(c.Fingerprint, "g2"))
	after, err := strconv.Atoi(header.Get("Retry-After"))
	if status != http.StatusTooManyRequests || err != nil || after < 1 || after > 24*60*60 || !strings.Contains(string(body), "the limit is 1 B a day") {
		t.Errorf("after its bytes of today the tenant reads %d, Retry-After %q: %s", status, header.Get("Retry-After"), body)
	}
}

func TestACancelActsWhileClickHouseIsFrozenAndBytesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.config.Export.QuotaBytes = 1 << 30
	w.run("ingest", "export")
	decisions := pipeline.Decisions{Store: w.bucket}
	awaitEnd := func(id string, want schemas.State) {
		t.Helper()
		w.eventually(func() bool {
			state, err := decisions.Ended(t.Context(), "acme", id)
			return err == nil && state == want
		})
	}
	w.publish(interaction("acme", 1), w.request("acme", "before"))
	awaitEnd("before", schemas.Completed)
	resume := w.pause(stack.ClickHouse)
	w.publish(w.request("acme", "e1"))
	w.publish(&schemas.ExportRequest{Action: schemas.ActionCancel, TenantID: "acme", ExportID: "e1"})
	awaitEnd("e1", schemas.Cancelled)
	resume()
}
