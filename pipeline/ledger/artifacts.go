package ledger

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/schemas"
)

// SaveArtifacts lists the artifacts of those parts of exports that come with them, and the
// manifests and signatures.
func (l *Ledger) SaveArtifacts(ctx context.Context, exports []schemas.Export) error {
	const columns = "tenant_id, export_id, name, kind, object_key, part, rows, size, sha256, created_at, expires_at, removed_at, version"
	return l.db.Insert(ctx, "artifacts", columns, func(block driver.Batch) error {
		for _, e := range exports {
			for _, a := range schemas.Artifacts(e) {
				err := block.Append(e.TenantID, e.ExportID, a.Name, a.Kind, a.Key, uint32(a.Part), uint64(a.Rows), uint64(a.Size), a.SHA256,
					a.CreatedAt.Time, nullable(a.ExpiresAt), nullable(a.RemovedAt), uint64(e.Events))
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// partsAtOnce is how many parts SaveAllArtifacts lists in one insert.
const partsAtOnce = 5000

// SaveAllArtifacts lists the artifacts of all stored parts of an export again: once it is
// completed they expire, and later they are gone.
func (l *Ledger) SaveAllArtifacts(ctx context.Context, e schemas.Export) error {
	listed := e
	listed.Parts = nil
	save := func() error {
		some := listed
		listed.Parts = listed.Parts[:0]
		return l.SaveArtifacts(ctx, []schemas.Export{some})
	}
	err := l.EachPart(ctx, [][2]string{{e.TenantID, e.ExportID}}, func(_ [2]string, r schemas.Receipt) error {
		if listed.Parts = append(listed.Parts, r); len(listed.Parts) < partsAtOnce {
			return nil
		}
		return save()
	})
	if err != nil {
		return err
	}
	return save()
}

// Artifact returns a stored file of an export by its name, and whether it exists.
func (l *Ledger) Artifact(ctx context.Context, tenantID, exportID, name string) (schemas.Artifact, bool, error) {
	var c conditions
	c.key("tenant_id = {tenant:String}", "tenant", tenantID)
	c.key("export_id = {export:String}", "export", exportID)
	c.key("name = {name:String}", "name", name)
	found, err := list(ctx, l, artifactListing, Page{Limit: 1}, c, scanArtifact(tenantID))
	if err != nil || len(found.Rows) == 0 {
		return schemas.Artifact{}, false, err
	}
	return found.Rows[0].Artifact, true, nil
}
