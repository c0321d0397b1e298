package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"cdds/ops/admin"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// ExportInput is what an export is asked for with.
type ExportInput struct {
	ID          string               `json:"export_id,omitempty" maxLength:"128" doc:"A new one if not given."`
	Entity      string               `json:"entity" enum:"interaction,contact"`
	From        schemas.Time         `json:"from" doc:"The first instant of the range."`
	To          schemas.Time         `json:"to" doc:"The first instant after the range."`
	MediaTypes  []string             `json:"media_types,omitempty" maxItems:"16" doc:"Only these; all if not given."`
	Queues      []string             `json:"queues,omitempty" maxItems:"64"`
	Directions  []string             `json:"directions,omitempty" maxItems:"64"`
	Statuses    []string             `json:"statuses,omitempty" maxItems:"64"`
	Attributes  map[string]string    `json:"attributes,omitempty" maxProperties:"64" doc:"Only what has these attributes."`
	Contacts    []string             `json:"contacts,omitempty" maxItems:"10000" doc:"Only rows of these contacts, by contact_id, each named once. The role privacy suffices; a reason is required."`
	Reason      string               `json:"reason,omitempty" maxLength:"4096" doc:"Why the data of these contacts is needed, for the audit trail."`
	SplitSize   int64                `json:"split_size,omitempty" doc:"JSON Lines bytes of a part, 64 KiB to 256 MiB; 0 means 64 MiB."`
	Encoding    string               `json:"encoding,omitempty" enum:"smime,der"`
	Cipher      string               `json:"cipher,omitempty" enum:"aes-256-cbc,aes-256-gcm" doc:"aes-256-cbc, which every reader opens, if not given; aes-256-gcm is AuthEnvelopedData."`
	Transport   string               `json:"key_transport,omitempty" enum:"rsa-pkcs1v15,rsa-oaep" doc:"rsa-pkcs1v15, which every reader opens, if not given."`
	Compression string               `json:"compression,omitempty" enum:"standard,fast" doc:"fast: larger files, sooner."`
	Attachments string               `json:"attachments,omitempty" enum:"included,none" doc:"included, as parts of their own with the contents, if not given."`
	FieldPolicy *schemas.FieldPolicy `json:"field_policy,omitempty" doc:"What of each row the export hides: members by JSON Pointer that are left out, cut short or become pseudonyms."`
	Names       string               `json:"names,omitempty" enum:"genesys" doc:"Whose field names each row has next to ours; none if not given."`
	Recipients  []schemas.Recipient  `json:"recipients,omitempty" maxItems:"32" doc:"Who can decrypt: fingerprints of registered certificates. At least one; an estimate needs none."`
	SinceExport string               `json:"since_export,omitempty" maxLength:"128" doc:"Continue this completed export."`
	AsOf        string               `json:"as_of,omitempty" maxLength:"128" doc:"Repeat the snapshot of this export."`
	Retention   int                  `json:"retention_days,omitempty" minimum:"0" maximum:"3660" doc:"How long artifacts live; 0 means as long as the tenant's may."`
}

func (i ExportInput) request() schemas.ExportRequest {
	return schemas.ExportRequest{
		ExportID: i.ID, Entity: i.Entity, From: i.From, To: i.To, MediaTypes: i.MediaTypes,
		Match:    schemas.Match{Queues: i.Queues, Directions: i.Directions, Statuses: i.Statuses, Attributes: i.Attributes},
		Contacts: i.Contacts, Reason: i.Reason,
		SplitSize: i.SplitSize, Encoding: i.Encoding, Cipher: i.Cipher, KeyTransport: i.Transport, Attachments: i.Attachments, Compression: i.Compression,
		FieldPolicy: i.FieldPolicy, Names: i.Names, Recipients: i.Recipients, SinceExport: i.SinceExport, RetentionDays: i.Retention,
	}
}

// repeated is the request as of the snapshot of the export that it names to repeat.
func (i ExportInput) repeated(ctx context.Context, h *admin.Handle) (schemas.ExportRequest, error) {
	r := i.request()
	if i.AsOf == "" {
		return r, nil
	}
	earlier, err := h.Export(ctx, i.AsOf)
	if err != nil {
		return r, err
	}
	if earlier.Snapshot == nil || earlier.Request == nil || earlier.Request.Entity != r.Entity {
		return r, &admin.ConflictError{Reason: "export " + i.AsOf + " has no snapshot to repeat for " + r.Entity}
	}
	r.Snapshot = earlier.Snapshot
	return r, nil
}

// ExportPath names an export (or another thing of a tenant) by its id.
type ExportPath struct {
	Scope
	ID string `path:"id" maxLength:"128" doc:"The export's id."`
}

