package webhooks_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cdds/consumers/webhooks"
	"cdds/schemas"
)

func requestedAt(at schemas.Time, d schemas.WebhookDelivery) schemas.Batch[*schemas.WebhookDelivery] {
	d.Outcome, d.Attempt, d.Time, d.RequestedBy = schemas.DeliveryRequested, 0, at, "ada"
	d.StatusCode, d.Milliseconds, d.Reason, d.NextAt = 0, 0, "", schemas.Time{}
	return schemas.Batch[*schemas.WebhookDelivery]{Records: []schemas.Record[*schemas.WebhookDelivery]{{Event: &d}}}
}

func aTest() schemas.WebhookDelivery {
	now := schemas.TimeOf(time.Now())
	return schemas.WebhookDelivery{TenantID: "acme", JobID: "nightly", WebhookID: "evt_test", Event: schemas.WebhookTest, Fact: &schemas.WebhookFact{Time: now}}
}

func TestATestIsAttemptedOnceWhateverTheReceiverDoes(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	for name, of := range map[string]struct {
		answer  http.HandlerFunc
		outcome string
		status  int
		reason  string
	}{
		"it answers 204":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, schemas.DeliveryDone, 204, ""},
		"it fails":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, schemas.DeliveryGivenUp, 500, "the receiver answered 500"},
		"it wants no more": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }, schemas.DeliveryGivenUp, 410, "the receiver answered 410"},
		"it redirects": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(302)
		}, schemas.DeliveryGivenUp, 302, "redirects are not followed"},
		"it hangs": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}, schemas.DeliveryGivenUp, 0, "Client.Timeout"},
		"its answer never ends": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}, schemas.DeliveryDone, 200, ""},
		"it hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, schemas.DeliveryGivenUp, 0, "EOF"},
	} {
		var calls int
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls++
			content, _ := io.ReadAll(r.Body)
			if text := string(content); !strings.Contains(text, `"type":"webhook.test"`) || strings.Contains(text, "export_id") || r.URL.Path != "/hook" {
				t.Errorf("%s: %s is sent to %s", name, text, r.URL)
			}
			of.answer(w, r)
		}))
		w := newWorld(server.URL + "/hook")
		h := webhooks.Requests{Handler: handler(t, w, func(o *webhooks.Options) { o.Timeout = 100 * time.Millisecond })}
		d := aTest()
		if err := h.Handle(t.Context(), requestedAt(d.Fact.Time, d)); err != nil {
			t.Fatal(err)
		}
		if len(w.made) != 1 || calls != 1 {
			t.Errorf("%s: %d calls, %+v", name, calls, w.made)
			continue
		}
		if got := w.made[0]; got.Outcome != of.outcome || got.StatusCode != of.status || !strings.Contains(got.Reason, of.reason) || got.Attempt != 1 || got.RequestedBy != "ada" || !got.NextAt.IsZero() {
			t.Errorf("%s: %+v", name, got)
		}
		server.CloseClientConnections()
	}
}

