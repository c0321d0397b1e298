package app_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers/webhooks"
	"cdds/ops/connect"
	"cdds/producers/schedule"
	"cdds/schemas"
)

// clock is one that is set by hand.
type clock struct{ ns atomic.Int64 }

func newClock(at string) *clock {
	c := new(clock)
	c.set(at)
	return c
}

func (c *clock) set(at string) {
	t, err := schemas.ParseTime(at)
	if err != nil {
		panic(err)
	}
	c.ns.Store(t.UnixNano())
}

func (c *clock) now() time.Time { return time.Unix(0, c.ns.Load()).UTC() }

// register registers the world's recipient for a tenant.
func (w *world) register(tenant, name string) *schemas.Certificate {
	w.t.Helper()
	text, err := os.ReadFile(w.cert)
	check(w.t, err)
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	check(w.t, err)
	c := schemas.NewCertificate(tenant, cert, "ada", schemas.TimeOf(time.Now()))
	c.Name = name
	check(w.t, c.Validate())
	w.publish(c)
	return c
}

// everyHour is a job of tenant acme made at a time.
func everyHour(id, at string, c *schemas.Certificate) *schemas.Job {
	made, err := schemas.ParseTime(at)
	if err != nil {
		panic(err)
	}
	return schemas.Job{
		TenantID: c.TenantID, JobID: id, Title: id, Entity: schemas.EntityInteraction, State: schemas.JobActive,
		Schedule:   schemas.Schedule{Run: schemas.RunHours, EveryHours: 1},
		Timeframe:  schemas.Timeframe{Kind: schemas.TimeframeAll},
		Recipients: []string{c.Fingerprint},
	}.Revised(nil, "ada", made)
}

// requests counts the messages on the topic of requests that ask for an export.
func (w *world) requests(id string) int {
	w.t.Helper()
	return w.requested()[id]
}

// requested counts the messages on the topic of requests by export.
func (w *world) requested() map[string]int {
	w.t.Helper()
	counts := map[string]int{}
	ends, err := w.offsets().EndOffsets(w.t.Context(), schemas.TopicExportRequests)
	check(w.t, err)
	opts, err := connect.Kafka(w.config.Kafka, "count", nil)
	check(w.t, err)
	client, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(string(schemas.TopicExportRequests)), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	check(w.t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for left := ends.Records(); left > 0; {
		fetches := client.PollFetches(ctx)
		check(w.t, ctx.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			left--
			counts[string(r.Key)]++
		})
	}
	return counts
}

