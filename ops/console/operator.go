package console

import (
	"cdds/ops/admin"
	"cdds/ops/auth"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// everywhere is a handle of no one tenant, for what belongs to all of them.
func (c *Console) everywhere(q *request) (*admin.Handle, error) {
	if q.who.Tenant != schemas.AllTenants {
		return nil, auth.ErrForbidden
	}
	return c.Admin.For(q.who, schemas.AllTenants)
}

// account shows what became of every record of the source topics.
func (c *Console) account(q *request) error {
	h, err := c.everywhere(q)
	if err != nil {
		return err
	}
	topics, err := h.Account(q.r.Context())
	if err != nil {
		return err
	}
	return c.show(q, "account", view{Title: "Account", At: "/account", Data: topics})
}

// lettersData are the latest dead letters, of one topic or of all that others publish to.
type lettersData struct {
	Topic   schemas.Topic
	Topics  []schemas.Topic
	Letters []admin.DeadLetter
	Most    int
}

func (c *Console) letters(q *request) error {
	h, err := c.everywhere(q)
	if err != nil {
		return err
	}
	d := lettersData{Topic: schemas.Topic(q.r.URL.Query().Get("topic")), Topics: admin.LetterTopics(), Most: admin.LettersShown}
	shown := d.Topics
	if d.Topic != "" {
		shown = []schemas.Topic{d.Topic}
	}
	if d.Letters, err = h.DeadLetters(q.r.Context(), shown...); err != nil {
		return err
	}
	return c.show(q, "letters", view{Title: "Dead letters", At: "/letters", Data: d})
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

func (c *Console) webhooks(q *request) error {
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
