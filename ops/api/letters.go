package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"cdds/ops/admin"
	"cdds/pipeline"
	"cdds/schemas"
)

// LetterPath names a dead letter by where it is.
type LetterPath struct {
	Scope
	Topic     schemas.Topic `path:"topic" maxLength:"249" doc:"The topic the record was published to."`
	Partition int32         `path:"partition" minimum:"0" doc:"The partition of the topic of dead letters."`
	Offset    int64         `path:"offset" minimum:"0" doc:"The offset there."`
}

func (p LetterPath) place() admin.LetterPlace {
	return admin.LetterPlace{Partition: p.Partition, Offset: p.Offset}
}

// WholeLetter is a dead letter with what it kept of the record.
type WholeLetter struct {
	admin.LetterView
	KeyBytes   []byte `json:"key_bytes" doc:"The key, in base64."`
	ValueBytes []byte `json:"value_bytes" doc:"The value, in base64."`
}

func (a *API) letters() {
	tags := []string{"Dead letters"}
	register(a, huma.Operation{
		OperationID: "list-letters", Method: http.MethodGet, Path: "/letters", Tags: tags, Summary: "List the latest dead letters",
		Description: "For administrators of all tenants: letters may hold anybody's data. The latest 50 of each partition, the latest first. That they were shown is recorded.",
	}, func(ctx context.Context, in *struct {
		Scope
		Topic schemas.Topic `query:"topic" maxLength:"249" doc:"Only those of this topic."`
	}) (*answer[Listing[admin.DeadLetter]], error) {
		list, err := on(ctx, a, in.Scope, func(h *admin.Handle) ([]admin.DeadLetter, error) {
			topics := admin.LetterTopics()
			if in.Topic != "" {
				topics = []schemas.Topic{in.Topic}
			}
			return h.DeadLetters(ctx, topics...)
		})
		return give(all(list, same), err)
	})
	register(a, huma.Operation{
		OperationID: "show-letter", Method: http.MethodGet, Path: "/letters/{topic}/{partition}/{offset}", Tags: tags, Summary: "Show a dead letter",
		Description: "With the record as it was, whether it can be published again, and who did that. problem says why it cannot.",
	}, func(ctx context.Context, in *LetterPath) (*answer[WholeLetter], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (WholeLetter, error) {
			v, err := h.Letter(ctx, in.Topic, in.place())
			if err != nil {
				return WholeLetter{}, err
			}
			return WholeLetter{v, v.Record.Key, v.Record.Value}, nil
		}))
	})
	register(a, huma.Operation{
		OperationID: "publish-letter", Method: http.MethodPost, Path: "/letters/{topic}/{partition}/{offset}/publish", Tags: tags, Summary: "Publish a dead letter to its topic again",
		Description: "This works once: a second request gets 409 with the name of the first publisher. CDDS also refuses a letter that still cannot be read, was cut, or is about an erased subject. The record becomes the newest version of what it is about.",
		Errors:      []int{400, 401, 403, 404, 409, 422, 429},
	}, func(ctx context.Context, in *struct {
		LetterPath
		Body struct {
			LetterID     string `json:"letter_id" maxLength:"64" doc:"The letter_id that was shown: nothing else is published."`
			ReplaceNewer bool   `json:"replace_newer,omitempty" doc:"Publish it although a newer version is stored."`
		}
	}) (*answer[pipeline.Republication], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (pipeline.Republication, error) {
			return h.PublishLetter(ctx, in.Topic, in.place(), in.Body.LetterID, in.Body.ReplaceNewer)
		}))
	})
}
