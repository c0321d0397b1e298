package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"cdds/ops/admin"
	"cdds/schemas"
)

func (a *API) erasures() {
	tags := []string{"Erasures"}
	register(a, huma.Operation{
		OperationID: "list-erasures", Method: http.MethodGet, Path: "/erasures", Tags: tags, Summary: "List erasures",
		Description: "Without their subjects, of which there may be many: show one to see them.",
	}, func(ctx context.Context, in *struct {
		Scope
		Paging
		Sort  string `query:"sort" enum:"accepted_at,state,erasure_id" default:"accepted_at"`
		State string `query:"state" enum:"accepted,held,done,nothing_found,refused"`
	}) (*answer[Listing[schemas.Erasure]], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (out Listing[schemas.Erasure], err error) {
			page, err := in.page(in.Sort)
			if err != nil {
				return out, err
			}
			rows, err := h.Erasures(ctx, in.State, page)
			if err != nil {
				return out, err
			}
			return listed(in.Paging, in.Sort, rows, same)
		}))
	})
	register(a, huma.Operation{
		OperationID: "create-erasure", Method: http.MethodPost, Path: "/erasures", Tags: tags, Summary: "Ask to forget contacts and interactions", DefaultStatus: http.StatusAccepted,
		Errors: []int{400, 401, 403, 404, 409, 422, 429},
	}, func(ctx context.Context, in *struct {
		Scope
		Body struct {
			ID              string   `json:"erasure_id,omitempty" maxLength:"128" doc:"A new one if not given."`
			ContactID       string   `json:"contact_id,omitempty" maxLength:"256" doc:"Forget this contact and all its interactions."`
			InteractionID   string   `json:"interaction_id,omitempty" maxLength:"256"`
			Contacts        []string `json:"contacts,omitempty" maxItems:"10000" doc:"Instead of one: forget these contacts and all their interactions, and the interactions listed; up to 10,000 together."`
			Interactions    []string `json:"interactions,omitempty" maxItems:"10000"`
			SkipUnknown     bool     `json:"skip_unknown,omitempty" doc:"Where nothing is stored of some, erase the others. Without it nothing is erased then."`
			DeleteArtifacts bool     `json:"delete_artifacts,omitempty" doc:"Delete the exports that hold it, too, and no others."`
		}
	}) (*struct {
		Location string `header:"Location"`
		Body     schemas.ErasureRequest
	}, error) {
		r, err := on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.ErasureRequest, error) {
			b := in.Body
			return h.Erase(ctx, schemas.ErasureRequest{
				ErasureID: b.ID, ContactID: b.ContactID, InteractionID: b.InteractionID, Contacts: b.Contacts, Interactions: b.Interactions,
				SkipUnknown: b.SkipUnknown, DeleteArtifacts: b.DeleteArtifacts,
			})
		})
		if err != nil {
			return nil, err
		}
		return &struct {
			Location string `header:"Location"`
			Body     schemas.ErasureRequest
		}{Prefix + "/erasures/" + r.ErasureID, r}, nil
	})
	register(a, huma.Operation{
		OperationID: "show-erasure", Method: http.MethodGet, Path: "/erasures/{id}", Tags: tags, Summary: "Show how an erasure stands",
	}, func(ctx context.Context, in *ExportPath) (*answer[schemas.Erasure], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Erasure, error) { return h.Erasure(ctx, in.ID) }))
	})
}
