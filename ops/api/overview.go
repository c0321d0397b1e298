package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"cdds/ops/admin"
	"cdds/ops/auth"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// OverviewView is how the system does, for a tenant or for all of them.
type OverviewView struct {
	Exports       map[string]int64         `json:"exports" doc:"How many exports there are in each state."`
	ExportedRows  int64                    `json:"exported_rows" doc:"How many rows all completed exports hold."`
	Artifacts     int64                    `json:"artifacts" doc:"How many files are stored."`
	ArtifactBytes int64                    `json:"artifact_bytes" doc:"Their size."`
	Hours         []HourView               `json:"hours" nullable:"false" doc:"Interactions that began in each of the last 24 hours that had any."`
	Lag           map[string]int64         `json:"lag" doc:"How many records each topic has that are not stored yet, of all tenants."`
	Expiring      []schemas.CertificateRef `json:"expiring_certificates" nullable:"false" doc:"Certificates in use that end within 30 days."`
	AsOf          schemas.Time             `json:"as_of" doc:"When the counts were made, a moment ago: the longer counting takes, the less often it is done. The lag is as of now."`
}

// HourView is how many interactions began in an hour.
type HourView struct {
	Hour         schemas.Time `json:"hour"`
	Interactions int64        `json:"interactions"`
}

func overviewView(o admin.Overview) OverviewView {
	v := OverviewView{
		Exports: o.Exports, ExportedRows: o.ExportedRows, Artifacts: o.Artifacts, ArtifactBytes: o.ArtifactBytes,
		Hours: []HourView{}, Lag: map[string]int64{}, Expiring: append([]schemas.CertificateRef{}, o.Expiring...), AsOf: o.AsOf,
	}
	for _, h := range o.Hours {
		v.Hours = append(v.Hours, HourView(h))
	}
	for topic, n := range o.Lag {
		v.Lag[string(topic)] = n
	}
	return v
}

func (a *API) overview() {
	tags := []string{"Overview"}
	register(a, huma.Operation{
		OperationID: "overview", Method: http.MethodGet, Path: "/overview", Tags: tags, Summary: "How the system does",
	}, func(ctx context.Context, in *struct{ Scope }) (*answer[OverviewView], error) {
		o, err := on(ctx, a, in.Scope, func(h *admin.Handle) (admin.Overview, error) { return h.Overview(ctx) })
		return give(overviewView(o), err)
	})
	register(a, huma.Operation{
		OperationID: "list-queues", Method: http.MethodGet, Path: "/queues", Tags: tags, Summary: "Which of some names are queues",
	}, func(ctx context.Context, in *struct {
		Scope
		Names []string `query:"name,explode" required:"true" minItems:"1" maxItems:"256" doc:"Names of queues; repeatable."`
	}) (*answer[Listing[string]], error) {
		queues, err := on(ctx, a, in.Scope, func(h *admin.Handle) ([]string, error) { return h.QueuesAmong(ctx, in.Names) })
		return give(all(queues, same), err)
	})
	register(a, huma.Operation{
		OperationID: "list-tenants", Method: http.MethodGet, Path: "/tenants", Tags: tags, Summary: "List the tenants you see",
		Description: "Those that have interactions, contacts, exports, jobs, certificates or users, by id.",
	}, func(ctx context.Context, in *struct {
		Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"At most this many."`
		Cursor string `query:"cursor" maxLength:"2048" doc:"The next of the page before; the other parameters must be the same."`
		Q      string `query:"q" maxLength:"256" doc:"Part of the tenant's id."`
		Prefix string `query:"prefix" maxLength:"256" doc:"What the tenant's id begins with. Give q or prefix, not both."`
	}) (*answer[Listing[string]], error) {
		p, ok := auth.From(ctx)
		if !ok {
			return nil, auth.ErrSession
		}
		if in.Q != "" && in.Prefix != "" {
			return nil, &schemas.InvalidError{Problems: []string{"prefix: give q or prefix: a list is of ids that contain a text, or of those that begin with one"}}
		}
		paging := Paging{Limit: in.Limit, Cursor: in.Cursor, Order: "asc"}
		page, err := paging.page("tenant")
		if err != nil {
			return nil, err
		}
		tenants, more, err := a.Admin.Tenants(ctx, p, admin.TenantPage{Containing: in.Q, Prefix: in.Prefix, After: page.After.ID, Limit: in.Limit})
		if err != nil {
			return nil, err
		}
		found := ledger.Listed[string]{Rows: tenants}
		if more {
			found.Next = ledger.Place{ID: tenants[len(tenants)-1]}
		}
		return give(listed(paging, "tenant", found, same))
	})
}