func (a *API) exports() {
	tags := []string{"Exports"}
	register(a, huma.Operation{
		OperationID: "list-exports", Method: http.MethodGet, Path: "/exports", Tags: tags, Summary: "List exports",
		Description: "Without their lists of parts.",
	}, func(ctx context.Context, in *struct {
		Scope
		Paging
		Sort   string       `query:"sort" enum:"requested_at,updated_at,export_id,state,rows" default:"requested_at"`
		State  []string     `query:"state" maxItems:"16" doc:"Only these states, comma separated."`
		Entity string       `query:"entity" enum:"interaction,contact"`
		Job    string       `query:"job" maxLength:"128" doc:"Only runs of this job."`
		Text   string       `query:"q" maxLength:"128" doc:"Part of the id or of who requested it."`
		From   schemas.Time `query:"from" doc:"Requested at or after."`
		To     schemas.Time `query:"to" doc:"Requested before."`
	}) (*answer[Listing[schemas.Export]], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (Listing[schemas.Export], error) {
			page, err := in.page(in.Sort)
			if err != nil {
				return Listing[schemas.Export]{}, err
			}
			rows, err := h.Exports(ctx, ledger.ExportFilter{States: in.State, Entity: in.Entity, JobID: in.Job, Text: in.Text, From: in.From, To: in.To}, page)
			if err != nil {
				return Listing[schemas.Export]{}, err
			}
			return listed(in.Paging, in.Sort, rows, same)
		}))
	})
	register(a, huma.Operation{
		OperationID: "create-export", Method: http.MethodPost, Path: "/exports", Tags: tags, Summary: "Ask for an export", DefaultStatus: http.StatusAccepted,
		Description: "Repeating the request with the same Idempotency-Key returns the same export. Follow it at Location. If the tenant's quota is used up the answer is 429, with the reason and Retry-After.",
		Errors:      []int{400, 401, 403, 404, 409, 422, 429},
	}, func(ctx context.Context, in *struct {
		Scope
		Key  string `header:"Idempotency-Key" maxLength:"256"`
		Body ExportInput
	}) (*accepted, error) {
		return requested(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Export, error) {
			r, err := in.Body.repeated(ctx, h)
			if err != nil {
				return schemas.Export{}, err
			}
			return h.CreateExport(ctx, r, in.Key)
		})
	})
	register(a, huma.Operation{
		OperationID: "estimate-export", Method: http.MethodPost, Path: "/estimates", Tags: tags, Summary: "Estimate an export before requesting it",
		Description: "Exact rows, parts and bytes as of what is stored, and size and duration expected from recent exports of the tenant. Nothing is requested. recipients may be empty.",
	}, func(ctx context.Context, in *struct {
		Scope
		Body ExportInput
	}) (*answer[schemas.Estimate], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Estimate, error) {
			r, err := in.Body.repeated(ctx, h)
			if err != nil {
				return schemas.Estimate{}, err
			}
			return h.Estimate(ctx, r)
		}))
	})
	register(a, huma.Operation{
		OperationID: "show-export", Method: http.MethodGet, Path: "/exports/{id}", Tags: tags, Summary: "Show an export with its parts",
		Description: "Of an export with more than 500 stored parts it has the first 500. /exports/{id}/parts has the others.",
	}, func(ctx context.Context, in *ExportPath) (*answer[schemas.Export], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Export, error) {
			e, err := h.Export(ctx, in.ID)
			if err == nil && e.Done.Parts > 0 {
				e.Parts, err = h.Parts(ctx, in.ID, 0, ledger.MaxPage)
			}
			return e, err
		}))
	})
	register(a, huma.Operation{
		OperationID: "list-parts", Method: http.MethodGet, Path: "/exports/{id}/parts", Tags: tags, Summary: "List the stored parts of an export after a number",
		Description: "In order of their numbers. Fewer than limit are all that are stored.",
	}, func(ctx context.Context, in *struct {
		ExportPath
		After int `query:"after" minimum:"0" default:"0" doc:"The number of the last part that is known."`
		Limit int `query:"limit" minimum:"1" maximum:"500" default:"500" doc:"At most this many."`
	}) (*answer[Listing[schemas.Receipt]], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (Listing[schemas.Receipt], error) {
			if _, err := h.Export(ctx, in.ID); err != nil {
				return Listing[schemas.Receipt]{}, err
			}
			parts, err := h.Parts(ctx, in.ID, in.After, in.Limit)
			return all(parts, same), err
		}))
	})
	register(a, huma.Operation{
		OperationID: "clone-export", Method: http.MethodPost, Path: "/exports/{id}/clone", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Ask for another export of the same content, as of now", Errors: []int{400, 401, 403, 404, 409, 422, 429},
	}, func(ctx context.Context, in *ExportPath) (*accepted, error) {
		return requested(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Export, error) { return h.CloneExport(ctx, in.ID) })
	})
	for _, control := range []struct {
		id, method, path, summary string
		do                        func(*admin.Handle, context.Context, string) error
	}{
		{"cancel-export", http.MethodPost, "/exports/{id}/cancel", "End an export that has not ended, and remove what it stored", (*admin.Handle).CancelExport},
		{"retry-export", http.MethodPost, "/exports/{id}/retry", "Take a failed export up again", (*admin.Handle).RetryExport},
		{"delete-export", http.MethodDelete, "/exports/{id}", "Remove the artifacts of an export that has ended; its history stays", (*admin.Handle).DeleteExport},
	} {
		register(a, huma.Operation{
			OperationID: control.id, Method: control.method, Path: control.path, Tags: tags, Summary: control.summary,
			DefaultStatus: http.StatusAccepted, Errors: []int{400, 401, 403, 404, 409, 422, 429},
		}, func(ctx context.Context, in *ExportPath) (*accepted, error) {
			return acceptedOf(on(ctx, a, in.Scope, func(h *admin.Handle) (schemas.Export, error) {
				if err := control.do(h, ctx, in.ID); err != nil {
					return schemas.Export{}, err
				}
				return h.Export(ctx, in.ID)
			}))
		})
	}
	a.events()
}
