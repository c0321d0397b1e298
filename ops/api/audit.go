package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"cdds/ops/admin"
	"cdds/ops/spreadsheet"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// AuditFilter says which records of the audit trail.
type AuditFilter struct {
	Subject string       `query:"subject" maxLength:"256" doc:"Only what was done to this."`
	Actor   string       `query:"actor" maxLength:"128" doc:"Part of who did it."`
	Action  string       `query:"action" maxLength:"64" doc:"How the action begins, such as export."`
	Outcome []string     `query:"outcome" maxItems:"3" doc:"done, refused, failed; comma separated."`
	From    schemas.Time `query:"from" doc:"Done at or after."`
	To      schemas.Time `query:"to" doc:"Done before."`
}

func (f AuditFilter) filter() ledger.AuditFilter {
	return ledger.AuditFilter{Subject: f.Subject, Actor: f.Actor, Action: f.Action, Outcomes: f.Outcome, From: f.From, To: f.To}
}

func (a *API) audit() {
	const scope = "Who sees all tenants and names none gets what is of no one tenant, such as changes of users."
	register(a, huma.Operation{
		OperationID: "list-audit", Method: http.MethodGet, Path: "/audit", Tags: []string{"Audit"}, Summary: "List who did what", Description: scope,
	}, func(ctx context.Context, in *struct {
		Scope
		Paging
		AuditFilter
		Sort string `query:"sort" enum:"time,action,actor" default:"time"`
	}) (*answer[Listing[schemas.AuditRecord]], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (out Listing[schemas.AuditRecord], err error) {
			page, err := in.page(in.Sort)
			if err != nil {
				return out, err
			}
			rows, err := h.Audit(ctx, in.filter(), page)
			if err != nil {
				return out, err
			}
			return listed(in.Paging, in.Sort, rows, same)
		}))
	})
	register(a, huma.Operation{
		OperationID: "export-audit", Method: http.MethodGet, Path: "/audit/export", Tags: []string{"Audit"}, Summary: "Fetch the whole audit trail as a file",
		Description: "All records that the filter selects, the earliest first: JSON Lines, each line as list-audit shows it, or CSV with a header. A connection that breaks off means that records are missing. " + scope,
		Metadata:    map[string]any{streaming: true},
		Responses: map[string]*huma.Response{"200": {Description: "The records", Content: map[string]*huma.MediaType{
			"application/jsonl": {Schema: &huma.Schema{Type: huma.TypeString}}, "text/csv": {Schema: &huma.Schema{Type: huma.TypeString}},
		}}},
	}, func(ctx context.Context, in *struct {
		Scope
		AuditFilter
		Format string `query:"format" enum:"jsonl,csv" default:"jsonl"`
	}) (*huma.StreamResponse, error) {
		return on(ctx, a, in.Scope, func(h *admin.Handle) (*huma.StreamResponse, error) {
			// The first page is read before the answer begins, so that what fails is a problem.
			next := auditPages(h, in.filter())
			first, err := within(ctx, next)
			if err != nil {
				return nil, err
			}
			return &huma.StreamResponse{Body: func(c huma.Context) {
				r, w := humago.Unwrap(c)
				if sendAudit(r.Context(), w, in.Format, first, next) != nil {
					panic(http.ErrAbortHandler) // what was sent must not look whole
				}
			}}, nil
		})
	})
}

// pages returns the next page of a listing; an empty one is the end.
type pages func(ctx context.Context) ([]schemas.AuditRecord, error)

// auditPages reads an audit trail, the earliest first.
func auditPages(h *admin.Handle, f ledger.AuditFilter) pages {
	page, ended := ledger.Page{Sort: "time", Ascending: true, Limit: ledger.MaxPage}, false
	return func(ctx context.Context) ([]schemas.AuditRecord, error) {
		if ended {
			return nil, nil
		}
		found, err := h.Audit(ctx, f, page)
		page.After, ended = found.Next, found.Next == ledger.Place{}
		return found.Rows, err
	}
}

// within reads a page in the time that a request may take.
func within(ctx context.Context, next pages) ([]schemas.AuditRecord, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return next(ctx)
}

// sendAudit writes pages of records as a file.
func sendAudit(ctx context.Context, w http.ResponseWriter, format string, page []schemas.AuditRecord, next pages) error {
	control, rows := http.NewResponseController(w), spreadsheet.New(w)
	header := w.Header()
	header.Set("Content-Type", "application/jsonl")
	header.Set("Content-Disposition", `attachment; filename="audit.`+format+`"`)
	if format == "csv" {
		header.Set("Content-Type", "text/csv; charset=utf-8; header=present")
		if err := rows.Write("time", "tenant_id", "actor", "from", "action", "subject", "outcome", "detail", "id"); err != nil {
			return err
		}
	}
	for len(page) > 0 {
		// A reader that does not read is not waited for for ever.
		_ = control.SetWriteDeadline(time.Now().Add(requestTimeout))
		for _, r := range page {
			if err := sendRecord(w, rows, format, r); err != nil {
				return err
			}
		}
		var err error
		if page, err = within(ctx, next); err != nil {
			return err
		}
	}
	return rows.Flush()
}

func sendRecord(w http.ResponseWriter, rows *spreadsheet.Writer, format string, r schemas.AuditRecord) error {
	if format == "csv" {
		return rows.Write(r.Time.String(), r.TenantID, r.Actor, r.From, r.Action, r.Subject, r.Outcome, r.Detail, r.AuditID)
	}
	line, err := schemas.Encode(r)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
