package pipeline

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"

	"cdds/pipeline/bucket"
	"cdds/pipeline/smime"
	"cdds/pipeline/spans"
	"cdds/schemas"
)

const (
	// DefaultSegmentBytes is what openssl opens in less than 1 GiB of memory.
	DefaultSegmentBytes = 256 << 20
	// gcmSegmentBytes bounds segments that are sealed in memory.
	gcmSegmentBytes = 32 << 20
	// streamBytes is reserved for an attachment that passes through, for its buffers and those
	// of the connections.
	streamBytes = 2 << 20
)

// Metadata of a stored segment, beside metaSealedSHA256.
const metaContentSHA256 = "content-sha256"

// exportSegments stores a part that is one attachment too large for a zip. Its content is read
// twice and never kept: first to hold it to its event and learn what each sealed segment's
// digest will be, then to store the segments, each in one conditional request that the store
// checks. The part itself, a zip with nothing but the index, comes last: where it is, all
// segments are. An object that is not there, is not what its event says, or changes meanwhile
// is a problem in the index.
func (e *Exporter) exportSegments(ctx context.Context, x Export, planned schemas.PlannedPart, key string) (schemas.Receipt, error) {
	part := planned.Part
	r := schemas.Receipt{Part: part, Name: schemas.PartName(x.Filter.Entity, x.ID, part), Key: key}
	a, err := e.theAttachment(ctx, x, planned)
	if err != nil {
		return r, err
	}
	release, err := e.spools.Reserve(ctx, x.memory(part))
	if err != nil {
		return r, err
	}
	defer release()

	line := x.shownLine(a.line())
	segments, problem, err := e.storeSegments(ctx, x, part, a)
	switch {
	case err != nil:
		return r, err
	case problem != "":
		line.Problem = problem
		for n := range part.Segments() { // what an earlier try may have left
			if err := Unseen(e.store.Remove(ctx, schemas.ExportPrefix(x.Filter.TenantID, x.ID)+schemas.SegmentName(x.ID, part, n+1))); err != nil {
				return r, err
			}
		}
	default:
		line.File = schemas.AttachmentPath(part, 1, line.Name)
		for _, s := range segments {
			line.Segments = append(line.Segments, s.Name)
		}
		r.Segments = segments
	}
	whole, stop := answered(ctx)
	defer stop()
	if err := e.storeIndex(whole, x, line, &r); err != nil {
		if errors.Is(err, bucket.ErrExists) { // another worker was first; theirs counts
			return e.adopt(ctx, x, part, key)
		}
		return r, err
	}
	for _, s := range r.Segments {
		if err := e.withdraw(whole, x, s.Key); err != nil && !errors.Is(err, ErrGone) {
			return r, err
		}
	}
	return r, e.withdraw(whole, x, key)
}

// theAttachment reads the one attachment of a part.
func (e *Exporter) theAttachment(ctx context.Context, x Export, part schemas.PlannedPart) (a attached, err error) {
	for reading := 1; ; reading++ {
		found := 0
		_, err = e.eachAttachment(ctx, x, part.First, part.Last, func(one attached) error {
			if !one.before(part.First, part.FirstAttachment) && !one.after(part.Last, part.LastAttachment) {
				a = one
				found++
			}
			return nil
		})
		if err != nil {
			return a, err
		}
		switch {
		case found != 1 || a.PlannedBytes() != part.Bytes:
			err = fmt.Errorf("the part has %s where the plan says one of %s: %w", schemas.Counted(found, "attachment"), schemas.Counted(part.Bytes, "byte"), errUnplanned)
		case a.version != part.Versions:
			err = errVersions
		default:
			return a, nil
		}
		if err := x.readAgain(ctx, reading, err); err != nil {
			return a, err
		}
	}
}

