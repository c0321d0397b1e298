package pipeline

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"cdds/pipeline/bucket"
	"cdds/schemas"
)

const (
	// maxAttachments bounds the entries of one zip, which can say 65,535 of them.
	maxAttachments = 10_000
	// maxIndexLine is more than most lines of an index have; it is reserved for each.
	maxIndexLine = 1 << 10
)

// indexBytes is what to reserve for the index of a part and the directory of its zip.
func indexBytes(p schemas.Part) int64 {
	if p.Kind != schemas.KindAttachments {
		return 0
	}
	return 2 * p.Rows * maxIndexLine
}

// planAttachments adds the parts that hold the attachments of the rows.
func (e *Exporter) planAttachments(ctx context.Context, x Export, rows *packer, plan *schemas.Plan) error {
	if rows.attached.rows == 0 {
		return nil
	}
	got, sized, err := e.packAttachments(ctx, x, rows.first, rows.last, plan)
	if err == nil && !sized {
		got, err = e.packStoredAttachments(ctx, x, rows.first, rows.last, plan)
	}
	if err == nil && got != rows.attached { // cut short, or of another time: that would be a plan that lies
		err = fmt.Errorf("plan attachments: read %s with some, and there are %d: versions %016x and %016x", schemas.Counted(got.rows, "interaction"), rows.attached.rows, got.versions, rows.attached.versions)
	}
	return err
}

// packAttachments adds to the plan what the table says of the attachments between two
// keys, and returns which interactions have them. It adds nothing, and sized is false,
// if there are some that were stored by a release that did not note their sizes.
func (e *Exporter) packAttachments(ctx context.Context, x Export, first, last schemas.RowKey, plan *schemas.Plan) (got withFiles, sized bool, err error) {
	packed := e.packer(x, *plan) // it adds parts after those of the plan, and changes none of them
	sized = true
	err = e.source.AttachmentSizes(ctx, x.query(), first, last, func(key schemas.RowKey, version uint64, sizes []uint64) {
		got.add(version)
		sized = sized && len(sizes) > 0
		for n, size := range sizes {
			packed.add(key, version, n+1, int64(size))
		}
	})
	if err == nil && sized {
		*plan = packed.plan
	}
	return got, sized, err
}

// packStoredAttachments is packAttachments from the interactions themselves.
func (e *Exporter) packStoredAttachments(ctx context.Context, x Export, first, last schemas.RowKey, plan *schemas.Plan) (got withFiles, err error) {
	packed := e.packer(x, *plan)
	got, err = e.eachAttachment(ctx, x, first, last, func(a attached) error {
		packed.add(a.key, a.version, a.position, a.PlannedBytes())
		return nil
	})
	*plan = packed.plan
	return got, err
}

// attachmentPacker adds attachments, one after the other, to the parts of a plan.
type attachmentPacker struct {
	plan  schemas.Plan
	split int64
	// zipped is how large an attachment may be to go into a zip, segment how large the
	// segments of larger ones are.
	zipped, segment int64
	// chosen is of the last part.
	chosen chosen
}

// packer continues a plan. A zip is held in memory, so it is bounded whatever the split
// size; what is larger is a part of its own that is not.
func (e *Exporter) packer(x Export, plan schemas.Plan) attachmentPacker {
	segment := e.segment
	if x.Cipher == schemas.CipherGCM { // sealed whole, in memory
		segment = min(segment, gcmSegmentBytes)
	}
	return attachmentPacker{plan: plan, split: min(x.SplitSize, e.zipBytes), zipped: e.zipBytes, segment: segment}
}

