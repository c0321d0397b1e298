package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"cdds/ops/admin"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

func (a *API) account() {
	tags := []string{"Account"}
	register(a, huma.Operation{
		OperationID: "show-account", Method: http.MethodGet, Path: "/account", Tags: tags, Summary: "Show what became of every record of the source topics",
		Description: "For administrators of all tenants: topics have the records of all of them. What is gone, neither ClickHouse nor Kafka has any more.",
	}, func(ctx context.Context, in *Scope) (*answer[Listing[warehouse.TopicAccount]], error) {
		return give(on(ctx, a, *in, func(h *admin.Handle) (out Listing[warehouse.TopicAccount], err error) {
			out.Items, err = h.Account(ctx)
			return out, err
		}))
	})
	register(a, huma.Operation{
		OperationID: "write-off", Method: http.MethodPost, Path: "/account/write-offs", Tags: tags, Summary: "Stop waiting for records that are lost for good",
		Description:   "For administrators of all tenants. A write-off cannot be undone. Every manifest whose snapshot lies past the records lists it with the reason.",
		DefaultStatus: http.StatusCreated, Errors: []int{400, 401, 403, 409, 422, 429},
	}, func(ctx context.Context, in *struct {
		Scope
		Body struct {
			Topic  schemas.Topic `json:"topic" maxLength:"249" doc:"The source topic."`
			Reason string        `json:"reason" maxLength:"1000" doc:"Why, as manifests and the audit trail state it."`
			Within []schemas.Run `json:"within,omitempty" maxItems:"1000" doc:"Only what is gone of these positions, each from first up to but not including next. Everything that is gone of the topic if not given."`
		}
	}) (*answer[schemas.WriteOff], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.WriteOff, error) {
			return h.WriteOff(ctx, in.Body.Topic, in.Body.Within, in.Body.Reason)
		}))
	})
}
