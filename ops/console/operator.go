package console

import (
	"cdds/ops/admin"
	"cdds/ops/auth"
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
