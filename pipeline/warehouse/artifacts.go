package warehouse

import (
	"cmp"
	"path"
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
// completed, the manifest and its signature.
func Artifacts(e schemas.Export) []Artifact {
	var all []Artifact
	var expires schemas.Time
	if e.Completion != nil {
		expires = e.Completion.ExpiresAt
	}
	for _, r := range e.Parts {
		all = append(all, Artifact{
			Name: r.Name, Kind: cmp.Or(r.Kind, "part"), Key: r.Key, Part: r.Number, Rows: r.Rows,
			Size: r.SealedBytes, SHA256: r.SealedSHA256, CreatedAt: e.UpdatedAt, ExpiresAt: expires,
		})
	}
	if c := e.Completion; c != nil {
		all = append(all,
			Artifact{Name: path.Base(c.ManifestKey), Kind: "manifest", Key: c.ManifestKey, Size: c.ManifestBytes, SHA256: c.ManifestSHA256, CreatedAt: e.EndedAt, ExpiresAt: expires},
			Artifact{Name: path.Base(c.SignatureKey), Kind: "signature", Key: c.SignatureKey, Size: c.SignatureBytes, SHA256: c.SignatureSHA256, CreatedAt: e.EndedAt, ExpiresAt: expires})
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
