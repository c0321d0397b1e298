package console

import (
	"fmt"
	"strconv"

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
	// Most is how many of each partition are read, All how many of these there are.
	Most, All int
}

// letter shows a dead letter; with problems of publishing it, these.
func (c *Console) letter(q *request, problems ...string) error {
	h, topic, at, err := c.letterPlace(q)
	if err != nil {
		return err
	}
	v, err := h.Letter(q.r.Context(), topic, at)
	if err != nil {
		return err
	}
	return c.show(q, "letter", view{Title: "Dead letter", At: "/letters", Problems: problems, Data: letterData{v, admin.Excerpt(v.Record.Value)}})
}

// letterData is a dead letter with more of its content than a list shows.
type letterData struct {
	admin.LetterView
	Content string
}

func (c *Console) letterPlace(q *request) (h *admin.Handle, topic schemas.Topic, at admin.LetterPlace, err error) {
	if h, err = c.everywhere(q); err != nil {
		return nil, "", at, err
	}
	partition, err := strconv.ParseInt(q.r.PathValue("partition"), 10, 32)
	if err == nil {
		at.Offset, err = strconv.ParseInt(q.r.PathValue("offset"), 10, 64)
	}
	if err != nil {
		return nil, "", at, admin.ErrNotFound
	}
	at.Partition = int32(partition)
	return h, schemas.Topic(q.r.PathValue("topic")), at, nil
}

// publishLetter publishes the letter that the page showed, and no other.
func (c *Console) publishLetter(q *request) error {
	h, topic, at, err := c.letterPlace(q)
	if err != nil {
		return err
	}
	_, err = h.PublishLetter(q.r.Context(), topic, at, q.r.PostFormValue("letter_id"), q.r.PostFormValue("replace_newer") != "")
	if bad := problemsOf(err); bad != nil {
		return c.letter(q, bad...)
	}
	if err != nil {
		return err
	}
	return q.goTo(fmt.Sprintf("/letters/%s/%d/%d", topic, at.Partition, at.Offset), "letter.published")
}

// lettersOnPage bounds the letters that a page lists: a topic may have many partitions.
const lettersOnPage = 100

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
	d.All = len(d.Letters)
	d.Letters = d.Letters[:min(d.All, lettersOnPage)]
	return c.show(q, "letters", view{Title: "Dead letters", At: "/letters", Data: d})
}
