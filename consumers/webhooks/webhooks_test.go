package webhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"cdds/consumers/webhooks"
	"cdds/schemas"
)

var secret = []byte(strings.Repeat("s", 32))

func at(s string) schemas.Time {
	t, err := schemas.ParseTime(s)
	if err != nil {
		panic(err)
	}
	return t
}

// world is jobs and a log of deliveries in memory.
type world struct {
	mu   sync.Mutex
	jobs map[string]schemas.Job
	made []schemas.WebhookDelivery
	told func() // called after a delivery is kept
}

func (w *world) Sync(context.Context) error { return nil }

func (w *world) Job(tenantID, jobID string) (schemas.Job, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j, ok := w.jobs[tenantID+"/"+jobID]
	return j, ok
}

func (w *world) Deliveries(_ context.Context, _, _, webhookID string, _ int) ([]schemas.WebhookDelivery, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.made), func(d schemas.WebhookDelivery) bool { return d.WebhookID != webhookID }), nil
}

func (w *world) Publish(_ context.Context, events ...schemas.Event) error {
	w.mu.Lock()
	for _, e := range events {
		if err := e.Validate(); err != nil {
			w.mu.Unlock()
			return err
		}
		w.made = append(w.made, *e.(*schemas.WebhookDelivery))
	}
	w.mu.Unlock()
	if w.told != nil {
		w.told()
	}
	return nil
}

func (w *world) outcomes() (all []string) {
	for _, d := range w.made {
		all = append(all, d.Outcome)
	}
	return all
}

func newWorld(url string) *world {
	j := schemas.Job{TenantID: "acme", JobID: "nightly", State: schemas.JobActive, Webhook: &schemas.Webhook{URL: url, SecretVersion: 1}}
	return &world{jobs: map[string]schemas.Job{"acme/nightly": j}}
}

func handler(t *testing.T, w *world, change ...func(*webhooks.Options)) *webhooks.Handler {
	t.Helper()
	o := webhooks.Options{
		Definitions: w, Deliveries: w, Publisher: w, Secret: secret, AllowPrivate: true, FirstRetry: time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, c := range change {
		c(&o)
	}
	h, err := webhooks.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func batch(statuses ...*schemas.ExportStatus) (b schemas.Batch[*schemas.ExportStatus]) {
	for _, s := range statuses {
		b.Records = append(b.Records, schemas.Record[*schemas.ExportStatus]{Event: s})
	}
	return b
}

func completed() *schemas.ExportStatus {
	return &schemas.ExportStatus{
		TenantID: "acme", ExportID: "nightly-20261005T003000Z", JobID: "nightly", EventID: "completed", State: schemas.Completed,
		Time: at("2026-10-05T00:31:00Z"), Completion: &schemas.Completion{Totals: schemas.Totals{Parts: 1, Rows: 3}, ExpiresAt: at("2026-11-04T00:31:00Z")},
	}
}

// received is what a receiver got, verified by the receivers' own library.
type received struct {
	id   string
	raw  []byte
	body map[string]any
}

// receiver verifies what it gets and answers with the next of codes, then with the last.
func receiver(t *testing.T, codes ...int) (*httptest.Server, chan received) {
	t.Helper()
	text, err := webhooks.Secret(secret, "acme", "nightly", 1)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := standardwebhooks.NewWebhook(text)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan received, 100)
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		if err := verifier.Verify(content, r.Header); err != nil {
			t.Error("the signature:", err)
		}
		x := received{id: r.Header.Get("webhook-id"), raw: content}
		if err := json.Unmarshal(content, &x.body); err != nil {
			t.Error(err)
		}
		got <- x
		mu.Lock()
		defer mu.Unlock()
		if codes[0] == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(codes[0])
		if len(codes) > 1 {
			codes = codes[1:]
		}
	}))
	t.Cleanup(server.Close)
	return server, got
}

