package admin

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"cdds/ops/auth"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// Artifacts lists a page of stored files.
func (h *Handle) Artifacts(ctx context.Context, f ledger.ArtifactFilter, p ledger.Page) (ledger.Listed[ledger.ListedArtifact], error) {
	if err := h.reads(auth.Read); err != nil {
		return ledger.Listed[ledger.ListedArtifact]{}, err
	}
	f.TenantID = h.tenant
	return h.History.ListArtifacts(ctx, f, p)
}

// EachArtifact calls each with the files of one export, parts in order and the manifest last,
// while it returns no error.
// It holds a page of them at a time.
func (h *Handle) EachArtifact(ctx context.Context, exportID string, each func(schemas.Artifact) error) error {
	page := ledger.Page{Sort: "part", Ascending: true, Limit: ledger.MaxPage}
	for {
		listed, err := h.Artifacts(ctx, ledger.ArtifactFilter{ExportID: exportID}, page)
		if err != nil {
			return err
		}
		for _, a := range listed.Rows {
			if err := each(a.Artifact); err != nil {
				return err
			}
		}
		if page.After = listed.Next; page.After == (ledger.Place{}) {
			return nil
		}
	}
}

// OpenArtifact opens a file of a completed export for reading from anywhere in it, and
// leaves a record of that. The caller closes it.
func (h *Handle) OpenArtifact(ctx context.Context, exportID, name string) (schemas.Artifact, io.ReadSeekCloser, error) {
	a, err := h.artifact(ctx, exportID, name)
	if err != nil {
		return a, nil, err
	}
	r, err := h.Objects.OpenRange(ctx, a.Key)
	return a, r, err
}

// LinkArtifact is a URL that fetches the file from the object store for a few minutes
// without other credentials.
func (h *Handle) LinkArtifact(ctx context.Context, exportID, name string) (schemas.Artifact, *url.URL, error) {
	a, err := h.artifact(ctx, exportID, name)
	if err != nil {
		return a, nil, err
	}
	u, err := h.Objects.Link(ctx, a.Key, a.Name, h.LinkLifetime)
	return a, u, err
}

// artifact finds a file that may be fetched, and leaves a record that it is.
func (h *Handle) artifact(ctx context.Context, exportID, name string) (schemas.Artifact, error) {
	if err := h.changes(ctx, auth.Fetch, "export.download", subjectOf(exportID)); err != nil {
		return schemas.Artifact{}, err
	}
	e, err := h.export(ctx, exportID)
	if err != nil {
		return schemas.Artifact{}, err
	}
	file, found, err := h.History.Artifact(ctx, h.tenant, exportID, name)
	switch {
	case err != nil:
		return file, err
	case e.State == schemas.Expired || e.State == schemas.Deleted:
		return schemas.Artifact{}, h.refuse(ctx, "export.download", exportID, fmt.Errorf("%w: export %s is %s", ErrGone, exportID, e.State))
	case !found || !schemas.IsArtifact(exportID, name):
		return schemas.Artifact{}, ErrNotFound
	case e.State != schemas.Completed:
		return schemas.Artifact{}, h.refuse(ctx, "export.download", exportID, &ConflictError{fmt.Sprintf("export %s is %s, not completed: there is nothing whole to fetch", exportID, e.State)})
	}
	// A download in many ranges is one fact for a minute, not thousands.
	record := h.record("export.download", exportID, schemas.OutcomeDone, file.Name)
	record.AuditID = fmt.Sprintf("%s/%s/download/%s/%s/%d", h.tenant, exportID, name, h.who.Subject, h.Now().Unix()/60)
	return file, h.Publisher.Publish(ctx, record)
}
