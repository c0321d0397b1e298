// Package webhooks tells jobs' webhooks that a run has ended, after Standard Webhooks
// (standardwebhooks.com): a signed POST, tried again with backoff until it is answered
// with 2xx or given up. Each attempt is an event, so admins see what came of it, and a
// worker that takes over goes on where the one before stood. A receiver may be told
// twice, with the same webhook-id.
//
// An event has ids, state and totals: no row, no reason, no address of a service.
//
// # Metrics
//
//	cdds_webhooks_attempts_total{outcome}  attempts: delivered, retrying, given_up
//	cdds_webhooks_waiting                  facts that wait for their next attempt
package webhooks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"cdds/schemas"
)

// Definitions are the jobs; *definitions.Definitions is one.
type Definitions interface {
	Job(tenantID, jobID string) (schemas.Job, bool)
	// Sync returns once everything acknowledged before the call is known.
	Sync(ctx context.Context) error
}

// Deliveries are the attempts made so far, the latest first; *ledger.Ledger has
// them.
type Deliveries interface {
	Deliveries(ctx context.Context, tenantID, jobID, exportID string, limit int) ([]schemas.WebhookDelivery, error)
}

// Publisher returns once events are acknowledged.
type Publisher interface {
	Publish(ctx context.Context, events ...schemas.Event) error
}