// storeIndex stores the zip of a part whose content is in segments.
func (e *Exporter) storeIndex(ctx context.Context, x Export, line schemas.AttachmentLine, r *schemas.Receipt) error {
	zipped, sealed := e.spools.spool(), e.spools.spool()
	defer zipped.free()
	defer sealed.free()
	sum := sha256.New()
	z := &attachmentZip{archive: newArchive(x, io.MultiWriter(zipped, sum)), filter: x.Filter, of: x, part: r.Part, lines: []schemas.AttachmentLine{line}}
	if err := z.index(r); err != nil {
		return err
	}
	r.ZipBytes, r.ZipSHA256 = zipped.size, hexSum(sum)
	if err := seal(ctx, x, sealed, zipped, r); err != nil {
		return err
	}
	return e.put(ctx, r.Key, sealed, *r)
}

// storeSegments stores the segments of an attachment. A problem says why there are none.
func (e *Exporter) storeSegments(ctx context.Context, x Export, part schemas.Part, a attached) (all []schemas.Segment, problem string, err error) {
	if problem := e.unreachable(x.Filter.TenantID, a); problem != "" {
		return nil, problem, nil
	}
	source, problem, err := e.examine(ctx, x, part, a)
	if err != nil || problem != "" {
		return nil, problem, err
	}
	for n := 1; n <= part.Segments(); n++ {
		s, err := e.storeSegment(ctx, x, part, n, source)
		var refused *bucket.RefusedError
		switch {
		case errors.As(err, &refused):
			return nil, refused.Error(), nil
		case errors.Is(err, errChanged), errors.Is(err, bucket.ErrChanged), errors.Is(err, bucket.ErrNotFound):
			return nil, "the object was changed or removed while it was exported", nil
		case err != nil:
			return nil, "", err
		}
		all = append(all, s)
	}
	return all, "", nil
}

// examined is an object that was read whole and is what its event says.
type examined struct {
	key, version string
	segments     []examinedSegment
}

type examinedSegment struct {
	prepared *smime.Prepared
	// sum is the content's digest, sealed that of the sealed file: empty where it is not known
	// yet because it is sealed once only.
	sum, sealed string
}

// examine reads the object of an attachment and seals it to nowhere.
func (e *Exporter) examine(ctx context.Context, x Export, part schemas.Part, a attached) (source examined, problem string, err error) {
	ctx, span := spans.Start(ctx, "examine", spans.Bytes.Int64(part.Bytes))
	defer func() { spans.End(span, err) }()
	r, version, err := e.objects.OpenAt(ctx, a.Object, "", 0, 0)
	if problem, err := objectProblem(a, err); err != nil || problem != "" {
		return source, problem, err
	}
	defer r.Close()
	source = examined{key: a.Object, version: version}
	whole := sha256.New()
	buffer := make([]byte, 128<<10)
	var read int64
	for n := 1; n <= part.Segments(); n++ {
		size := part.SegmentSize(n)
		s, sums, w, err := x.examineSegment(schemas.SegmentName(x.ID, part, n), size)
		if err != nil {
			return source, "", err
		}
		k, err := io.CopyBuffer(io.MultiWriter(whole, sums[0], w), io.LimitReader(r, size), buffer)
		if err != nil {
			return source, "", fmt.Errorf("attachment object %s: %w", a.Object, err)
		}
		if read += k; k < size {
			return source, fmt.Sprintf("the object has %s, and its event says %d", schemas.Counted(read, "byte"), a.Size), nil
		}
		if err := w.Close(); err != nil {
			return source, "", err
		}
		if s.sum = hexSum(sums[0]); sums[1] != nil {
			s.sealed = hexSum(sums[1])
		}
		source.segments = append(source.segments, s)
	}
	if k, err := r.Read(buffer[:1]); k > 0 {
		return source, fmt.Sprintf("the object has more than the %s its event says", schemas.Counted(a.Size, "byte")), nil
	} else if err != nil && !errors.Is(err, io.EOF) {
		return source, "", fmt.Errorf("attachment object %s: %w", a.Object, err)
	}
	if hexSum(whole) != a.SHA256 {
		return source, "the object has another SHA-256 than its event says: " + hexSum(whole), nil
	}
	return source, "", nil
}