func TestJobs(t *testing.T) {
	t.Parallel()
	w, whole := newWorld(t), t
	time0 := newClock("2026-10-05T10:20:00Z")
	w.now = time0.now
	w.config.Schedule.Every = 20 * time.Millisecond
	w.run("ingest", "export", "history")
	stop := []func(){w.run("schedule"), w.run("schedule")}
	recipient := w.register("acme", "Acme")
	w.load("acme", 0, 300)
	run := func(id, at string) schemas.Export {
		t.Helper()
		due, err := schemas.ParseTime(at)
		check(t, err)
		e := w.await("acme", schedule.RunID(id, due))
		if e.State != schemas.Completed {
			t.Fatalf("%s is %s: %s %+v", e.ExportID, e.State, e.Reason, e.Failure)
		}
		return e
	}
	sub := func(name string, test func(*testing.T)) {
		t.Run(name, func(inner *testing.T) {
			w.t = inner
			defer func() { w.t = whole }()
			test(inner)
		})
	}
	suspend := func(j *schemas.Job) {
		next := *j
		next.State = schemas.JobSuspended
		w.publish(next.Revised(j, "ada", schemas.TimeOf(time0.now())))
	}

	sub("TwoSchedulersRunADueJobOnceForItsRegisteredRecipient", func(t *testing.T) {
		j := everyHour("hourly", "2026-10-05T10:15:00Z", recipient)
		j.Queues = []string{"billing"}
		w.publish(j)
		time0.set("2026-10-05T11:00:02Z")
		e := run("hourly", "2026-10-05T11:00:00Z")
		if lines := w.open(e); len(lines) != 300 || e.Request.JobID != "hourly" {
			t.Errorf("%d lines of %+v", len(lines), e.Request)
		}
		runs, err := w.ledger.JobRuns(t.Context(), "acme", "hourly", 10)
		check(t, err)
		if len(runs) != 1 || len(runs[0].Conflicts) != 0 || runs[0].Attempt != 1 {
			t.Errorf("there are %d runs: %+v", len(runs), runs)
		}
		if n := w.requests(e.ExportID); n < 1 || n > 2 {
			t.Errorf("it was asked for %d times by two schedulers", n)
		}
		suspend(j)
	})

	sub("RunsSinceTheLastRunTogetherHoldTheWholeOnce", func(t *testing.T) {
		j := everyHour("delta", "2026-10-05T11:15:00Z", recipient)
		j.Timeframe.Kind = schemas.TimeframeSinceLastRun
		w.publish(j)
		var all []string
		var before schemas.Export
		for n, hour := range []int{12, 13, 14} {
			w.load("acme", 300+100*n, 400+100*n)
			time0.set(fmt.Sprintf("2026-10-05T%d:00:01Z", hour))
			e := run("delta", fmt.Sprintf("2026-10-05T%d:00:00Z", hour))
			if since := e.Continues; since == nil && n > 0 || since != nil && since.ExportID != before.ExportID {
				t.Errorf("run %d continues %+v, want %q", n, since, before.ExportID)
			}
			all = append(all, w.open(e)...)
			before = e
		}
		w.publish(w.request("acme", "whole"))
		want := w.open(w.await("acme", "whole"))
		slices.Sort(all)
		slices.Sort(want)
		if len(want) != 600 || !slices.Equal(all, want) {
			t.Errorf("the runs hold %d lines, the whole %d, and they differ", len(all), len(want))
		}
		suspend(j)
	})

	sub("ASchedulerThatIsStartedAgainMakesUpForWhatWasMissed", func(t *testing.T) {
		latest, each, none := everyHour("latest", "2026-10-05T14:15:00Z", recipient), everyHour("each", "2026-10-05T14:15:00Z", recipient), everyHour("none", "2026-10-05T14:15:00Z", recipient)
		each.CatchUp, none.CatchUp = schemas.CatchUpAll, schemas.CatchUpSkip
		for _, stop := range stop {
			stop()
		}
		w.publish(latest, each, none)
		time0.set("2026-10-05T17:30:00Z")
		w.t = whole // it runs to the end
		w.run("schedule")
		for _, at := range []string{"15", "16", "17"} {
			run("each", "2026-10-05T"+at+":00:00Z")
		}
		run("latest", "2026-10-05T17:00:00Z")
		time0.set("2026-10-05T18:00:00Z")
		for _, id := range []string{"latest", "each", "none"} { // and all go on alike
			run(id, "2026-10-05T18:00:00Z")
		}
		for id, want := range map[string]int{"latest": 2, "each": 4, "none": 1} {
			runs, err := w.ledger.JobRuns(t.Context(), "acme", id, 10)
			check(t, err)
			if len(runs) != want {
				t.Errorf("%s ran %d times, want %d", id, len(runs), want)
			}
		}
	})

	sub("AWebhookIsToldOfARunAgainAfter500AndVerifiesIt", func(t *testing.T) {
		text, err := webhooks.Secret([]byte(w.config.Webhooks.Secret.Reveal()), "acme", "hooked", 1)
		check(t, err)
		verifier, err := standardwebhooks.NewWebhook(text)
		check(t, err)
		var calls atomic.Int32
		receiver := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
			content, _ := io.ReadAll(r.Body)
			if err := verifier.Verify(content, r.Header); err != nil {
				t.Error(err)
			}
			if calls.Add(1) == 1 {
				answer.WriteHeader(http.StatusInternalServerError)
			}
		}))
		defer receiver.Close()
		w.config.Webhooks.AllowPrivate, w.config.Webhooks.FirstRetry = true, 10*time.Millisecond
		defer w.run("webhooks")()
		j := everyHour("hooked", "2026-10-05T18:15:00Z", recipient)
		j.Webhook = &schemas.Webhook{URL: receiver.URL, SecretVersion: 1}
		w.publish(j)
		time0.set("2026-10-05T19:00:00Z")
		run("hooked", "2026-10-05T19:00:00Z")
		var made []schemas.WebhookDelivery
		w.eventually(func() bool {
			made, err = w.ledger.Deliveries(t.Context(), "acme", "hooked", "", 10)
			return err == nil && len(made) == 2
		})
		if made[0].Outcome != schemas.DeliveryDone || made[1].Outcome != schemas.DeliveryRetrying || made[1].StatusCode != 500 || calls.Load() != 2 {
			t.Errorf("%d calls, deliveries %+v", calls.Load(), made)
		}
	})

	sub("ARecipientOfAnotherTenantOrARemovedOneIsRefused", func(t *testing.T) {
		for tenant, want := range map[string]string{"globex": "is registered for tenant globex", "acme": "was removed"} {
			if tenant == "acme" {
				gone := *recipient
				gone.Removed = true
				w.publish(&gone)
			}
			r := w.request(tenant, "not-for-"+tenant)
			r.Recipients = []schemas.Recipient{{Fingerprint: recipient.Fingerprint}}
			w.publish(r)
			if e := w.await(tenant, r.ExportID); e.State != schemas.Refused || !strings.Contains(e.Reason, want) {
				t.Errorf("%s: %s, %s", tenant, e.State, e.Reason)
			}
		}
	})

	sub("ArtifactsMayLiveShorterThanTheTenantsButNotLonger", func(t *testing.T) {
		short, long := w.request("acme", "short"), w.request("acme", "long")
		short.RetentionDays, long.RetentionDays = 2, 31
		w.publish(short, long)
		if e := w.await("acme", "short"); e.State != schemas.Completed || e.Completion.ExpiresAt.Sub(e.EndedAt.Time).Round(time.Hour) != 48*time.Hour {
			t.Errorf("short: %s until %v", e.State, e.Completion)
		}
		if e := w.await("acme", "long"); e.State != schemas.Refused || !strings.Contains(e.Reason, "more than the 30 days") {
			t.Errorf("long: %s, %s", e.State, e.Reason)
		}
	})
}

// eventually waits until that is so.
func (w *world) eventually(that func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for !that() {
		if time.Now().After(deadline) {
			w.t.Fatal("it did not come to be")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
