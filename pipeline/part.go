package pipeline

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"time"

	"cdds/pipeline/bucket"
	"cdds/pipeline/smime"
	"cdds/pipeline/spans"
	"cdds/schemas"
)

// User metadata of a stored part: what a worker that finds it needs to adopt it.
const (
	metaRows         = "rows"
	metaJSONLBytes   = "jsonl-bytes"
	metaJSONLSHA256  = "jsonl-sha256"
	metaZipBytes     = "zip-bytes"
	metaZipSHA256    = "zip-sha256"
	metaSealedSHA256 = "sealed-sha256"
	metaIndexBytes   = "index-bytes"
	metaProblems     = "problems"
	metaStoredBytes  = "stored-bytes"
)

// sealedType is the media type of a sealed part (RFC 8551 section 3.2.1).
const sealedType = "application/pkcs7-mime"

// Export writes one part of an export to the store: queried, zipped, sealed, put.
// A part that is stored already is adopted without being queried again. A part
// that does not have exactly the rows, bytes and versions of the plan is read again, since
// an answer may have been cut short, or ClickHouse set back; then it is a permanent error and
// nothing is stored. So is ErrGone, when the export was ended meanwhile.
func (e *Exporter) Export(ctx context.Context, x Export, planned schemas.PlannedPart) (schemas.Receipt, error) {
	x, err := e.redacting(x)
	if err != nil {
		return schemas.Receipt{}, err
	}
	part := planned.Part
	name := schemas.PartName(x.Filter.Entity, x.ID, part)
	key := schemas.ExportPrefix(x.Filter.TenantID, x.ID) + name
	receipt, err := e.adopt(ctx, x, part, key)
	if !errors.Is(err, bucket.ErrNotFound) {
		return receipt, err
	}
	if part.Segments() > 0 {
		return e.exportSegments(ctx, x, planned, key)
	}
	for x.room = x.growth(part); ; x.room = x.moreRoom(part) {
		receipt, err = e.exportZip(ctx, x, planned.Versions, schemas.Receipt{Part: part, Name: name, Key: key})
		if !errors.Is(err, errGrown) {
			return receipt, err
		}
	}
}

// exportZip is Export of a part that is held in memory.
func (e *Exporter) exportZip(ctx context.Context, x Export, versions uint64, receipt schemas.Receipt) (schemas.Receipt, error) {
	part, key := receipt.Part, receipt.Key
	release, err := e.spools.Reserve(ctx, x.memory(part))
	if err != nil {
		return receipt, err
	}
	defer release()
	zipped, err := e.zipped(ctx, x, versions, &receipt)
	if err != nil {
		return receipt, err
	}
	defer zipped.free()
	sealed := e.spools.spool()
	defer sealed.free()
	if err := seal(ctx, x, sealed, zipped, &receipt); err != nil {
		return receipt, err
	}
	if err := ctx.Err(); err != nil {
		return receipt, err
	}
	whole, stop := answered(ctx)
	defer stop()
	err = e.put(whole, key, sealed, receipt)
	if errors.Is(err, bucket.ErrExists) { // another worker was first; theirs counts
		return e.adopt(ctx, x, part, key)
	}
	if err != nil {
		return receipt, err
	}
	return receipt, e.withdraw(whole, x, key)
}

// memory is what a part can need at most, in bytes.
func (x Export) memory(part schemas.Part) int64 {
	if part.Segments() > 0 {
		if x.Cipher == schemas.CipherGCM { // sealed whole, and encoded
			return streamBytes + part.SegmentBytes*5/2
		}
		return streamBytes
	}
	// Sealing keeps the zip and its base64 for a moment; incompressible content is
	// the worst case.
	content := part.Bytes + x.room
	size := content + content*4/10 + indexBytes(part) + spoolChunk
	if x.Cipher == schemas.CipherGCM { // sealed whole: the zip is not given back as it goes
		size += content
	}
	return size
}

// put stores a sealed part; bucket.ErrExists if it is there.
func (e *Exporter) put(ctx context.Context, key string, sealed *spool, r schemas.Receipt) (err error) {
	ctx, span := spans.Start(ctx, "put", spans.SealedBytes.Int64(sealed.size))
	defer func() { spans.End(span, err) }()
	return e.store.Put(ctx, key, bucket.Content{Body: sealed.reader(), Size: sealed.size, SHA256: r.SealedSHA256, Type: sealedType, Metadata: receiptMetadata(r), Expires: true})
}

// errUnplanned says that a part read is not the part planned.
var errUnplanned = errors.New("the table changed under the snapshot")

