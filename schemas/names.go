package schemas

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Every object key and file name of an export is made here, from tenant, export and
// part. What events, manifests or directories say of names is compared with these, and
// never used in their place: whoever may write an event must not choose what is opened,
// deleted or run.

// ExportPrefix is where everything of an export is stored. Tenant and export ids are
// limited to characters that cannot leave it.
func ExportPrefix(tenantID, exportID string) string { return tenantID + "/" + exportID + "/" }

// PartName is the file name of a part, such as "interaction-01JD-0001.jsonl.zip.p7m".
func PartName(entity, exportID string, p Part) string {
	return fmt.Sprintf("%s-%s-%04d%s", p.subject(entity), exportID, p.Number, partSuffix)
}

// EntryName is the name of the JSON Lines in a part's zip: its rows, or its index. It
// leaves out the export id, so that equal content gives an equal zip.
func EntryName(entity string, p Part) string {
	return fmt.Sprintf("%s-%04d.jsonl", p.subject(entity), p.Number)
}

const partSuffix = ".jsonl.zip.p7m"

// SegmentName is the file name of a segment of a part's attachment, from 1, such as
// "attachments-01JD-0002.001.p7m".
func SegmentName(exportID string, p Part, n int) string {
	return fmt.Sprintf("%s-%s-%04d.%03d%s", KindAttachments, exportID, p.Number, n, segmentSuffix)
}

const segmentSuffix = ".p7m"

// isSegment reports whether an export of this id can have a segment of this name.
func isSegment(exportID, name string) bool {
	number, ok := strings.CutPrefix(name, KindAttachments+"-"+exportID+"-")
	of, number, both := strings.Cut(strings.TrimSuffix(number, segmentSuffix), ".")
	part, err := strconv.Atoi(of)
	n, badN := strconv.Atoi(number)
	return ok && both && err == nil && badN == nil && part > 0 && n > 0 && n <= MaxSegments && name == SegmentName(exportID, Part{Number: part}, n)
}

// checkSegments says what is wrong with the segments that a receipt lists.
func (r Receipt) checkSegments(tenantID, exportID string) error {
	want := r.Part.Segments()
	if r.Problems > 0 {
		want = 0
	}
	if len(r.Segments) != want || want > MaxSegments || r.SegmentBytes != 0 && (r.SegmentBytes < 0 || r.Kind != KindAttachments || r.Rows != 1) {
		return fmt.Errorf("it has %s, not %d", Counted(len(r.Segments), "segment"), want)
	}
	for i, s := range r.Segments {
		name := SegmentName(exportID, r.Part, i+1)
		switch {
		case s.Name != name || s.Key != "" && s.Key != ExportPrefix(tenantID, exportID)+name:
			return fmt.Errorf("segment %d is named %q, not %q", i+1, shorten(s.Name), name)
		case !sha256Pattern.MatchString(s.SHA256) || !sha256Pattern.MatchString(s.SealedSHA256):
			return fmt.Errorf("segment %d lacks a digest", i+1)
		case s.Bytes != r.SegmentSize(i+1) || s.SealedBytes <= s.Bytes:
			return fmt.Errorf("segment %d has an impossible size", i+1)
		}
	}
	return nil
}

// AttachmentsDir is the folder of the contents in the zip of a part with attachments,
// and where a receiver unpacks them.
func AttachmentsDir(p Part) string { return fmt.Sprintf("%s-%04d", KindAttachments, p.Number) }

// AttachmentPath is where in the zip of a part the content at a place of its index is,
// from 1. The place makes it distinct; name is what the producer says.
func AttachmentPath(p Part, place int, name string) string {
	return fmt.Sprintf("%s/%06d-%s", AttachmentsDir(p), place, FileName(name))
}

// maxFileName bounds what of a producer's name is kept.
const maxFileName = 80