// examineSegment returns the digests of a segment's content and of what it is sealed to, and
// where to write the content. The second is nil with a cipher that seals once only.
func (x Export) examineSegment(name string, size int64) (s examinedSegment, sums [2]hash.Hash, w io.WriteCloser, err error) {
	if s.prepared, err = smime.Prepare(x.sealing(name, size), x.Recipients...); err != nil {
		return s, sums, nil, Permanent(fmt.Errorf("seal: %w", err))
	}
	sums[0] = sha256.New()
	if x.Cipher == schemas.CipherGCM {
		return s, sums, nothing{}, nil
	}
	sums[1] = sha256.New()
	w, err = s.prepared.Encrypt(sums[1])
	return s, sums, w, err
}

// nothing takes everything and keeps nothing.
type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }
func (nothing) Close() error                { return nil }

// storeSegment stores one segment, or adopts the one that is stored.
func (e *Exporter) storeSegment(ctx context.Context, x Export, part schemas.Part, n int, source examined) (s schemas.Segment, err error) {
	if s, err = e.adoptSegment(ctx, x, part, n); !errors.Is(err, bucket.ErrNotFound) {
		if err == nil && s.SHA256 != source.segments[n-1].sum {
			err = Permanent(fmt.Errorf("the stored segment %s has other content", s.Key))
		}
		return s, err
	}
	ctx, span := spans.Start(ctx, "segment", spans.Bytes.Int64(part.SegmentSize(n)))
	defer func() { spans.End(span, err) }()
	of := source.segments[n-1]
	s.SHA256, s.SealedBytes, s.SealedSHA256 = of.sum, of.prepared.Size(), of.sealed
	body := &madeBody{make: segmentBody{sum: of.sum, seal: of.prepared.Encrypt, open: func() (io.ReadCloser, error) {
		r, _, err := e.objects.OpenAt(ctx, source.key, source.version, int64(n-1)*part.SegmentBytes, s.Bytes)
		return r, err
	}}.make}
	defer func() { _ = body.stop() }() // what it says is asked for below
	content := bucket.Content{Body: body, Size: s.SealedBytes, Type: sealedType, Expires: true}
	if of.sealed == "" {
		sealed := e.spools.spool()
		defer sealed.free()
		sum := sha256.New()
		if _, err := io.Copy(io.MultiWriter(sealed, sum), onlyReader{body}); err != nil {
			return s, err
		}
		s.SealedSHA256, content.Body = hexSum(sum), sealed.reader()
	}
	content.SHA256 = s.SealedSHA256
	content.Metadata = map[string]string{metaContentSHA256: s.SHA256, metaJSONLBytes: strconv.FormatInt(s.Bytes, 10), metaSealedSHA256: s.SealedSHA256}
	err = e.store.Put(ctx, s.Key, content)
	if bad := body.stop(); err != nil && bad != nil {
		return s, bad // why the store got no whole body
	}
	if errors.Is(err, bucket.ErrExists) { // another worker was first; theirs counts
		return e.adoptSegment(ctx, x, part, n)
	}
	return s, err
}

// adoptSegments returns the segments of a part that is stored.
func (e *Exporter) adoptSegments(ctx context.Context, x Export, part schemas.Part) (all []schemas.Segment, err error) {
	for n := 1; n <= part.Segments(); n++ {
		s, err := e.adoptSegment(ctx, x, part, n)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// adoptSegment returns a stored segment, or bucket.ErrNotFound with what is known of it.
func (e *Exporter) adoptSegment(ctx context.Context, x Export, part schemas.Part, n int) (schemas.Segment, error) {
	name := schemas.SegmentName(x.ID, part, n)
	s := schemas.Segment{Name: name, Key: schemas.ExportPrefix(x.Filter.TenantID, x.ID) + name, Bytes: part.SegmentSize(n)}
	o, err := e.store.Stat(ctx, s.Key)
	if err != nil {
		return s, err
	}
	s.SHA256, s.SealedBytes, s.SealedSHA256 = o.Metadata[metaContentSHA256], o.Size, o.Metadata[metaSealedSHA256]
	if o.Metadata[metaJSONLBytes] != strconv.FormatInt(s.Bytes, 10) {
		return s, Permanent(fmt.Errorf("the stored segment %s has not the %s of the plan", s.Key, schemas.Counted(s.Bytes, "byte")))
	}
	return s, nil
}
