// Package webhooks sends jobs' webhooks when a run has ended, after Standard Webhooks
// (standardwebhooks.com): a signed POST, retried with backoff until it is answered with 2xx
// or given up. It sends what people request, too: a test, which is attempted once, and an
// event again. Each attempt is an event, so admins see what came of it, and a worker that
// takes over continues where the one before stood. A receiver may get a message twice, with
// the same webhook-id.
//
// A redelivery has a number. It has the webhook-id of the event and sends the same message,
// signed with the secret as it is then. Attempts of a lower number end when one of a higher
// number is known.
//
// A message has ids, state and totals: no row, no reason, no address of a service.
//
// # Metrics
//
//	cdds_webhooks_attempts_total{outcome}  attempts: delivered, retrying, given_up
//	cdds_webhooks_waiting                  messages that wait for their next attempt
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
	"sync"
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

// Deliveries are the attempts made so far to deliver an event, the latest first;
// *ledger.Ledger has them.
type Deliveries interface {
	Deliveries(ctx context.Context, tenantID, jobID, webhookID string, limit int) ([]schemas.WebhookDelivery, error)
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
	// GiveUpAfter bounds how long one message is retried; 0 means 24 h.
	GiveUpAfter time.Duration
	// MaxWaiting bounds how many messages wait for their next attempt. Beyond it, and a
	// tenant beyond a quarter of it, gets one attempt: 0 means 200.
	MaxWaiting int
	Registerer prometheus.Registerer
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Handler sends webhooks of exports that ended; it is a consumers.Handler of
// cdds.export.status.
type Handler struct {
	Options
	client   *http.Client
	attempts *prometheus.CounterVec
	waiting  prometheus.Gauge
	pending  pending
	// inHand are the requests at work, by event and number.
	inHand sync.Map
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
		attempts: f.NewCounterVec(prometheus.CounterOpts{Name: "cdds_webhooks_attempts_total", Help: "Attempts to deliver to a webhook, by outcome."}, []string{"outcome"}),
		waiting:  f.NewGauge(prometheus.GaugeOpts{Name: "cdds_webhooks_waiting", Help: "Messages that wait for their next attempt."}),
		pending:  pending{limit: o.MaxWaiting, tenants: map[string]int{}},
	}, nil
}

