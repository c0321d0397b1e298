package console

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"cdds/ops/admin"
	"cdds/ops/auth"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// writeOffData are the records of a topic that are lost, and why they are written off.
type writeOffData struct {
	warehouse.TopicAccount
	Reason string
}

// Records is how many are lost, as far as they are shown.
func (d writeOffData) Records() (n int64) {
	for _, r := range d.Gone {
		n += r.Next - r.First
	}
	return n
}

// Loss identifies what is shown as lost.
func (d writeOffData) Loss() string {
	sum := sha256.Sum256(fmt.Append(nil, d.Topic, d.Gone))
	return hex.EncodeToString(sum[:])
}

// lost returns what is lost of the topic that a form names.
func (c *Console) lost(q *request) (h *admin.Handle, d writeOffData, err error) {
	if !q.who.May(auth.Manage) {
		return nil, d, auth.ErrForbidden
	}
	if h, err = c.everywhere(q); err != nil {
		return nil, d, err
	}
	all, err := h.Account(q.r.Context())
	if err != nil {
		return nil, d, err
	}
	at := slices.IndexFunc(all, func(a warehouse.TopicAccount) bool { return a.Topic == schemas.Topic(q.r.FormValue("topic")) })
	if at < 0 {
		return nil, d, admin.ErrNotFound
	}
	return h, writeOffData{TopicAccount: all[at], Reason: strings.TrimSpace(q.r.PostFormValue("reason"))}, nil
}

func (c *Console) writeOffForm(q *request) error {
	_, d, err := c.lost(q)
	if err != nil {
		return err
	}
	return c.showWriteOff(q, d)
}

func (c *Console) showWriteOff(q *request, d writeOffData, problems ...string) error {
	return c.show(q, "write-off", view{Title: "Write off lost records", At: "/account", Problems: problems, Data: d})
}

// writeOff writes off what the form showed as lost, and nothing else.
func (c *Console) writeOff(q *request) error {
	h, d, err := c.lost(q)
	if err != nil {
		return err
	}
	switch {
	case q.r.PostFormValue("loss") != d.Loss():
		return c.showWriteOff(q, d, "What is lost has changed. Check it again.")
	case d.Reason == "":
		return c.showWriteOff(q, d, "reason: say why the records cannot be restored")
	case q.r.PostFormValue("agreed") == "":
		return c.showWriteOff(q, d, "confirm that the records cannot be restored")
	}
	_, err = h.WriteOff(q.r.Context(), d.Topic, d.Gone, d.Reason)
	if bad := problemsOf(err); bad != nil {
		return c.showWriteOff(q, d, bad...)
	}
	if err != nil {
		return err
	}
	return q.goTo("/account", "account.written_off")
}