// errVersions is that of other versions of as many bytes.
var errVersions = fmt.Errorf("the part has other versions of its rows than the plan: %w", errUnplanned)

// zipped returns the zip of the part, made of the versions planned; the caller frees it.
func (e *Exporter) zipped(ctx context.Context, x Export, versions uint64, r *schemas.Receipt) (_ *spool, err error) {
	ctx, span := spans.Start(ctx, "query", spans.Rows.Int64(r.Rows), spans.Bytes.Int64(r.Bytes))
	defer func() { spans.End(span, err) }()
	zip := e.zip
	if r.Kind == schemas.KindAttachments {
		zip = e.zipAttachments
	}
	for reading := 1; ; reading++ {
		dst := e.spools.spool()
		err := zip(ctx, x, dst, versions, r)
		if err == nil {
			return dst, nil
		}
		dst.free()
		if !errors.Is(err, errUnplanned) {
			return nil, err
		}
		if err := x.readAgain(ctx, reading, err); err != nil {
			return nil, err
		}
	}
}

// readAgain is why a part that was read so often, and is not the one that was planned, is not to
// be read again. The second time it is asked whether records are missing: if not, they may have
// been, and be stored again.
func (x Export) readAgain(ctx context.Context, reading int, unplanned error) error {
	switch {
	case reading == 1:
		return nil
	case reading == 2 && x.Whole != nil:
		return x.Whole(ctx)
	}
	return Permanent(unplanned)
}

// zip queries the part and writes its zip, filling in what the receipt says of both.
func (e *Exporter) zip(ctx context.Context, x Export, dst *spool, versions uint64, r *schemas.Receipt) error {
	zipSum := sha256.New()
	archive := newArchive(x, io.MultiWriter(dst, zipSum))
	entry, err := archive.CreateHeader(entryHeader(x.Filter, schemas.EntryName(x.Filter.Entity, r.Part)))
	if err != nil {
		return fmt.Errorf("zip: %w", err)
	}
	lines := lineCounter{sum: sha256.New(), limit: r.Bytes, beyond: errUnplanned}
	shown, to := &lines, io.MultiWriter(&lines, entry)
	show := x.shownLines(r.Kind)
	if show != nil {
		lines.sum = nil // nobody is shown it
		shown = &lineCounter{sum: sha256.New(), limit: r.Bytes + x.room, beyond: errGrown}
		to = io.MultiWriter(&lines, &lineWriter{each: show, to: io.MultiWriter(shown, entry)})
	}
	got, err := e.lines(ctx, x, r.Part, to)
	if err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("zip: %w", err)
	}
	if lines.rows != r.Rows || lines.bytes != r.Bytes {
		return fmt.Errorf("the part has %s and %s where the plan says %d and %d: %w", schemas.Counted(lines.rows, "row"), schemas.Counted(lines.bytes, "byte"), r.Rows, r.Bytes, errUnplanned)
	}
	if got != versions {
		return errVersions
	}
	if show != nil {
		r.StoredBytes, r.Bytes = lines.bytes, shown.bytes
	}
	r.JSONLSHA256 = hexSum(shown.sum)
	r.ZipBytes, r.ZipSHA256 = dst.size, hexSum(zipSum)
	return nil
}

// lines writes the JSON Lines of a part with rows or removals, and returns which versions they
// are of.
func (e *Exporter) lines(ctx context.Context, x Export, part schemas.Part, to io.Writer) (versions uint64, err error) {
	if part.Kind == schemas.KindRemoved {
		return e.removals(ctx, x, part, to)
	}
	rows, err := e.source.Rows(ctx, x.query(), part.First, part.Last)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	_, err = io.CopyBuffer(to, onlyReader{rows}, make([]byte, 128<<10))
	return rows.Sum(), err
}

// seal encrypts the zip, giving its memory back as it goes.
func seal(ctx context.Context, x Export, dst, zipped *spool, r *schemas.Receipt) (err error) {
	_, span := spans.Start(ctx, "seal", spans.ZipBytes.Int64(zipped.size))
	defer func() { spans.End(span, err) }()
	sum := sha256.New()
	w, err := smime.Encrypt(io.MultiWriter(dst, sum), x.sealing(r.Name, zipped.size), x.Recipients...)
	if err != nil {
		return Permanent(fmt.Errorf("seal: %w", err))
	}
	if err := zipped.drain(w); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	r.SealedBytes, r.SealedSHA256 = dst.size, hexSum(sum)
	return nil
}

