package app_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"cdds/ops/api"
	"cdds/ops/config"
	"cdds/schemas"
)

// TestAWebhookIsTestedAndAnEventDeliveredAgainThroughAnyReplica has two web processes and a
// receiver that fails as receivers do.
func TestAWebhookIsTestedAndAnEventDeliveredAgainThroughAnyReplica(t *testing.T) {
	t.Parallel()
	a := newSiteOf(t, []string{"web", "history", "webhooks"}, func(c *config.Config) {
		c.Webhooks.AllowPrivate, c.Webhooks.FirstRetry, c.Webhooks.Timeout = true, 10*time.Millisecond, 300*time.Millisecond
	})
	b := a.replica()
	onA := a.as("administrator", "acme")
	onB := onA.through(b)
	viewer, alien := a.as("viewer", "acme"), a.as("administrator", "globex")
	pem, err := os.ReadFile(a.cert)
	check(t, err)
	var c schemas.Certificate
	onA.into(&c, 201, "POST", "/certificates", pem)

	type message struct {
		id   string
		body string
	}
	var mu sync.Mutex
	var got []message
	var verifier *standardwebhooks.Webhook
	answer := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		mu.Lock()
		if err := verifier.Verify(content, r.Header); err != nil {
			t.Error(err)
		}
		got = append(got, message{r.Header.Get("webhook-id"), string(content)})
		how := answer
		mu.Unlock()
		how(w, r)
	}))
	defer receiver.Close()
	now := func(how func(http.ResponseWriter, *http.Request)) {
		mu.Lock()
		defer mu.Unlock()
		answer, got = how, nil
	}
	received := func() []message {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got)
	}
	body := jobBody("hooked", c.Fingerprint)
	onA.must(201, "POST", "/jobs", body)
	onA.must(409, "POST", "/jobs/hooked/webhook-test", nil) // it has no webhook
	delete(body, "job_id")
	body["revision"], body["webhook"] = 1, map[string]any{"url": receiver.URL + "/hook?token=hidden", "secret_version": 1}
	onA.must(200, "PUT", "/jobs/hooked", body)
	var secret api.WebhookSecret
	onB.into(&secret, 200, "GET", "/jobs/hooked/webhook-secret", nil)
	verifier, err = standardwebhooks.NewWebhook(secret.Secret)
	check(t, err)
	a.secrets = append(a.secrets, secret.Secret)

	// attempts are those of a delivery once its outcome is known, the latest first.
	attempts := func(of schemas.WebhookDelivery) (made []schemas.WebhookDelivery) {
		t.Helper()
		a.eventually(func() bool {
			var page api.Listing[schemas.WebhookDelivery]
			onB.into(&page, 200, "GET", "/deliveries?job=hooked&webhook="+of.WebhookID, nil)
			made = slices.DeleteFunc(page.Items, func(d schemas.WebhookDelivery) bool {
				return d.Redelivery != of.Redelivery || d.Outcome == schemas.DeliveryRequested
			})
			return len(made) > 0 && made[0].Outcome != schemas.DeliveryRetrying
		})
		return made
	}
	request := func(from *caller, path string) (d schemas.WebhookDelivery) {
		t.Helper()
		from.into(&d, 202, "POST", path, nil)
		return d
	}
	test := func() schemas.WebhookDelivery { return request(onB, "/jobs/hooked/webhook-test") }

	hang := make(chan struct{})
	defer close(hang)
	for _, of := range []struct {
		name    string
		how     func(http.ResponseWriter, *http.Request)
		outcome string
		status  int
	}{
		{"works", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, schemas.DeliveryDone, 204},
		{"fails", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, schemas.DeliveryGivenUp, 500},
		{"is gone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }, schemas.DeliveryGivenUp, 410},
		{"redirects", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, schemas.DeliveryGivenUp, 302},
		{"hangs", func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}, schemas.DeliveryGivenUp, 0},
		{"is slow", func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(50 * time.Millisecond) // what a slow receiver does
			w.WriteHeader(200)
		}, schemas.DeliveryDone, 200},
	} {
		now(of.how)
		made := attempts(test())
		if len(made) != 1 || made[0].Outcome != of.outcome || made[0].StatusCode != of.status || made[0].Event != schemas.WebhookTest || strings.Contains(made[0].URL, "hidden") || len(received()) != 1 {
			t.Errorf("a receiver that %s: %+v, and got %+v", of.name, made, received())
		}
	}

	// The receiver is gone for good, and then repaired.
	now(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) })
	a.publish(&schemas.ExportStatus{
		TenantID: "acme", ExportID: "e1", JobID: "hooked", EventID: "failed-1", State: schemas.Failed, Time: schemas.TimeOf(time.Now()), Attempt: 1,
		Failure: &schemas.Failure{Stage: "part", Reason: "disk full", Retryable: true},
	})
	var first schemas.WebhookDelivery
	a.eventually(func() bool {
		var page api.Listing[schemas.WebhookDelivery]
		onB.into(&page, 200, "GET", "/deliveries?job=hooked&export=e1", nil)
		if len(page.Items) == 1 {
			first = page.Items[0]
		}
		return len(page.Items) == 1
	})
	before := received()
	path := "/jobs/hooked/deliveries/" + first.WebhookID + "/redeliver"
	viewer.must(403, "POST", path, nil)
	alien.must(404, "POST", path, nil)
	onA.must(404, "POST", "/jobs/hooked/deliveries/evt_unknown/redeliver", nil)
	slow := make(chan struct{})
	now(func(w http.ResponseWriter, _ *http.Request) { <-slow; w.WriteHeader(204) })
	one, other := request(onA, path), request(onB, path) // two administrators, two replicas
	close(slow)
	made := attempts(one)
	if one.Redelivery != 1 || other.Redelivery != 1 || made[0].Outcome != schemas.DeliveryDone || made[0].RequestedBy == "" {
		t.Errorf("requested %+v and %+v, delivered %+v", one, other, made)
	}
	if again := received(); len(again) != 1 || len(before) != 1 || again[0] != before[0] {
		t.Errorf("received %+v first, and then %+v", before, again)
	}
	if next := request(onB, path); next.Redelivery != 2 {
		t.Errorf("after it was delivered the next redelivery is %+v", next)
	}
	if testOne := test(); testOne.WebhookID != "" {
		attempts(testOne)
		onA.must(409, "POST", "/jobs/hooked/deliveries/"+testOne.WebhookID+"/redeliver", nil)
	}
	for _, action := range []string{"webhook.test done", "webhook.redeliver done", "webhook.redeliver refused"} {
		if trail := strings.Join(a.trail(onA, "hooked", "webhook.redeliver refused from 127.0.0.1"), "\n"); !strings.Contains(trail, action) {
			t.Errorf("the audit trail has no %q:\n%s", action, trail)
		}
	}
}
