package admin

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"

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

// ExportArtifacts lists all files of one export.
func (h *Handle) ExportArtifacts(ctx context.Context, exportID string) ([]schemas.Artifact, error) {
	e, err := h.Export(ctx, exportID)
	if err != nil {
		return nil, err
	}
	return schemas.Artifacts(e), nil
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
	files := schemas.Artifacts(e)
	n := slices.IndexFunc(files, func(a schemas.Artifact) bool { return a.Name == name })
	switch {
	case e.State == schemas.Expired || e.State == schemas.Deleted:
		return schemas.Artifact{}, h.refuse(ctx, "export.download", exportID, fmt.Errorf("%w: export %s is %s", ErrGone, exportID, e.State))
	case n < 0:
		return schemas.Artifact{}, ErrNotFound
	case e.State != schemas.Completed:
		return schemas.Artifact{}, h.refuse(ctx, "export.download", exportID, &ConflictError{fmt.Sprintf("export %s is %s, not completed: there is nothing whole to fetch", exportID, e.State)})
	}
	// A download in many ranges is one fact for a minute, not thousands.
	record := h.record("export.download", exportID, schemas.OutcomeDone, files[n].Name)
	record.AuditID = fmt.Sprintf("%s/%s/download/%s/%s/%d", h.tenant, exportID, name, h.who.Subject, h.Now().Unix()/60)
	return files[n], h.Publisher.Publish(ctx, record)
}
