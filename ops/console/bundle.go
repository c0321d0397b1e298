package console

import (
	"archive/tar"
	"io"
	"mime"
	"net/http"
	"path"

	"cdds/ops/admin"
	"cdds/schemas"
)

// bundle streams all files of an export as one tar file, in a directory of the export's name:
// what `cdds verify` and `cdds decrypt` take. The files are sealed already, so it is not
// compressed. Where a file cannot be read to its end, the connection breaks off.
func (q *request) bundle() error {
	e, err := q.Export(q.r.Context(), q.r.PathValue("export"))
	if err != nil {
		return err
	}
	var names []string
	err = q.EachArtifact(q.r.Context(), e.ExportID, func(a schemas.Artifact) error {
		if a.RemovedAt.IsZero() {
			names = append(names, a.Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if e.State != schemas.Completed || len(names) == 0 {
		return &admin.ConflictError{Reason: "the export is not completed, or its files are gone; there is nothing to download"}
	}
	dir := schemas.ExportDir(e.ExportID)
	// The first file is opened before anything is answered: an error is still a page.
	first, content, err := q.OpenArtifact(q.r.Context(), e.ExportID, names[0])
	if err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("Content-Type", "application/x-tar")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": dir + ".tar"}))
	out := tar.NewWriter(q.w)
	err = add(out, dir, first, content)
	for _, name := range names[1:] {
		if err != nil {
			break
		}
		var a schemas.Artifact
		if a, content, err = q.OpenArtifact(q.r.Context(), e.ExportID, name); err == nil {
			err = add(out, dir, a, content)
		}
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		panic(http.ErrAbortHandler) // the client sees that the file is cut short
	}
	return nil
}

func add(out *tar.Writer, dir string, a schemas.Artifact, content io.ReadCloser) error {
	defer func() { _ = content.Close() }()
	err := out.WriteHeader(&tar.Header{Name: path.Join(dir, a.Name), Size: a.Size, Mode: 0o600, ModTime: a.CreatedAt.Time})
	if err != nil {
		return err
	}
	_, err = io.CopyN(out, content, a.Size)
	return err
}