// Options of a Handler. The first three are required.
type Options struct {
	Definitions Definitions
	Deliveries  Deliveries
	Publisher   Publisher
	// Secret is what signing secrets are derived from. Without one no webhook is sent.
	Secret []byte
	// AllowPrivate lets webhooks be http, and at addresses that are not public.
	AllowPrivate bool
	// Timeout bounds one attempt; 0 means 10 s.
	Timeout time.Duration
	// FirstRetry is the pause after the first attempt, which doubles up to an hour; 0
	// means 5 s.
	FirstRetry time.Duration
	// GiveUpAfter bounds how long one fact is tried to be told; 0 means 24 h.
	GiveUpAfter time.Duration
	// MaxWaiting bounds how many facts wait for their next attempt. Beyond it, and a
	// tenant beyond a quarter of it, gets one attempt: 0 means 200.
	MaxWaiting int
	Registerer prometheus.Registerer
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Handler tells of exports that ended; it is a consumers.Handler of cdds.export.status.
type Handler struct {
	Options
	client   *http.Client
	attempts *prometheus.CounterVec
	waiting  prometheus.Gauge
	pending  pending
}

// maxRetry is the longest pause between attempts.
const maxRetry = time.Hour

// New returns a Handler. It starts nothing.
func New(o Options) (*Handler, error) {
	if o.Definitions == nil || o.Deliveries == nil || o.Publisher == nil {
		return nil, errors.New("webhooks: Definitions, Deliveries and Publisher are required")
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.FirstRetry == 0 {
		o.FirstRetry = 5 * time.Second
	}
	if o.GiveUpAfter == 0 {
		o.GiveUpAfter = 24 * time.Hour
	}
	if o.MaxWaiting == 0 {
		o.MaxWaiting = 200
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := promauto.With(o.Registerer)
	return &Handler{
		Options: o, client: newClient(o.Timeout, o.AllowPrivate),
		attempts: f.NewCounterVec(prometheus.CounterOpts{Name: "cdds_webhooks_attempts_total", Help: "Attempts to tell a webhook, by outcome."}, []string{"outcome"}),
		waiting:  f.NewGauge(prometheus.GaugeOpts{Name: "cdds_webhooks_waiting", Help: "Facts that wait for their next attempt."}),
		pending:  pending{limit: o.MaxWaiting, tenants: map[string]int{}},
	}, nil
}

// Handle tells of each export that ended and is a run of a job with a webhook. It
// returns when that is done or given up, or with ctx's error.
func (h *Handler) Handle(ctx context.Context, b schemas.Batch[*schemas.ExportStatus]) error {
	for _, r := range b.Records {
		event, ok := eventOf(r.Event)
		if !ok {
			continue
		}
		if err := h.tell(ctx, r.Event, event); err != nil {
			return err
		}
	}
	return nil
}

// eventOf returns the event of a status; false if there is none.
func eventOf(s *schemas.ExportStatus) (string, bool) {
	if s.JobID == "" {
		return "", false
	}
	switch s.State {
	case schemas.Completed, schemas.Failed, schemas.Cancelled, schemas.Refused:
		return "export." + string(s.State), true
	}
	return "", false
}

// IDOf is the webhook-id under which a status is told: always the same.
func IDOf(s *schemas.ExportStatus) string {
	sum := sha256.Sum256([]byte(s.ID()))
	return "evt_" + hex.EncodeToString(sum[:16])
}

// madeBefore bounds the attempts that are read back.
const madeBefore = 1000

func (h *Handler) tell(ctx context.Context, s *schemas.ExportStatus, event string) error {
	if err := h.Definitions.Sync(ctx); err != nil {
		return err
	}
	if j, ok := h.Definitions.Job(s.TenantID, s.JobID); !ok || j.Deleted() || j.Webhook == nil {
		return nil
	}
	d := schemas.WebhookDelivery{TenantID: s.TenantID, JobID: s.JobID, ExportID: s.ExportID, WebhookID: IDOf(s), Event: event}
	before, err := h.Deliveries.Deliveries(ctx, s.TenantID, s.JobID, s.ExportID, madeBefore)
	if err != nil {
		return err
	}
	first := h.Now()
	for _, made := range before {
		if made.WebhookID != d.WebhookID {
			continue
		}
		if made.Outcome != schemas.DeliveryRetrying {
			return nil // told, or given up, before this process read it again
		}
		if made.Attempt > d.Attempt {
			d.Attempt, d.NextAt = made.Attempt, made.NextAt
		}
		if made.Time.Before(first) {
			first = made.Time.Time
		}
	}
	leave, mayWait := h.pending.enter(d.TenantID)
	defer func() { leave(); h.waiting.Set(float64(h.pending.total.Load())) }()
	h.waiting.Set(float64(h.pending.total.Load()))
	for {
		if err := sleep(ctx, d.NextAt.Sub(h.Now())); err != nil {
			return err
		}
		d.Attempt++
		h.attempt(ctx, s, &d)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.NextAt = schemas.Time{}
		if d.Outcome == schemas.DeliveryRetrying {
			next := d.Time.Add(h.pause(d.Attempt))
			switch {
			case next.Sub(first) > h.GiveUpAfter:
				d.Outcome, d.Reason = schemas.DeliveryGivenUp, "not answered in time, and tried long enough: "+d.Reason
			case !mayWait:
				d.Outcome, d.Reason = schemas.DeliveryGivenUp, "too many deliveries wait already: "+d.Reason
			default:
				d.NextAt = schemas.TimeOf(next)
			}
		}
		h.attempts.WithLabelValues(d.Outcome).Inc()
		h.Logger.InfoContext(ctx, "webhook "+d.Outcome, "tenant", d.TenantID, "job", d.JobID, "export_id", d.ExportID, "attempt", d.Attempt, "status", d.StatusCode, "reason", d.Reason)
		made := d
		if err := h.Publisher.Publish(ctx, &made); err != nil {
			return err
		}
		if d.Outcome != schemas.DeliveryRetrying {
			return nil
		}
	}
}

// attempt tells once and says in d what came of it.
func (h *Handler) attempt(ctx context.Context, s *schemas.ExportStatus, d *schemas.WebhookDelivery) {
	started := h.Now()
	d.Time, d.StatusCode, d.Milliseconds, d.Reason = schemas.TimeOf(started), 0, 0, ""
	giveUp := func(reason string) { d.Outcome, d.Reason = schemas.DeliveryGivenUp, reason }
	// Looked up each time: a webhook that was corrected is told at its new address.
	j, ok := h.Definitions.Job(s.TenantID, s.JobID)
	if !ok || j.Deleted() || j.Webhook == nil {
		giveUp("the job has no webhook any more")
		return
	}
	u, err := targetOf(j.Webhook.URL, h.Secret, h.AllowPrivate)
	if err != nil {
		giveUp(err.Error())
		return
	}
	d.URL = u.Scheme + "://" + u.Host + u.EscapedPath() // a query may hold what is nobody else's
	status, err := h.post(ctx, j, s, d)
	d.StatusCode, d.Milliseconds = status, h.Now().Sub(started).Milliseconds()
	switch {
	case err == nil && status >= 200 && status < 300:
		d.Outcome = schemas.DeliveryDone
	case errors.Is(err, errNotPublic):
		giveUp(errNotPublic.Error())
	case err != nil:
		d.Outcome, d.Reason = schemas.DeliveryRetrying, reasonOf(err)
	case status == http.StatusGone:
		giveUp("the receiver answered 410: it wants nothing more")
	default:
		d.Outcome, d.Reason = schemas.DeliveryRetrying, fmt.Sprintf("the receiver answered %d; 2xx is wanted, redirects are not followed", status)
	}
}

// reasonOf is err without the URL, which http.Client repeats with its query.
func reasonOf(err error) string {
	var in *url.Error
	if errors.As(err, &in) {
		err = in.Err
	}
	if reason := err.Error(); len(reason) <= 500 {
		return strings.ToValidUTF8(reason, "?")
	}
	return strings.ToValidUTF8(err.Error()[:500], "?")
}

// pause is how long to wait after an attempt: doubling, and up to a tenth longer by
// chance, so that what failed together does not return together.
func (h *Handler) pause(attempt int) time.Duration {
	d := maxRetry
	if attempt < 32 && h.FirstRetry<<(attempt-1) < maxRetry {
		d = h.FirstRetry << (attempt - 1)
	}
	return d + rand.N(d/10+1)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