func TestARedeliverySendsTheSameMessageUnderTheSameIDAndIsRetried(t *testing.T) {
	server, got := receiver(t, 410, 500, 204)
	w := newWorld(server.URL)
	h := webhooks.Requests{Handler: handler(t, w)}
	if err := h.Handler.Handle(t.Context(), batch(completed())); err != nil {
		t.Fatal(err)
	}
	again := w.made[0]
	again.Redelivery = 1
	request := requestedAt(schemas.TimeOf(time.Now()), again)
	for range 2 { // the request is read twice
		if err := h.Handle(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"given_up", "retrying", "delivered"}; !slices.Equal(w.outcomes(), want) {
		t.Fatalf("outcomes %v, want %v", w.outcomes(), want)
	}
	first, second, third := <-got, <-got, <-got
	if second.id != first.id || third.id != first.id || !bytes.Equal(second.raw, first.raw) || !bytes.Equal(third.raw, first.raw) {
		t.Errorf("sent %+v, then %+v, then %+v", first, second, third)
	}
	if last := w.made[2]; last.Redelivery != 1 || last.Attempt != 2 || last.RequestedBy != "ada" {
		t.Errorf("the last attempt is %+v", last)
	}
	// The end of the run, read again, is not delivered a third time.
	if err := h.Handler.Handle(t.Context(), batch(completed())); err != nil || len(got) != 0 {
		t.Errorf("sent %d times more, %v", len(got), err)
	}
}

func TestARedeliveryEndsTheRetriesBeforeIt(t *testing.T) {
	server, got := receiver(t, 500, 204)
	w := newWorld(server.URL)
	kept := make(chan struct{}, 10)
	w.told = func() { kept <- struct{}{} }
	h := webhooks.Requests{Handler: handler(t, w, func(o *webhooks.Options) { o.FirstRetry = 200 * time.Millisecond })}
	done := make(chan error, 1)
	go func() { done <- h.Handler.Handle(t.Context(), batch(completed())) }()
	<-kept // the first attempt failed, and the next one waits
	again := w.made[0]
	again.Redelivery = 1
	if err := h.Handle(t.Context(), requestedAt(schemas.TimeOf(time.Now()), again)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || len(got) != 2 || !slices.Equal(w.outcomes(), []string{"retrying", "delivered"}) {
		t.Errorf("%d requests, %v, %v", len(got), w.outcomes(), err)
	}
}

func TestTwoRequestsOfOneNumberAreOneDelivery(t *testing.T) {
	release, arrived := make(chan struct{}), make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer server.Close()
	w := newWorld(server.URL)
	h := webhooks.Requests{Handler: handler(t, w)}
	again := schemas.WebhookDelivery{TenantID: "acme", JobID: "nightly", ExportID: "e1", WebhookID: "evt_1", Event: "export.failed", Redelivery: 1, Fact: &schemas.WebhookFact{Time: at("2026-10-05T00:31:00Z"), State: schemas.Failed}}
	request := requestedAt(schemas.TimeOf(time.Now()), again)
	var group sync.WaitGroup
	group.Go(func() {
		if err := h.Handle(t.Context(), request); err != nil {
			t.Error(err)
		}
	})
	<-arrived
	if err := h.Handle(t.Context(), request); err != nil { // while the first is at work
		t.Error(err)
	}
	close(release)
	group.Wait()
	if len(arrived) != 0 || len(w.made) != 1 {
		t.Errorf("%d requests more, %+v", len(arrived), w.made)
	}
}

func TestWhatWasRequestedLongAgoIsNotSent(t *testing.T) {
	server, got := receiver(t, 200)
	w := newWorld(server.URL)
	d := aTest()
	if err := (webhooks.Requests{Handler: handler(t, w)}).Handle(t.Context(), requestedAt(schemas.TimeOf(time.Now().Add(-25*time.Hour)), d)); err != nil {
		t.Fatal(err)
	}
	if len(got) != 0 || len(w.made) != 1 || w.made[0].Outcome != schemas.DeliveryGivenUp || !strings.Contains(w.made[0].Reason, "waited too long") {
		t.Errorf("%d requests, %+v", len(got), w.made)
	}
}

func TestARequestReachesNothingInsideAndNothingOfAJobWithoutAWebhook(t *testing.T) {
	server, got := receiver(t, 200)
	w := newWorld(strings.Replace(server.URL, "http:", "https:", 1))
	d := aTest()
	strict := func(o *webhooks.Options) { o.AllowPrivate = false }
	if err := (webhooks.Requests{Handler: handler(t, w, strict)}).Handle(t.Context(), requestedAt(d.Fact.Time, d)); err != nil {
		t.Fatal(err)
	}
	d.JobID, d.WebhookID = "gone", "evt_other"
	if err := (webhooks.Requests{Handler: handler(t, w, strict)}).Handle(t.Context(), requestedAt(d.Fact.Time, d)); err != nil {
		t.Fatal(err)
	}
	if len(got) != 0 || len(w.made) != 2 || !strings.Contains(w.made[0].Reason, "not a public one") || !strings.Contains(w.made[1].Reason, "no webhook any more") {
		t.Errorf("%d requests, %+v", len(got), w.made)
	}
}
