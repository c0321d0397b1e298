package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"cdds/ops/admin"
	"cdds/schemas"
)

// NewHold is what a hold is to keep.
type NewHold struct {
	HoldID       string       `json:"hold_id,omitempty" maxLength:"128" doc:"A new one if not given."`
	Name         string       `json:"name" maxLength:"200" doc:"What people call it, such as the name of the case."`
	Reason       string       `json:"reason" maxLength:"4096"`
	Contacts     []string     `json:"contacts,omitempty" maxItems:"2000" doc:"Held with all their interactions."`
	Interactions []string     `json:"interactions,omitempty" maxItems:"2000"`
	From         schemas.Time `json:"from,omitzero" doc:"With to: every contact created and every interaction begun from then until before to."`
	To           schemas.Time `json:"to,omitzero"`
	Exports      []string     `json:"exports,omitempty" maxItems:"2000" doc:"Exports whose files are held."`
}

func (a *API) holds() {
	tags := []string{"Holds"}
	register(a, huma.Operation{
		OperationID: "list-holds", Method: http.MethodGet, Path: "/holds", Tags: tags, Summary: "List holds, the oldest first",
	}, func(ctx context.Context, in *struct {
		Scope
		Released bool `query:"released" doc:"Released ones, too."`
	}) (*answer[Listing[schemas.Hold]], error) {
		list, err := on(ctx, a, in.Scope, func(h *admin.Handle) ([]schemas.Hold, error) { return h.Holds(ctx, in.Released) })
		return give(all(list, same), err)
	})
	register(a, huma.Operation{
		OperationID: "create-hold", Method: http.MethodPost, Path: "/holds", Tags: tags, Summary: "Keep data from being removed", DefaultStatus: http.StatusCreated,
		Description: "Erasures of what is held wait until the hold is released. History does not age past the first row that is held, and files of exports that are held are not removed.",
		Errors:      []int{400, 401, 403, 404, 409, 422, 429},
	}, func(ctx context.Context, in *struct {
		Scope
		Body NewHold
	}) (*answer[schemas.Hold], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Hold, error) {
			b := in.Body
			return h.CreateHold(ctx, schemas.Hold{
				HoldID: b.HoldID, Name: b.Name, Reason: b.Reason, Contacts: b.Contacts, Interactions: b.Interactions, From: b.From, To: b.To, Exports: b.Exports,
			})
		}))
	})
	register(a, huma.Operation{
		OperationID: "show-hold", Method: http.MethodGet, Path: "/holds/{id}", Tags: tags, Summary: "Show a hold",
	}, func(ctx context.Context, in *ExportPath) (*answer[schemas.Hold], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Hold, error) { return h.Hold(ctx, in.ID) }))
	})
	register(a, huma.Operation{
		OperationID: "release-hold", Method: http.MethodPost, Path: "/holds/{id}/release", Tags: tags, Summary: "Release a hold",
		Description: "Where hold.two_people is configured, the first one requests the release and a second person releases it.",
		Errors:      []int{400, 401, 403, 404, 409, 422, 429},
	}, func(ctx context.Context, in *ExportPath) (*answer[schemas.Hold], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Hold, error) { return h.ReleaseHold(ctx, in.ID) }))
	})
	register(a, huma.Operation{
		OperationID: "withdraw-release", Method: http.MethodPost, Path: "/holds/{id}/withdraw", Tags: tags, Summary: "Withdraw the request to release a hold",
		Description: "Where hold.two_people is configured. Everybody who may release a hold may withdraw the request. The hold stays.",
		Errors:      []int{400, 401, 403, 404, 409, 422, 429},
	}, func(ctx context.Context, in *ExportPath) (*answer[schemas.Hold], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Hold, error) { return h.WithdrawRelease(ctx, in.ID) }))
	})
}
