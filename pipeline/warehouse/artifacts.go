package warehouse

import (
	"cmp"
	"time"

	"cdds/schemas"
)

// Artifact is a stored file of an export.
type Artifact struct {
	Name string
	// Kind is part, attachments, manifest or signature.
	Kind string
	// Key is the object's.
	Key  string
	Part int
	Rows int64
	// Size is in bytes.
	Size      int64
	SHA256    string
	CreatedAt schemas.Time
	// ExpiresAt is zero until the export is completed.
	ExpiresAt schemas.Time
	// RemovedAt is zero while the object is there.
	RemovedAt schemas.Time
}

// Artifacts lists the files an export has stored so far: its parts and, once it is
// completed, the manifest and its signature. Names and keys are derived; what events
// say of them does not count.
func Artifacts(e schemas.Export) []Artifact {
	var all []Artifact
	var expires schemas.Time
	if e.Completion != nil {
		expires = e.Completion.ExpiresAt
	}
	prefix, entity := schemas.ExportPrefix(e.TenantID, e.ExportID), e.Entity()
	for _, r := range e.Parts {
		name := schemas.PartName(entity, e.ExportID, r.Part)
		all = append(all, Artifact{
			Name: name, Kind: cmp.Or(r.Kind, "part"), Key: prefix + name, Part: r.Number, Rows: r.Rows,
			Size: r.SealedBytes, SHA256: r.SealedSHA256, CreatedAt: e.UpdatedAt, ExpiresAt: expires,
		})
	}
	if c := e.Completion; c != nil {
		all = append(all,
			Artifact{Name: schemas.ManifestName, Kind: "manifest", Key: prefix + schemas.ManifestName, Size: c.ManifestBytes, SHA256: c.ManifestSHA256, CreatedAt: e.EndedAt, ExpiresAt: expires},
			Artifact{Name: schemas.SignatureName, Kind: "signature", Key: prefix + schemas.SignatureName, Size: c.SignatureBytes, SHA256: c.SignatureSHA256, CreatedAt: e.EndedAt, ExpiresAt: expires})
	}
	for i := range all {
		all[i].RemovedAt = e.RemovedAt
	}
	return all
}

func nullable(t schemas.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t.Time
}