func (p *attachmentPacker) add(key schemas.RowKey, version uint64, position int, size int64) {
	n := len(p.plan.Parts) - 1
	if n == schemas.MaxParts { // one too many already
		return
	}
	alone := size > p.zipped
	if n < 0 || alone || p.plan.Parts[n].Kind != schemas.KindAttachments || p.plan.Parts[n].SegmentBytes > 0 || p.plan.Parts[n].Rows == maxAttachments || p.plan.Parts[n].Bytes+size > p.split {
		p.plan.Parts = append(p.plan.Parts, schemas.PlannedPart{Part: schemas.Part{Number: n + 2, Kind: schemas.KindAttachments, First: key, FirstAttachment: position}})
		n++
		p.chosen = chosen{}
	}
	part := &p.plan.Parts[n]
	if alone {
		part.SegmentBytes = p.segment
	}
	p.chosen.add(key, version)
	part.Versions = p.chosen.versions
	part.Last, part.LastAttachment = key, position
	part.Rows++
	part.Bytes += size
	p.plan.Attachments++
	p.plan.AttachmentBytes += size
}

// zipAttachments writes the zip of a part with attachments: the inline ones as their
// rows come, then those that are objects, so that no query waits for a download, then
// the index. What cannot be had is in the index with the reason: one bad reference must
// neither fail an export for ever nor pass in silence.
func (e *Exporter) zipAttachments(ctx context.Context, x Export, dst *spool, versions uint64, r *schemas.Receipt) error {
	zipSum := sha256.New()
	z := &attachmentZip{
		archive: newArchive(x, io.MultiWriter(dst, zipSum)), filter: x.Filter, of: x, part: r.Part,
		room: r.Bytes, lines: make([]schemas.AttachmentLine, 0, r.Rows),
	}
	var referred []attached // with their content's place in lines
	var places []int
	var planned int64
	var got chosen
	_, err := e.eachAttachment(ctx, x, r.First, r.Last, func(a attached) error {
		if a.before(r.First, r.FirstAttachment) || a.after(r.Last, r.LastAttachment) {
			return nil
		}
		planned += a.PlannedBytes()
		got.add(a.key, a.version)
		if int64(len(z.lines)) == r.Rows || planned > r.Bytes {
			return fmt.Errorf("the part has more than the %s with %s of the plan: %w", schemas.Counted(r.Rows, "attachment"), schemas.Counted(r.Bytes, "byte"), errUnplanned)
		}
		z.lines = append(z.lines, x.shownLine(a.line()))
		if a.Object != "" {
			referred, places = append(referred, a), append(places, len(z.lines)-1)
			return nil
		}
		return z.inline(a, len(z.lines)-1)
	})
	if err != nil {
		return err
	}
	if int64(len(z.lines)) != r.Rows || planned != r.Bytes {
		return fmt.Errorf("the part has %s with %s where the plan says %d and %d: %w", schemas.Counted(len(z.lines), "attachment"), schemas.Counted(planned, "byte"), r.Rows, r.Bytes, errUnplanned)
	}
	if got.versions != versions {
		return errVersions
	}
	for i, a := range referred {
		if err := e.object(ctx, z, a, places[i]); err != nil {
			return err
		}
	}
	if err := z.index(r); err != nil {
		return err
	}
	r.ZipBytes, r.ZipSHA256 = dst.size, hexSum(zipSum)
	return nil
}

// object writes the content of an attachment that its event refers to. An error means that
// trying again can help; what cannot be mended so is a problem of the attachment.
func (e *Exporter) object(ctx context.Context, z *attachmentZip, a attached, place int) error {
	line := &z.lines[place]
	if line.Problem = e.unreachable(z.filter.TenantID, a); line.Problem != "" {
		return nil
	}
	r, err := e.objects.Open(ctx, a.Object)
	if line.Problem, err = objectProblem(a, err); err != nil || line.Problem != "" {
		return err
	}
	defer r.Close()
	// Its digest is known when it was read; what is in a zip cannot be taken back.
	content := e.spools.spool()
	defer content.free()
	sum := sha256.New()
	n, err := io.CopyBuffer(io.MultiWriter(content, sum), io.LimitReader(r, a.Size+1), make([]byte, 128<<10))
	if err != nil {
		return fmt.Errorf("attachment object %s: %w", a.Object, err)
	}
	switch {
	case n > a.Size:
		line.Problem = fmt.Sprintf("the object has more than the %s its event says", schemas.Counted(a.Size, "byte"))
	case n < a.Size:
		line.Problem = fmt.Sprintf("the object has %s, and its event says %d", schemas.Counted(n, "byte"), a.Size)
	case hexSum(sum) != a.SHA256:
		line.Problem = "the object has another SHA-256 than its event says: " + hexSum(sum)
	default:
		return z.add(place, hexSum(sum), content.drain)
	}
	return nil
}

