package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Sweep compares bucket and history and repairs what has disagreed for longer than
// the grace: objects of exports history does not know are removed; so are artifacts
// of exports that ended without any; and an export that is completed in history but
// not in the bucket becomes expired, saying what is gone. The error joins what failed.
func (k *Keeper) Sweep(ctx context.Context) (Report, error) {
	var report Report
	var problems problems
	for tenant, err := range k.Objects.Folders(ctx, "") {
		if err != nil {
			return report, err
		}
		if tenant == pipeline.Reserved {
			continue // decisions that outlive every export
		}
		for prefix, err := range k.Objects.Folders(ctx, tenant) {
			if err != nil {
				return report, err
			}
			problems.add(k.sweepObjects(ctx, prefix, &report))
			if ctx.Err() != nil {
				return report, ctx.Err()
			}
		}
	}
	problems.add(k.each(ctx, []schemas.State{schemas.Completed}, func(e schemas.Export) error {
		return k.sweepHistory(ctx, e, &report)
	}))
	return report, problems.err()
}

// sweepObjects looks from the bucket's side at what is stored under one export's
// prefix, "tenant/export/".
func (k *Keeper) sweepObjects(ctx context.Context, prefix string, report *Report) error {
	ids := strings.Split(prefix, "/")
	if len(ids) != 3 {
		return nil
	}
	e, known, err := k.History.Export(ctx, ids[0], ids[1])
	if err != nil {
		return err
	}
	if known && !emptied(e.State) {
		return nil
	}
	objects, err := k.Objects.List(ctx, prefix)
	if err != nil || !settled(objects, k.Now().Add(-k.Grace)) {
		return err
	}
	if known {
		if !slices.ContainsFunc(objects, func(o bucket.Object) bool { return isArtifact(o.Key) }) {
			return nil
		}
		if err := k.Artifacts.Discard(ctx, e.TenantID, e.ExportID); err != nil {
			return err
		}
		k.Logger.Warn("removed artifacts of an export that has none", "tenant", e.TenantID, "export_id", e.ExportID, "state", e.State)
		report.Leftovers++
		k.leftovers.Inc()
		return nil
	}
	// The manifest first, so that nothing ever claims parts that are gone.
	slices.SortStableFunc(objects, func(a, b bucket.Object) int { return order(a.Key) - order(b.Key) })
	for _, o := range objects {
		if err := k.Objects.Remove(ctx, o.Key); err != nil {
			return err
		}
		report.Orphans++
		k.orphans.Inc()
	}
	k.Logger.Warn("removed objects of an export history does not know", "prefix", prefix, "objects", len(objects))
	return nil
}

// emptied reports whether an export in this state has no artifacts any more.
func emptied(s schemas.State) bool {
	return s.Ended() && s != schemas.Completed && s != schemas.Failed
}

// settled reports whether there are objects and none is younger than since.
func settled(objects []bucket.Object, since time.Time) bool {
	return len(objects) > 0 && !slices.ContainsFunc(objects, func(o bucket.Object) bool { return o.Modified.After(since) })
}

// isArtifact tells the files of an export from the documents that decide what it is.
func isArtifact(key string) bool {
	return strings.HasSuffix(key, ".p7m") || order(key) == 0
}

func order(key string) int {
	if strings.HasSuffix(key, "/"+schemas.ManifestName) || strings.HasSuffix(key, "/"+schemas.SignatureName) {
		return 0
	}
	return 1
}

// sweepHistory looks from history's side whether a completed export is all there.
func (k *Keeper) sweepHistory(ctx context.Context, e schemas.Export, report *Report) error {
	if e.UpdatedAt.After(k.Now().Add(-k.Grace)) {
		return nil
	}
	artifacts := warehouse.Artifacts(e)
	gone := 0
	for _, a := range artifacts {
		switch _, err := k.Objects.Stat(ctx, a.Key); {
		case errors.Is(err, bucket.ErrNotFound):
			gone++
		case err != nil:
			return err
		}
	}
	if gone == 0 {
		return nil
	}
	// What was read of history may be what it said before somebody removed them.
	if now, _, err := k.History.Export(ctx, e.TenantID, e.ExportID); err != nil || now.State != schemas.Completed {
		return err
	}
	reason := fmt.Sprintf("lost: of its objects %d of %d are gone from the store; ask for it again under a new id with the same snapshot", gone, len(artifacts))
	if err := k.remove(ctx, e, reason); err != nil {
		return err
	}
	k.Logger.Error("a completed export was not whole", "tenant", e.TenantID, "export_id", e.ExportID, "gone", gone, "of", len(artifacts))
	report.Lost++
	k.lost.Inc()
	return nil
}