func TestReceiverVerifiesWhatItIsToldAndIsToldAgainAfter500(t *testing.T) {
	server, got := receiver(t, 500, 503, 204)
	w := newWorld(server.URL + "/hook?token=hidden")
	if err := handler(t, w).Handle(t.Context(), batch(completed())); err != nil {
		t.Fatal(err)
	}
	if want := []string{"retrying", "retrying", "delivered"}; !slices.Equal(w.outcomes(), want) {
		t.Fatalf("outcomes %v, want %v", w.outcomes(), want)
	}
	first, second := <-got, <-got
	if first.id == "" || first.id != second.id || first.body["type"] != "export.completed" {
		t.Errorf("told %+v, then %+v", first, second)
	}
	if data := first.body["data"].(map[string]any); data["export_id"] != "nightly-20261005T003000Z" || data["totals"].(map[string]any)["rows"] != 3.0 {
		t.Errorf("data: %v", data)
	}
	if last := w.made[2]; last.Attempt != 3 || last.StatusCode != 204 || strings.Contains(last.URL, "hidden") || w.made[0].NextAt.IsZero() {
		t.Errorf("deliveries: %+v", w.made)
	}
	// Another worker reads it again: the webhook is not sent twice.
	if err := handler(t, w).Handle(t.Context(), batch(completed())); err != nil || len(got) != 1 {
		t.Errorf("told %d times more, %v", len(got)-1, err)
	}
}

func TestEveryEndOfARunIsToldAndNothingElse(t *testing.T) {
	for _, state := range schemas.States() {
		server, got := receiver(t, 204)
		s := completed()
		s.State, s.EventID, s.Completion = state, string(state), nil
		if err := handler(t, newWorld(server.URL)).Handle(t.Context(), batch(s)); err != nil {
			t.Fatal(err)
		}
		ends := slices.Contains([]schemas.State{schemas.Completed, schemas.Failed, schemas.Cancelled, schemas.Refused}, state)
		if told := len(got) == 1; told != ends {
			t.Errorf("%s: told is %v, want %v", state, told, ends)
			continue
		}
		if !ends {
			continue
		}
		if x := <-got; x.body["type"] != "export."+string(state) {
			t.Errorf("%s is reported as %v", state, x.body["type"])
		}
	}
}

func TestATargetThatFailsForEverEnds(t *testing.T) {
	server, got := receiver(t, 500)
	w := newWorld(server.URL)
	h := handler(t, w, func(o *webhooks.Options) { o.GiveUpAfter = 30 * time.Millisecond })
	if err := h.Handle(t.Context(), batch(completed())); err != nil {
		t.Fatal(err)
	}
	outcomes := w.outcomes()
	if n := len(outcomes); n < 2 || outcomes[n-1] != schemas.DeliveryGivenUp || len(got) != n || !strings.Contains(w.made[n-1].Reason, "tried long enough") {
		t.Errorf("%d requests, outcomes %v, %+v", len(got), outcomes, w.made[n-1])
	}
}

func TestAWorkerThatTakesOverGoesOnWithTheNextAttempt(t *testing.T) {
	server, _ := receiver(t, 500, 200)
	w := newWorld(server.URL)
	ctx, cancel := context.WithCancel(t.Context())
	w.told = cancel // the first worker dies after its first attempt
	h := handler(t, w, func(o *webhooks.Options) { o.FirstRetry = 50 * time.Millisecond })
	if err := h.Handle(ctx, batch(completed())); !errors.Is(err, context.Canceled) {
		t.Fatalf("the first worker: %v", err)
	}
	w.told = nil
	if err := handler(t, w).Handle(t.Context(), batch(completed())); err != nil {
		t.Fatal(err)
	}
	if last := w.made[len(w.made)-1]; len(w.made) != 2 || last.Attempt != 2 || last.Outcome != schemas.DeliveryDone || last.Time.Before(w.made[0].NextAt.Time) {
		t.Errorf("deliveries: %+v", w.made)
	}
}