// unreachable says why an attachment's object is not even looked for; empty if it is. The
// reference was validated when it was published, and is once more here: rows stored before
// that was a rule, or by other hands, must not reach what belongs to another tenant.
func (e *Exporter) unreachable(tenantID string, a attached) string {
	if err := a.CheckObject(tenantID); err != nil {
		return err.Error()
	}
	if e.objects == nil {
		return "this service has no bucket of attachments"
	}
	return ""
}

// objectProblem is what is wrong with an attachment whose object could not be opened, or the
// error if trying again can help.
func objectProblem(a attached, err error) (string, error) {
	var refused *bucket.RefusedError
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, bucket.ErrNotFound):
		return "the object is not there", nil
	case errors.As(err, &refused):
		return refused.Error(), nil
	}
	return "", fmt.Errorf("attachment object %s: %w", a.Object, err)
}

// attachmentZip is a zip at work.
type attachmentZip struct {
	archive *zip.Writer
	filter  schemas.Filter
	of      Export
	part    schemas.Part
	// room is what may still be written of contents.
	room  int64
	lines []schemas.AttachmentLine
}

// inline writes the content that stands in the event.
func (z *attachmentZip) inline(a attached, place int) error {
	line := &z.lines[place]
	content, err := a.Decoded()
	sum := digest(content)
	switch {
	case err != nil:
		line.Problem = err.Error()
	case a.Content == "" && a.Size != 0:
		line.Problem = "its event carries neither its content nor an object"
	case a.Size != 0 && a.Size != int64(len(content)):
		line.Problem = fmt.Sprintf("the content has %s, and its event says %d", schemas.Counted(len(content), "byte"), a.Size)
	case a.SHA256 != "" && a.SHA256 != sum:
		line.Problem = "the content has another SHA-256 than its event says: " + sum
	default:
		line.Size = int64(len(content))
		return z.add(place, sum, func(w io.Writer) error { _, err := w.Write(content); return err })
	}
	return nil
}

// add writes one content and says in its line where it is.
func (z *attachmentZip) add(place int, sum string, write func(io.Writer) error) error {
	line := &z.lines[place]
	if z.room -= line.Size; z.room < 0 {
		return Permanent(errors.New("the attachments have more bytes than the plan says"))
	}
	line.SHA256 = sum
	line.File = schemas.AttachmentPath(z.part, place+1, line.Name)
	entry, err := z.archive.CreateHeader(entryHeader(z.filter, line.File))
	if err == nil {
		err = write(entry)
	}
	if err != nil {
		return fmt.Errorf("zip: %w", err)
	}
	return nil
}

// index ends the zip with what was found, line by line in the order of the rows.
func (z *attachmentZip) index(r *schemas.Receipt) error {
	entry, err := z.archive.CreateHeader(entryHeader(z.filter, schemas.EntryName(z.filter.Entity, z.part)))
	if err != nil {
		return fmt.Errorf("zip: %w", err)
	}
	sum := sha256.New()
	for _, line := range z.lines {
		line = z.of.shownProblem(line)
		b, err := schemas.Encode(line)
		if err != nil {
			return err
		}
		b = append(b, '\n')
		_, _ = sum.Write(b) // a hash never fails
		if _, err := entry.Write(b); err != nil {
			return fmt.Errorf("zip: %w", err)
		}
		r.IndexBytes += int64(len(b))
		if line.Problem != "" {
			r.Problems++
		}
	}
	if err := z.archive.Close(); err != nil {
		return fmt.Errorf("zip: %w", err)
	}
	r.JSONLSHA256 = hexSum(sum)
	return nil
}
