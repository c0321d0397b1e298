package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"cdds/ops/api"
	"cdds/ops/config"
	"cdds/schemas"
)

// TestThePagesOfWhatWentWrongInABrowser shows the pages that an administrator opens when
// something went wrong: webhooks that fail, records that could not be read, an erasure that
// found nothing, a chain with its removals. Each is looked at as inspect does.
func TestThePagesOfWhatWentWrongInABrowser(t *testing.T) {
	t.Parallel()
	b := openBrowser(t, "")
	s := newSiteOf(t, []string{"ingest", "export", "history", "erasure", "web", "webhooks"}, func(c *config.Config) {
		c.Webhooks.AllowPrivate, c.Webhooks.FirstRetry, c.Webhooks.Timeout, c.Hold.TwoPeople = true, 10*time.Millisecond, 5*time.Second, true
	})
	b.url = s.url
	var answer atomic.Int64
	answer.Store(204)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(answer.Load())) }))
	defer receiver.Close()

	acme := s.as("administrator", "acme")
	for n := range 20 {
		s.publish(interaction("acme", n))
	}
	pem, err := os.ReadFile(s.cert)
	check(t, err)
	var c schemas.Certificate
	acme.into(&c, 201, "POST", "/certificates?name=Archive%20team", pem)
	chain := jobBody("chain", c.Fingerprint)
	chain["title"], chain["timeframe"] = "Nightly copy for the archive", map[string]any{"kind": "since_last_run"}
	chain["webhook"] = map[string]any{"url": receiver.URL + "/hooks/cdds/acme/archive-of-interactions/production", "secret_version": 1}
	acme.must(201, "POST", "/jobs", chain)
	run := func() (e schemas.Export) {
		acme.into(&e, 202, "POST", "/jobs/chain/run", nil)
		return s.await("acme", e.ExportID)
	}
	run()
	forgotten := interaction("acme", 3)
	acme.must(202, "POST", "/erasures", map[string]any{"erasure_id": "case-4711", "interaction_id": forgotten.InteractionID})
	acme.must(202, "POST", "/erasures", map[string]any{"erasure_id": "case-4712", "contact_id": "nobody of that name"})
	s.awaitErasure("acme", "case-4711")
	s.awaitErasure("acme", "case-4712")
	answer.Store(410)
	second := run()
	acme.must(202, "POST", "/jobs/chain/webhook-test", nil)
	var deliveries api.Listing[schemas.WebhookDelivery]
	s.eventually(func() bool {
		acme.into(&deliveries, 200, "GET", "/deliveries?job=chain", nil)
		ended := 0
		for _, d := range deliveries.Items {
			if d.Outcome == schemas.DeliveryDone || d.Outcome == schemas.DeliveryGivenUp {
				ended++
			}
		}
		return ended == 3
	})
	for _, body := range []map[string]any{
		{"hold_id": "smith", "name": "Smith v. Acme", "reason": "Counsel, 1 November", "contacts": []string{"anna@example.com", "bob@example.com"}, "exports": []string{second.ExportID}},
		{"hold_id": "audit", "name": "Audit of the year 2025 by the regulator, second request", "reason": "Letter of the regulator of 3 October, our reference 2025/4711-b", "from": "2025-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
	} {
		acme.must(201, "POST", "/holds", body)
	}

	// Dead letters: one that can be read again, one that was published again, and two that
	// cannot be read.
	value, err := schemas.Encode(interaction("acme", 21))
	check(t, err)
	readable := s.letter(schemas.TopicInteractions, []byte("i-21"), value, 3, nil)
	again, err := schemas.Encode(interaction("acme", 22))
	check(t, err)
	published := s.letter(schemas.TopicInteractions, []byte("i-22"), again, 3, nil)
	unreadable := s.letter(schemas.TopicInteractions, []byte("i-23"), []byte(`{"interaction_id": "`+strings.Repeat("long", 400)), 3, map[string]string{schemas.HeaderPublishedAgain: "2", schemas.HeaderLetter: "cdds.interactions/3/77"})
	s.produce(schemas.TopicContacts, []byte("k\x00"), []byte(`{"contact_id": "<b>"`+"\xff"))

	b.open("/")
	b.do(chromedp.SendKeys("#name", "admin"), chromedp.SendKeys("#password", s.password))
	b.submit("form button.main", "header nav")
	letter := func(partition int32, offset int64) string {
		return fmt.Sprintf("/letters/cdds.interactions/%d/%d", partition, offset)
	}
	b.open(letter(published.Partition, published.Offset))
	b.submit("form .actions button.main", ".said")
	event := func(d schemas.WebhookDelivery) string {
		return "/webhooks/chain/" + url.PathEscape(d.WebhookID)
	}
	for _, d := range deliveries.Items {
		switch {
		case d.Event == schemas.WebhookTest && d.Attempt > 0:
			b.open(event(d))
			b.inspect("event-test-failed")
		case d.Outcome == schemas.DeliveryDone:
			b.open(event(d))
			b.inspect("event-delivered")
		case d.Outcome == schemas.DeliveryGivenUp:
			b.open(event(d))
			b.inspect("event-given-up")
			answer.Store(204)
			b.submit(`form[action$="/redeliver"] button`, ".said")
			b.do(chromedp.WaitVisible(".big .badge.s-delivered"))
			b.inspect("event-delivered-again")
		}
	}
	for name, path := range map[string]string{
		"webhooks-full": "/webhooks", "webhooks-filtered": "/webhooks?outcome=retrying", "job-chain": "/jobs/chain", "export-chain": "/history/" + second.ExportID,
		"letters-full": "/letters", "letters-filtered": "/letters?topic=cdds.contacts", "letter-readable": letter(readable.Partition, readable.Offset), "letter-published": letter(published.Partition, published.Offset),
		"letter-unreadable": letter(unreadable.Partition, unreadable.Offset), "account-full": "/account", "write-off-nothing": "/account/write-off?topic=cdds.interactions", "health-broken": "/health",
		"privacy-full": "/privacy", "holds-full": "/privacy/holds", "hold-range": "/privacy/holds/audit", "erasure-done": "/privacy/erasures/case-4711", "erasure-nothing": "/privacy/erasures/case-4712", "tenants": "/tenants", "tenants-new": "/tenants?q=acme-new",
	} {
		b.open(path)
		b.inspect(name)
		if name == "health-broken" && strings.Contains(b.text("main"), "role ") {
			t.Errorf("the page of health shows the name of a check: %s", b.text("main"))
		}
	}
}
