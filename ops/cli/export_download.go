package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"cdds/ops/api/client"
	"cdds/ops/shell"
	"cdds/schemas"
)

func newExportDownload(s *session) *cobra.Command {
	var tenant, out string
	cmd := &cobra.Command{
		Use:   "download ID",
		Short: "Download a completed export's parts, manifest and signature",
		Long: `Download the parts, manifest and signature of a completed export into a directory.
The command checks every file against its SHA-256. It skips files that are already there and
correct, so you can repeat an interrupted download.

` + exitCodes,
		Example: examples(
			"cdds export download 01JD9Z3Q6W --tenant acme --out history",
			"cdds verify history && cdds decrypt history --cert cert.pem --key key.pem --out plain"),
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.stored(cmd.Context(), tenant, args[0], func(e storedExport) error { return s.downloadTo(cmd.Context(), e, out) })
		},
	}
	tenantFlag(cmd, &tenant)
	cmd.Flags().StringVar(&out, "out", "", "`directory` to write to (default: the export id)")
	return cmd
}

// opener opens a stored file of an export.
type opener func(ctx context.Context, e schemas.Export, a schemas.Artifact) (io.ReadCloser, error)

// storedExport is an export, with the first of its parts, and a way to open its files.
type storedExport struct {
	schemas.Export
	open opener
	// more are some of the parts after a number, in order.
	more func(ctx context.Context, after int) ([]schemas.Receipt, error)
	// record takes a download into the audit trail; a server does that itself.
	record func(detail string) error
}

// storedThere runs do with an export of a server.
func storedThere(ctx context.Context, c *client.Client, tenant, id string, do func(storedExport) error) error {
	e, err := c.Export(ctx, tenant, id)
	if err != nil {
		return err
	}
	return do(storedExport{
		Export: e,
		open: func(ctx context.Context, e schemas.Export, a schemas.Artifact) (io.ReadCloser, error) {
			return c.Fetch(ctx, e.TenantID, e.ExportID, a.Name)
		},
		more: func(ctx context.Context, after int) ([]schemas.Receipt, error) {
			parts, err := c.Parts(ctx, tenant, id, after)
			return parts, answered(err)
		},
		record: func(string) error { return nil },
	})
}

// files gives each the files of a completed export, of whose parts it holds some at a time.
func (e storedExport) files(ctx context.Context, each func(schemas.Artifact)) error {
	some := e.Export
	some.Completion = nil
	for n := 0; n < e.Done.Parts; {
		if n > 0 || len(some.Parts) == 0 {
			var err error
			if some.Parts, err = e.more(ctx, n); err != nil {
				return err
			}
		}
		for _, part := range some.Parts {
			if n++; part.Number != n {
				return fmt.Errorf("history lists part %d of export %s where part %d is expected", part.Number, e.ExportID, n)
			}
		}
		if len(some.Parts) == 0 {
			return fmt.Errorf("history lists %d of the %s of export %s", n, schemas.Counted(e.Done.Parts, "part"), e.ExportID)
		}
		for _, a := range schemas.Artifacts(some) {
			each(a)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	some.Parts, some.Completion = nil, e.Completion
	for _, a := range schemas.Artifacts(some) { // manifest and signature
		each(a)
	}
	return nil
}

// downloadTo fetches a completed export into dir, after it was recorded.
func (s *session) downloadTo(ctx context.Context, e storedExport, dir string) error {
	if e.State == schemas.Expired || e.State == schemas.Deleted {
		return refused(fmt.Errorf("the artifacts of export %s are gone since %s: %s", e.ExportID, e.RemovedAt, e.Reason))
	}
	if e.State != schemas.Completed {
		return refused(withHint(fmt.Errorf("export %s is %s, not completed: there is nothing to download", e.ExportID, e.State),
			fmt.Sprintf("`%s` shows its progress", showCommand(e.Export))))
	}
	if dir == "" {
		dir = schemas.ExportDir(e.ExportID)
	}
	if err := e.record(schemas.Counted(e.Done.Parts+2, "file") + ", " + schemas.Counted(e.Done.SealedBytes, "byte")); err != nil {
		return err
	}
	if err := s.download(ctx, e, dir); err != nil {
		return err
	}
	signer := "SERVICE.pem"
	if c := e.Completion; c != nil && c.SignerSHA256 != "" {
		signer = c.SignerSHA256
	}
	return s.result(map[string]any{
		"export_id": e.ExportID, "tenant_id": e.TenantID, "state": e.State, "dir": dir, "files": e.Done.Parts + 2, "bytes": e.Done.SealedBytes,
	}, func() {
		s.print("%s, %s, with manifest and signature, in %s\nCheck them: %s\n", schemas.Counted(e.Done.Parts, "part"), size(e.Done.SealedBytes), dir, shell.Command("cdds", "verify", dir, "--signer", signer))
	})
}

// showCommand is the command that shows the state of an export.
func showCommand(e schemas.Export) string {
	return shell.Command("cdds", "export", "show", e.ExportID, "--tenant", e.TenantID)
}

// downloadsAtOnce bounds the files fetched together.
const downloadsAtOnce = 4

func (s *session) download(ctx context.Context, e storedExport, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	total := e.Done.SealedBytes
	if c := e.Completion; c != nil {
		total += c.ManifestBytes + c.SignatureBytes
	}
	bar := s.newBar("downloading", total)
	var done atomic.Int64
	group, fetching := errgroup.WithContext(ctx)
	group.SetLimit(downloadsAtOnce)
	err := e.files(fetching, func(a schemas.Artifact) {
		group.Go(func() error {
			return fetch(fetching, e.open, e.Export, a, dir, func(n int64) { bar.set(done.Add(n), total) })
		})
	})
	err = cmp.Or(group.Wait(), ctx.Err(), err) // what ends the group ends the listing
	bar.end(err)
	return err
}

// fetch downloads one file beside its final name and renames it once its size and
// digest are right.
func fetch(ctx context.Context, open opener, e schemas.Export, a schemas.Artifact, dir string, progress func(int64)) (err error) {
	path := filepath.Join(dir, a.Name)
	if have, err := digestFile(path); err == nil && have == a.SHA256 {
		progress(a.Size)
		return nil
	}
	r, err := open(ctx, e, a)
	if err != nil {
		return err
	}
	defer r.Close()
	temp, err := os.CreateTemp(dir, ".download-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(temp, sum, counting(progress)), r)
	if err = errors.Join(err, temp.Chmod(0o644), temp.Close()); err != nil {
		return fmt.Errorf("download %s: %w", a.Name, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != a.SHA256 {
		return unproven(fmt.Errorf("%s has the SHA-256 %s where history says %s", a.Name, got, a.SHA256))
	}
	return os.Rename(temp.Name(), path)
}

type counting func(int64)

func (c counting) Write(p []byte) (int, error) {
	c(int64(len(p)))
	return len(p), nil
}

func digestFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return hex.EncodeToString(sum.Sum(nil)), errors.Join(err, f.Close())
}