// sealing is how a file of so many bytes is sealed.
func (x Export) sealing(name string, size int64) smime.Options {
	options := smime.Options{Encoding: smime.SMIME, ContentSize: size, Filename: name}
	if x.Encoding == schemas.EncodingDER {
		options.Encoding = smime.DER
	}
	if x.Cipher == schemas.CipherGCM {
		options.Cipher = smime.AES256GCM
	}
	if x.KeyTransport == schemas.KeyTransportOAEP {
		options.KeyTransport = smime.OAEP
	}
	return options
}

// adopt returns the receipt of a part found in the store, bucket.ErrNotFound if
// none exists, and a permanent error if it is not the part that is planned.
func (e *Exporter) adopt(ctx context.Context, x Export, part schemas.Part, key string) (schemas.Receipt, error) {
	o, err := e.store.Stat(ctx, key)
	if err != nil {
		return schemas.Receipt{}, err
	}
	number := func(name string) int64 {
		n, err := strconv.ParseInt(o.Metadata[name], 10, 64)
		if err != nil {
			return -1
		}
		return n
	}
	r := schemas.Receipt{
		Part: part, Name: schemas.PartName(x.Filter.Entity, x.ID, part), Key: key,
		JSONLSHA256: o.Metadata[metaJSONLSHA256],
		ZipBytes:    number(metaZipBytes), ZipSHA256: o.Metadata[metaZipSHA256],
		SealedBytes: o.Size, SealedSHA256: o.Metadata[metaSealedSHA256],
	}
	if part.Kind == schemas.KindAttachments {
		r.IndexBytes, r.Problems = number(metaIndexBytes), number(metaProblems)
	}
	if part.Segments() > 0 && r.Problems == 0 {
		if r.Segments, err = e.adoptSegments(ctx, x, part); err != nil {
			return r, err
		}
	}
	planned := number(metaJSONLBytes)
	if x.rewrites(part.Kind) {
		r.Bytes, r.StoredBytes = planned, number(metaStoredBytes)
		planned = r.StoredBytes
	}
	if number(metaRows) != part.Rows || planned != part.Bytes {
		return r, Permanent(fmt.Errorf("the stored part %s has rows %s and bytes %s where the plan says %d and %d", key, o.Metadata[metaRows], o.Metadata[metaJSONLBytes], part.Rows, part.Bytes))
	}
	return r, nil
}

func receiptMetadata(r schemas.Receipt) map[string]string {
	m := map[string]string{
		metaRows:         strconv.FormatInt(r.Rows, 10),
		metaJSONLBytes:   strconv.FormatInt(r.Bytes, 10),
		metaJSONLSHA256:  r.JSONLSHA256,
		metaZipBytes:     strconv.FormatInt(r.ZipBytes, 10),
		metaZipSHA256:    r.ZipSHA256,
		metaSealedSHA256: r.SealedSHA256,
	}
	if r.Kind == schemas.KindAttachments {
		m[metaIndexBytes], m[metaProblems] = strconv.FormatInt(r.IndexBytes, 10), strconv.FormatInt(r.Problems, 10)
	}
	if r.StoredBytes > 0 {
		m[metaStoredBytes] = strconv.FormatInt(r.StoredBytes, 10)
	}
	return m
}

// newArchive returns a zip whose bytes are a function of its entries.
func newArchive(x Export, w io.Writer) *zip.Writer {
	archive := zip.NewWriter(w)
	archive.RegisterCompressor(zip.Deflate, deflaterOf(x.Compression))
	return archive
}

// entryHeader is fixed by filter and name, so that equal rows give equal zips.
// The date is the end of the range, within what a zip can say.
func entryHeader(f schemas.Filter, name string) *zip.FileHeader {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: f.To.Time}
	if h.Modified.Year() < 1981 {
		h.Modified = time.Date(1981, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if h.Modified.Year() > 2100 {
		h.Modified = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	h.SetMode(0o600)
	return h
}

// lineCounter counts and digests JSON Lines. It fails as soon as there is more
// than its limit, with the error beyond, so that nothing outgrows its reservation.
type lineCounter struct {
	// sum may be nil.
	sum                hash.Hash
	rows, bytes, limit int64
	beyond             error
}

func (c *lineCounter) Write(p []byte) (int, error) {
	c.rows += int64(bytes.Count(p, []byte{'\n'}))
	c.bytes += int64(len(p))
	if c.bytes > c.limit {
		return 0, fmt.Errorf("the part has more than %s: %w", schemas.Counted(c.limit, "byte"), c.beyond)
	}
	if c.sum == nil {
		return len(p), nil
	}
	return c.sum.Write(p)
}

// onlyReader hides other methods, so that io.CopyBuffer uses the buffer it is given.
type onlyReader struct{ io.Reader }

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }
