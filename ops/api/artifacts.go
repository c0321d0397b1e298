package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"cdds/ops/admin"
	"cdds/ops/download"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// ArtifactView is a stored file.
type ArtifactView struct {
	ExportID string `json:"export_id"`
	Name     string `json:"name"`
	Kind     string `json:"kind" enum:"part,removed,attachments,segment,manifest,signature"`
	Part     int    `json:"part,omitempty" doc:"Its number, from 1, of a part."`
	Rows     int64  `json:"rows,omitempty"`
	Size     int64  `json:"size" doc:"In bytes."`
	SHA256   string `json:"sha256"`
	// CreatedAt and the others are when it was stored, goes, and went.
	CreatedAt schemas.Time `json:"created_at"`
	ExpiresAt schemas.Time `json:"expires_at,omitzero" doc:"Absent until the export is completed."`
	RemovedAt schemas.Time `json:"removed_at,omitzero" doc:"Absent while it is there."`
	Href      string       `json:"href" doc:"Where it is fetched."`
}

func artifactView(exportID string, a schemas.Artifact) ArtifactView {
	return ArtifactView{
		exportID, a.Name, a.Kind, a.Part, a.Rows, a.Size, a.SHA256, a.CreatedAt, a.ExpiresAt, a.RemovedAt,
		Prefix + "/exports/" + url.PathEscape(exportID) + "/artifacts/" + url.PathEscape(a.Name),
	}
}

func (a *API) artifacts() {
	tags := []string{"Artifacts"}
	register(a, huma.Operation{
		OperationID: "list-artifacts", Method: http.MethodGet, Path: "/artifacts", Tags: tags, Summary: "List stored files of all exports",
	}, func(ctx context.Context, in *struct {
		Scope
		Paging
		Sort    string `query:"sort" enum:"created_at,name,size,expires_at" default:"created_at"`
		Export  string `query:"export" maxLength:"128"`
		Kind    string `query:"kind" enum:"part,removed,attachments,segment,manifest,signature"`
		Present bool   `query:"present" doc:"Leave out those that were removed."`
	}) (*answer[Listing[ArtifactView]], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (out Listing[ArtifactView], err error) {
			page, err := in.page(in.Sort)
			if err != nil {
				return out, err
			}
			rows, err := h.Artifacts(ctx, ledger.ArtifactFilter{ExportID: in.Export, Kind: in.Kind, Present: in.Present}, page)
			if err != nil {
				return out, err
			}
			return listed(in.Paging, in.Sort, rows, func(r ledger.ListedArtifact) ArtifactView { return artifactView(r.ExportID, r.Artifact) })
		}))
	})
	register(a, huma.Operation{
		OperationID: "list-export-artifacts", Method: http.MethodGet, Path: "/exports/{id}/artifacts", Tags: tags, Summary: "List the files of an export",
		Description: "Parts in order of their numbers, then the manifest and its signature; at most 500 at once.",
	}, func(ctx context.Context, in *struct {
		ExportPath
		Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"500" doc:"At most this many."`
		Cursor string `query:"cursor" maxLength:"2048" doc:"The next of the page before."`
	}) (*answer[Listing[ArtifactView]], error) {
		paging := Paging{Limit: in.Limit, Cursor: in.Cursor, Order: "asc"}
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (out Listing[ArtifactView], err error) {
			page, err := paging.page("part")
			if err != nil {
				return out, err
			}
			if _, err := h.Export(ctx, in.ID); err != nil {
				return out, err
			}
			files, err := h.Artifacts(ctx, ledger.ArtifactFilter{ExportID: in.ID}, page)
			if err != nil {
				return out, err
			}
			return listed(paging, "part", files, func(r ledger.ListedArtifact) ArtifactView { return artifactView(in.ID, r.Artifact) })
		}))
	})
	register(a, huma.Operation{
		OperationID: "fetch-artifact", Method: http.MethodGet, Path: "/exports/{id}/artifacts/{name}", Tags: tags, Summary: "Fetch a file of a completed export",
		Description: "Range requests are honoured, and If-Range and If-None-Match by the SHA-256 in ETag. The answer may be a redirect to a short-lived link.",
		Errors:      []int{400, 401, 403, 404, 409, 410, 422, 429},
		Metadata:    map[string]any{streaming: true},
		Responses: map[string]*huma.Response{
			"200": {Description: "The file", Content: map[string]*huma.MediaType{"application/octet-stream": {}, "application/json": {}, "application/pkcs7-mime": {}}},
			"206": {Description: "A range of it"}, "304": {Description: "You have it"}, "307": {Description: "Fetch it there"}, "416": {Description: "There is no such range"},
		},
	}, func(ctx context.Context, in *struct {
		ExportPath
		Name    string `path:"name" maxLength:"256"`
		Range   string `header:"Range" maxLength:"256"`
		IfRange string `header:"If-Range" maxLength:"256"`
	}) (*huma.StreamResponse, error) {
		return on(ctx, a, in.Scope, func(h *admin.Handle) (*huma.StreamResponse, error) { return a.fetch(ctx, h, in.ID, in.Name) })
	})
}

func (a *API) fetch(ctx context.Context, h *admin.Handle, exportID, name string) (*huma.StreamResponse, error) {
	if a.Links {
		_, u, err := h.LinkArtifact(ctx, exportID, name)
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			r, w := humago.Unwrap(c)
			http.Redirect(w, r, u.String(), http.StatusTemporaryRedirect)
		}}, nil
	}
	file, content, err := h.OpenArtifact(ctx, exportID, name)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		download.Serve(w, r, file, content)
	}}, nil
}