// FileName is what of a name is safe as a file's on any system: A-Z a-z 0-9 . _ - only,
// not hidden, and portable.
func FileName(name string) string {
	safe := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
			return c
		}
		return '_'
	}, name)
	if n := len(safe); n > maxFileName { // the end says what kind of file it is
		safe = safe[n-maxFileName:]
	}
	if safe = strings.Trim(safe, "."); safe == "" {
		return "attachment"
	}
	return portable(safe)
}

// ExportDir is the directory an export is downloaded to unless another is named.
func ExportDir(exportID string) string { return portable(exportID) }

// portable is a name without what only Windows objects to: dots at its end, which it
// drops, and the names of devices, which it opens.
func portable(name string) string {
	name = strings.TrimRight(name, ".")
	if device, _, _ := strings.Cut(name, "."); devicePattern.MatchString(device) {
		return "_" + name
	}
	return name
}

var devicePattern = regexp.MustCompile(`(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9])$`)

// subject is what the file names of a part begin with: what it holds.
func (p Part) subject(entity string) string {
	if p.Kind != "" && slices.Contains(kinds, p.Kind) { // an event may claim another
		return p.Kind
	}
	return entity
}

// IsArtifact reports whether an export of this id can have a file of this name.
func IsArtifact(exportID, name string) bool {
	if name == ManifestName || name == SignatureName {
		return true
	}
	return isSegment(exportID, name) || slices.ContainsFunc(append(Entities(), kinds[1:]...), func(subject string) bool {
		number, ok := strings.CutPrefix(name, subject+"-"+exportID+"-")
		n, err := strconv.Atoi(strings.TrimSuffix(number, partSuffix))
		return ok && err == nil && n > 0 && name == PartName(subject, exportID, Part{Number: n})
	})
}

// Entity is what the rows of an export are. Where history has lost its request, the
// names of its parts say so.
func (e Export) Entity() string {
	if e.Request != nil && slices.Contains(Entities(), e.Request.Entity) {
		return e.Request.Entity
	}
	for _, entity := range Entities() {
		if slices.ContainsFunc(e.Parts, func(r Receipt) bool { return r.Kind == "" && r.Name == PartName(entity, e.ExportID, r.Part) }) {
			return entity
		}
	}
	return EntityInteraction
}

// checkNames reports claims of names and keys that are not the export's own.
func (s *ExportStatus) checkNames(p *problems) {
	prefix := ExportPrefix(s.TenantID, s.ExportID)
	own := func(field, got, want string) {
		if got != want {
			p.add(field, "%q is not %q, the export's own", shorten(got), want)
		}
	}
	if r := s.Part; r != nil {
		if !slices.ContainsFunc(Entities(), func(entity string) bool { return r.Name == PartName(entity, s.ExportID, r.Part) }) ||
			r.Number < 1 || !slices.Contains(kinds, r.Kind) {
			p.add("part.name", "%q is not the name of part %d of export %s", shorten(r.Name), r.Number, s.ExportID)
		}
		own("part.key", r.Key, prefix+r.Name)
		p.digest("part.jsonl_sha256", r.JSONLSHA256)
		p.digest("part.zip_sha256", r.ZipSHA256)
		p.digest("part.sealed_sha256", r.SealedSHA256)
		if err := r.checkSegments(s.TenantID, s.ExportID); err != nil {
			p.add("part.segments", "%v", err)
		}
	}
	if c := s.Completion; c != nil {
		own("completion.manifest_key", c.ManifestKey, prefix+ManifestName)
		own("completion.signature_key", c.SignatureKey, prefix+SignatureName)
		p.digest("completion.manifest_sha256", c.ManifestSHA256)
		p.digest("completion.signature_sha256", c.SignatureSHA256)
		if c.SignerSHA256 != "" {
			p.digest("completion.signer_sha256", c.SignerSHA256)
		}
	}
}

func (p *problems) digest(field, value string) {
	if !sha256Pattern.MatchString(value) {
		p.add(field, "%q is not a SHA-256 in lower-case hex", shorten(value))
	}
}
