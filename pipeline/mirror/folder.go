package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"cdds/pipeline/receiver"
	"cdds/schemas"
)

// Folder is a Feed of exports that lie in a directory, each in one of its own or all of
// them deeper, as a carrier brought them who has no way to the service.
type Folder struct {
	Dir string
	// JobID chooses among the chains of several jobs; empty if there is one.
	JobID string

	found map[string]string // the directories of the runs that Runs read, by the digest of the manifest
}

// Runs reads the manifests, whose signatures are checked only when a run is applied.
func (f *Folder) Runs(ctx context.Context, after int) (schemas.ChainRuns, error) {
	all := schemas.ChainRuns{JobID: f.JobID}
	f.found = map[string]string{}
	err := f.each(ctx, func(dir string, m *schemas.Manifest, sum string) error {
		if m.Chain == nil || f.JobID != "" && m.Chain.JobID != f.JobID {
			return nil
		}
		if all.JobID != "" && all.JobID != m.Chain.JobID {
			return fmt.Errorf("%s has runs of several jobs, %s and %s: choose one with --job", f.Dir, all.JobID, m.Chain.JobID)
		}
		all.JobID, all.Entity = m.Chain.JobID, m.Filter.Entity
		if m.Chain.Number > after {
			f.found[sum] = dir
			all.Runs = append(all.Runs, schemas.ChainRun{
				Number: m.Chain.Number, ExportID: m.ExportID, PreviousExportID: m.Chain.PreviousExportID, ManifestSHA256: sum,
				CompletedAt: m.CreatedAt, ExpiresAt: m.ExpiresAt, Totals: m.Totals,
			})
		}
		return nil
	})
	slices.SortFunc(all.Runs, func(a, b schemas.ChainRun) int { return a.Number - b.Number })
	if err == nil && all.Entity == "" {
		err = fmt.Errorf("%s has no run of a job that exports what came since its last run", f.Dir)
	}
	return all, err
}

// each calls found with every manifest in the directory, without its parts.
func (f *Folder) each(ctx context.Context, found func(dir string, m *schemas.Manifest, sum string) error) (err error) {
	root, err := os.OpenRoot(f.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil || d.IsDir() || d.Name() != schemas.ManifestName {
			return err
		}
		content, err := root.Open(name)
		if err != nil {
			return err
		}
		defer content.Close()
		m, sum, err := receiver.ReadManifest(content)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return found(filepath.Join(f.Dir, filepath.FromSlash(path.Dir(name))), m, sum)
	})
}

// Fetch returns the directory that the run lies in.
func (f *Folder) Fetch(_ context.Context, run schemas.ChainRun, _ string) (string, error) {
	dir, ok := f.found[run.ManifestSHA256]
	if !ok {
		return "", fmt.Errorf("%s does not have it", f.Dir)
	}
	return dir, nil
}

// Acknowledge tells nobody.
func (f *Folder) Acknowledge(context.Context, Position) error { return nil }