func TestRedirectsAreNotFollowedAnd410Ends(t *testing.T) {
	server, got := receiver(t, 302, 410)
	w := newWorld(server.URL)
	if err := handler(t, w).Handle(t.Context(), batch(completed())); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !slices.Equal(w.outcomes(), []string{"retrying", "given_up"}) || w.made[0].StatusCode != 302 {
		t.Errorf("%d requests, %+v", len(got), w.made)
	}
}

func TestNothingInsideIsReachedAndNothingInTheClear(t *testing.T) {
	server, got := receiver(t, 200)
	inside := httptest.NewTLSServer(server.Config.Handler)
	defer inside.Close()
	for url, want := range map[string]string{
		server.URL: "must be https",
		inside.URL: "not a public one",
		strings.Replace(inside.URL, "127.0.0.1", "localhost", 1):                          "not a public one",
		"https://[::ffff:127.0.0.1]:" + inside.URL[strings.LastIndex(inside.URL, ":")+1:]: "not a public one",
	} {
		w := newWorld(url)
		if err := handler(t, w, func(o *webhooks.Options) { o.AllowPrivate = false }).Handle(t.Context(), batch(completed())); err != nil {
			t.Fatal(err)
		}
		if len(w.made) != 1 || w.made[0].Outcome != schemas.DeliveryGivenUp || !strings.Contains(w.made[0].Reason, want) {
			t.Errorf("%s: %+v", url, w.made)
		}
	}
	if len(got) != 0 {
		t.Errorf("%d requests arrived", len(got))
	}
}

func TestOnlyEndsOfRunsWithAWebhookAreTold(t *testing.T) {
	server, got := receiver(t, 200)
	w := newWorld(server.URL)
	running, adhoc, unknown := completed(), completed(), completed()
	running.State, adhoc.JobID, unknown.JobID = schemas.Running, "", "gone"
	if err := handler(t, w).Handle(t.Context(), batch(running, adhoc, unknown)); err != nil || len(got) != 0 || len(w.made) != 0 {
		t.Errorf("told %d times, %+v, %v", len(got), w.made, err)
	}
	failed := completed()
	failed.State, failed.Completion, failed.EventID = schemas.Failed, nil, "failed"
	failed.Failure = &schemas.Failure{Stage: "part", Reason: "10.0.0.7 does not answer", Retryable: true}
	if err := handler(t, w).Handle(t.Context(), batch(failed)); err != nil {
		t.Fatal(err)
	}
	x := <-got
	if text, _ := json.Marshal(x.body); x.body["type"] != "export.failed" || strings.Contains(string(text), "10.0.0.7") || !strings.Contains(string(text), `"stage":"part"`) {
		t.Errorf("told %v", x.body)
	}
}

func TestATenantWhoseReceiverIsDownWaitsBounded(t *testing.T) {
	server, _ := receiver(t, 500)
	w := newWorld(server.URL)
	h := handler(t, w, func(o *webhooks.Options) { o.MaxWaiting, o.FirstRetry = 4, time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan struct{}, 10)
	w.told = func() { kept <- struct{}{} }
	done := make(chan error, 1)
	go func() { done <- h.Handle(ctx, batch(completed())) }()
	<-kept // one waits, which is a quarter of four
	other := completed()
	other.ExportID = "another"
	if err := h.Handle(t.Context(), batch(other)); err != nil {
		t.Fatal(err)
	}
	if last := w.made[len(w.made)-1]; last.Outcome != schemas.DeliveryGivenUp || !strings.Contains(last.Reason, "too many") {
		t.Errorf("the second: %+v", last)
	}
	cancel()
	<-done
}

func TestSecretsDifferByTenantJobAndVersion(t *testing.T) {
	seen := map[string]bool{}
	for _, of := range []struct {
		tenant, job string
		version     int
	}{{"acme", "nightly", 1}, {"acme", "nightly", 2}, {"acme", "weekly", 1}, {"globex", "nightly", 1}} {
		s, err := webhooks.Secret(secret, of.tenant, of.job, of.version)
		if err != nil || seen[s] || !strings.HasPrefix(s, "whsec_") {
			t.Errorf("%+v: %q, %v", of, s, err)
		}
		seen[s] = true
	}
}
