package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"cdds/ops/admin"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

func (c *Console) webhooks() {
	c.open("GET /webhooks", c.deliveries)
	c.open("GET /webhooks/{id}/{event}", c.delivery)
	c.open("POST /jobs/{id}/webhook-test", func(q *request) error {
		return q.requested("webhook.test")(q.TestWebhook(q.r.Context(), q.r.PathValue("id")))
	})
	c.open("POST /webhooks/{id}/{event}/redeliver", func(q *request) error {
		return q.requested("webhook.redeliver")(q.Redeliver(q.r.Context(), q.r.PathValue("id"), q.r.PathValue("event")))
	})
}

// requested goes to the page of an event whose delivery was requested.
func (q *request) requested(done string) func(schemas.WebhookDelivery, error) error {
	return func(d schemas.WebhookDelivery, err error) error {
		if err != nil {
			return err
		}
		asked := url.Values{"done": {done}, "redelivery": {strconv.Itoa(d.Redelivery)}, "at": {d.Time.String()}}
		http.Redirect(q.w, q.r, Prefix+"/webhooks/"+url.PathEscape(d.JobID)+"/"+url.PathEscape(d.WebhookID)+"?"+asked.Encode(), http.StatusSeeOther)
		return nil
	}
}

// webhooksData is a page of deliveries, and the jobs that have a webhook.
type webhooksData struct {
	Rows []schemas.WebhookDelivery
	Listing
	Outcome, JobID string
	Outcomes       []string
	Jobs           []schemas.Job
	// JobPage is which part of Jobs is shown.
	JobPage Numbered
	// Titles are those of the jobs, by id.
	Titles map[string]string
}

func (c *Console) deliveries(q *request) error {
	query := q.r.URL.Query()
	d := webhooksData{
		Outcome: query.Get("outcome"), JobID: query.Get("job"), Outcomes: schemas.DeliveryOutcomes(),
		Titles: map[string]string{},
	}
	f := ledger.DeliveryFilter{JobID: d.JobID}
	if d.Outcome != "" {
		f.Outcomes = []string{d.Outcome}
	}
	found, err := q.Deliveries(q.r.Context(), f, d.read(query, "time"))
	if err != nil {
		return err
	}
	d.Rows = found.Rows
	d.next(found.Next)
	jobs, err := q.Jobs(q.r.Context())
	if err != nil {
		return err
	}
	for _, j := range jobs {
		d.Titles[j.JobID] = j.Title
		if j.Webhook != nil {
			d.Jobs = append(d.Jobs, j)
		}
	}
	d.Jobs, d.JobPage = numberedBy(query, "jobs", d.Jobs)
	return c.show(q, "webhooks", view{Title: "Webhooks", At: "/webhooks", Data: d})
}

// deliveryData is an event with everything that was done to deliver it, the latest first.
type deliveryData struct {
	Last schemas.WebhookDelivery
	Rows []schemas.WebhookDelivery
	// Job is the job, if it is there and has a webhook still.
	Job *schemas.Job
	// Late says that a request waits for longer than a worker needs, and Unknown that history
	// does not know it yet.
	Late, Unknown bool
}

// Test says that the event only tests the webhook.
func (d deliveryData) Test() bool { return d.Last.Event == schemas.WebhookTest }

// Waits says that a request waits for its first attempt.
func (d deliveryData) Waits() bool { return d.Last.Outcome == schemas.DeliveryRequested }

// attemptsShown bounds the attempts that the page of an event lists.
const attemptsShown = 200

func (c *Console) delivery(q *request) error {
	jobID, event := q.r.PathValue("id"), q.r.PathValue("event")
	found, err := q.Deliveries(q.r.Context(), ledger.DeliveryFilter{JobID: jobID, WebhookID: event}, ledger.Page{Sort: "time", Limit: attemptsShown})
	if err != nil {
		return err
	}
	v := view{Title: "Delivery", At: "/webhooks"}
	asked, at, just := justAsked(q.r.URL.Query())
	if len(found.Rows) == 0 {
		if !just {
			return admin.ErrNotFound
		}
		v.Data, v.Live = deliveryData{Unknown: true, Late: c.late(at)}, c.every(at)
		return c.show(q, "delivery", v)
	}
	d := deliveryData{Rows: found.Rows}
	// An attempt may be a millisecond's neighbour of its request, whatever order they are in.
	d.Last = slices.MaxFunc(d.Rows, func(a, b schemas.WebhookDelivery) int {
		if a.Redelivery != b.Redelivery {
			return a.Redelivery - b.Redelivery
		}
		return a.Attempt - b.Attempt
	})
	if j, err := q.Job(q.r.Context(), jobID); err == nil && j.Webhook != nil {
		d.Job = &j
	}
	if d.Unknown = just && d.Last.Redelivery < asked; d.Unknown { // what is known ended before the request
		d.Last.Outcome, d.Last.Time, d.Last.Redelivery, d.Last.RequestedBy = schemas.DeliveryRequested, at, asked, q.who.Name
	}
	d.Late = d.Waits() && c.late(d.Last.Time)
	switch d.Last.Outcome {
	case schemas.DeliveryRequested:
		v.Live = c.every(d.Last.Time)
	case schemas.DeliveryRetrying:
		v.Live = c.every(d.Last.NextAt)
	}
	v.Title, v.Data = eventTitle(d.Last.Event), d
	return c.show(q, "delivery", v)
}

// justAsked are the number and the time of a delivery that the page's address says was
// requested: history may not know it yet.
func justAsked(query url.Values) (redelivery int, at schemas.Time, just bool) {
	asked, err := time.Parse(time.RFC3339, query.Get("at"))
	redelivery, _ = strconv.Atoi(query.Get("redelivery"))
	return redelivery, schemas.TimeOf(asked), err == nil
}

// A request is late after lateAfter: the page says that nothing takes it, and looks less often.
// After stopsAfter it stops looking.
const (
	lateAfter  = 30 * time.Second
	stopsAfter = 10 * time.Minute
)

func (c *Console) late(at schemas.Time) bool { return c.Now().Sub(at.Time) > lateAfter }

// every is how often a page looks for what is to come about a time.
func (c *Console) every(at schemas.Time) string {
	switch since := c.Now().Sub(at.Time).Abs(); {
	case since > stopsAfter:
		return ""
	case since > lateAfter:
		return "15s"
	}
	return "2s"
}

// eventTitle is the kind of an event in words.
func eventTitle(event string) string {
	if event == schemas.WebhookTest {
		return "Test of the webhook"
	}
	return titleOf(strings.ReplaceAll(event, ".", " "))
}

// replyOf is what the receiver answered to an attempt: why it failed, or the status alone.
func replyOf(d schemas.WebhookDelivery) string {
	switch code := strconv.Itoa(d.StatusCode); {
	case d.Reason == "":
		return code
	case d.StatusCode == 0 || strings.Contains(d.Reason, code):
		return strings.TrimSuffix(asSentence(d.Reason), ".")
	default:
		return code + ": " + d.Reason
	}
}