// Handle sends a webhook for each export that ended and is a run of a job with one. It
// returns when that is delivered or given up, or with ctx's error.
func (h *Handler) Handle(ctx context.Context, b schemas.Batch[*schemas.ExportStatus]) error {
	for _, r := range b.Records {
		s := r.Event
		event, ok := eventOf(s)
		if !ok {
			continue
		}
		d := schemas.WebhookDelivery{TenantID: s.TenantID, JobID: s.JobID, ExportID: s.ExportID, WebhookID: IDOf(s), Event: event, Fact: factOf(s)}
		if err := h.tell(ctx, d, schemas.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// eventOf returns the event of a status; false if none exists.
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

// IDOf is the webhook-id of a status: always the same.
func IDOf(s *schemas.ExportStatus) string {
	sum := sha256.Sum256([]byte(s.ID()))
	return "evt_" + hex.EncodeToString(sum[:16])
}

// madeBefore bounds the attempts that are read back.
const madeBefore = 1000

// tell attempts to deliver until that is done or given up. requested is when somebody
// requested the delivery; zero if the end of a run caused it.
func (h *Handler) tell(ctx context.Context, d schemas.WebhookDelivery, requested schemas.Time) error {
	if err := h.Definitions.Sync(ctx); err != nil {
		return err
	}
	if j, ok := h.Definitions.Job(d.TenantID, d.JobID); requested.IsZero() && (!ok || j.Deleted() || j.Webhook == nil) {
		return nil
	}
	first := h.Now()
	if !requested.IsZero() && requested.Before(first) {
		first = requested.Time
	}
	over, err := h.resume(ctx, &d, &first)
	if err != nil || over {
		return err
	}
	leave, mayWait := h.pending.enter(d.TenantID)
	defer func() { leave(); h.waiting.Set(float64(h.pending.total.Load())) }()
	h.waiting.Set(float64(h.pending.total.Load()))
	for {
		if waits := d.NextAt.Sub(h.Now()); waits > 0 {
			if err := sleep(ctx, waits); err != nil {
				return err
			}
			if over, err := h.resume(ctx, &d, &first); err != nil || over {
				return err
			}
		}
		d.Attempt++
		h.attempt(ctx, &d, h.Now().Sub(first) > h.GiveUpAfter)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.NextAt = schemas.Time{}
		if d.Outcome == schemas.DeliveryRetrying {
			next := d.Time.Add(h.pause(d.Attempt))
			switch {
			case d.Event == schemas.WebhookTest:
				d.Outcome = schemas.DeliveryGivenUp
			case next.Sub(first) > h.GiveUpAfter:
				d.Outcome, d.Reason = schemas.DeliveryGivenUp, "not answered in time, and tried long enough: "+d.Reason
			case !mayWait:
				d.Outcome, d.Reason = schemas.DeliveryGivenUp, "too many deliveries wait already: "+d.Reason
			default:
				d.NextAt = schemas.TimeOf(next)
			}
		}
		h.attempts.WithLabelValues(d.Outcome).Inc()
		h.Logger.InfoContext(ctx, "webhook "+d.Outcome, "tenant", d.TenantID, "job", d.JobID, "export_id", d.ExportID, "event", d.Event, "redelivery", d.Redelivery, "attempt", d.Attempt, "status", d.StatusCode, "reason", d.Reason)
		made := d
		if err := h.Publisher.Publish(ctx, &made); err != nil {
			return err
		}
		if d.Outcome != schemas.DeliveryRetrying {
			return nil
		}
	}
}

// resume continues a delivery where the attempts made so far left it. It is over if they
// ended it, or if the event is delivered under a higher number.
func (h *Handler) resume(ctx context.Context, d *schemas.WebhookDelivery, first *time.Time) (over bool, err error) {
	before, err := h.Deliveries.Deliveries(ctx, d.TenantID, d.JobID, d.WebhookID, madeBefore)
	if err != nil {
		return false, err
	}
	for _, made := range before {
		switch {
		case made.Redelivery > d.Redelivery:
			return true, nil
		case made.Redelivery < d.Redelivery || made.Outcome == schemas.DeliveryRequested:
			continue
		case made.Outcome != schemas.DeliveryRetrying:
			return true, nil // delivered or given up before this process read it
		}
		if made.Attempt > d.Attempt {
			d.Attempt, d.NextAt = made.Attempt, made.NextAt
		}
		if made.Time.Before(*first) {
			*first = made.Time.Time
		}
	}
	return false, nil
}

// attempt delivers once and says in d what came of it. What is too late is given up
// without an attempt.
func (h *Handler) attempt(ctx context.Context, d *schemas.WebhookDelivery, tooLate bool) {
	started := h.Now()
	d.Time, d.StatusCode, d.Milliseconds, d.Reason = schemas.TimeOf(started), 0, 0, ""
	giveUp := func(reason string) { d.Outcome, d.Reason = schemas.DeliveryGivenUp, reason }
	// Looked up each time: a webhook that was corrected is sent to its new address.
	j, ok := h.Definitions.Job(d.TenantID, d.JobID)
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
	if tooLate && d.Attempt == 1 {
		giveUp("it waited too long for its first attempt")
		return
	}
	status, err := h.post(ctx, j, d)
	d.StatusCode, d.Milliseconds = status, h.Now().Sub(started).Milliseconds()
	switch {
	case err == nil && status >= 200 && status < 300:
		d.Outcome = schemas.DeliveryDone
	case errors.Is(err, errNotPublic):
		giveUp(errNotPublic.Error())
	case err != nil:
		d.Outcome, d.Reason = schemas.DeliveryRetrying, reasonOf(err)
	case status == http.StatusGone:
		giveUp("the receiver answered 410: it takes no more events")
	default:
		d.Outcome, d.Reason = schemas.DeliveryRetrying, fmt.Sprintf("the receiver answered %d; it must answer 2xx, and redirects are not followed", status)
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
