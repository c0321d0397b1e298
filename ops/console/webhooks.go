package console

import (
	"net/url"
	"slices"
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
		return q.goTo("/webhooks/"+url.PathEscape(d.JobID)+"/"+url.PathEscape(d.WebhookID), done)
	}
}

// webhooksData is a page of deliveries, and the jobs that have a webhook.
type webhooksData struct {
	Rows []schemas.WebhookDelivery
	Listing
	Outcome, JobID string
	Outcomes       []string
	Jobs           []schemas.Job
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
	return c.show(q, "webhooks", view{Title: "Webhooks", At: "/webhooks", Data: d})
}

// deliveryData is an event with everything that was done to deliver it, the latest first.
type deliveryData struct {
	Last schemas.WebhookDelivery
	Rows []schemas.WebhookDelivery
	// Job is the job, if it is there and has a webhook still.
	Job *schemas.Job
	// Late says that a request waits for longer than a worker needs.
	Late bool
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
	v := view{Title: "Delivery", At: "/webhooks", Live: "2s"}
	if len(found.Rows) == 0 {
		if q.r.URL.Query().Get("done") == "" {
			return admin.ErrNotFound
		}
		v.Data = deliveryData{} // requested a moment ago: history does not know it yet
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
	d.Late = d.Waits() && c.Now().Sub(d.Last.Time.Time) > lateAfter
	v.Title, v.Data = eventTitle(d.Last.Event), d
	if d.Last.Outcome == schemas.DeliveryDone || d.Last.Outcome == schemas.DeliveryGivenUp {
		v.Live = ""
	}
	return c.show(q, "delivery", v)
}

// lateAfter is how long a request may wait before the page says that nobody takes it.
const lateAfter = 30 * time.Second

// eventTitle is the kind of an event in words.
func eventTitle(event string) string {
	if event == schemas.WebhookTest {
		return "Test of the webhook"
	}
	return titleOf(strings.ReplaceAll(event, ".", " "))
}
