package schemas

import "cmp"

// Artifact is a stored file of an export.
type Artifact struct {
	Name string
	// Kind is part, removed, attachments, segment, manifest or signature.
	Kind string
	// Key is the object's.
	Key  string
	Part int
	Rows int64
	// Size is in bytes.
	Size      int64
	SHA256    string
	CreatedAt Time
	// ExpiresAt is zero until the export is completed.
	ExpiresAt Time
	// RemovedAt is zero while the object is there.
	RemovedAt Time
}

// Artifacts lists the files an export has stored so far: its parts, their segments and, once it is
// completed, the manifest and its signature. Names and keys are derived; what events
// say of them does not count.
func Artifacts(e Export) []Artifact {
	var all []Artifact
	var expires Time
	if e.Completion != nil {
		expires = e.Completion.ExpiresAt
	}
	prefix, entity := ExportPrefix(e.TenantID, e.ExportID), e.Entity()
	for _, r := range e.Parts {
		name := PartName(entity, e.ExportID, r.Part)
		all = append(all, Artifact{
			Name: name, Kind: cmp.Or(r.Kind, "part"), Key: prefix + name, Part: r.Number, Rows: r.Rows,
			Size: r.SealedBytes, SHA256: r.SealedSHA256, CreatedAt: e.UpdatedAt, ExpiresAt: expires,
		})
		for i, s := range r.Segments {
			name := SegmentName(e.ExportID, r.Part, i+1)
			all = append(all, Artifact{
				Name: name, Kind: "segment", Key: prefix + name, Part: r.Number,
				Size: s.SealedBytes, SHA256: s.SealedSHA256, CreatedAt: e.UpdatedAt, ExpiresAt: expires,
			})
		}
	}
	if c := e.Completion; c != nil {
		all = append(all,
			Artifact{Name: ManifestName, Kind: "manifest", Key: prefix + ManifestName, Size: c.ManifestBytes, SHA256: c.ManifestSHA256, CreatedAt: e.EndedAt, ExpiresAt: expires},
			Artifact{Name: SignatureName, Kind: "signature", Key: prefix + SignatureName, Size: c.SignatureBytes, SHA256: c.SignatureSHA256, CreatedAt: e.EndedAt, ExpiresAt: expires})
	}
	for i := range all {
		all[i].RemovedAt = e.RemovedAt
	}
	return all
}
