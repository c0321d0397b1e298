//go:build !receiver

package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"cdds/ops/admin"
	"cdds/ops/api"
	"cdds/pipeline"
	"cdds/schemas"
)

// Letters lists the latest dead letters, of one topic or of all.
func (c *Client) Letters(ctx context.Context, topic schemas.Topic) ([]admin.DeadLetter, error) {
	var all api.Listing[admin.DeadLetter]
	q := of("")
	if topic != "" {
		q.Set("topic", string(topic))
	}
	err := c.call(ctx, http.MethodGet, "/letters", q, nil, &all)
	return all.Items, err
}

func letterPath(topic schemas.Topic, at admin.LetterPlace) string {
	return fmt.Sprintf("/letters/%s/%d/%d", url.PathEscape(string(topic)), at.Partition, at.Offset)
}

// Letter is a dead letter, whole.
func (c *Client) Letter(ctx context.Context, topic schemas.Topic, at admin.LetterPlace) (l api.WholeLetter, err error) {
	return l, c.call(ctx, http.MethodGet, letterPath(topic, at), of(""), nil, &l)
}

// PublishLetter publishes a dead letter to its topic again.
func (c *Client) PublishLetter(ctx context.Context, topic schemas.Topic, at admin.LetterPlace, letterID string, replaceNewer bool) (r pipeline.Republication, err error) {
	in := map[string]any{"letter_id": letterID, "replace_newer": replaceNewer}
	return r, c.call(ctx, http.MethodPost, letterPath(topic, at)+"/publish", of(""), in, &r)
}
