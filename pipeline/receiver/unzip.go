package receiver

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/klauspost/compress/flate"

	"cdds/schemas"
)

// unzip writes the one entry of a part's zip to dst and holds it to the manifest.
// The entry's name is only compared, never used as a path.
func unzip(ctx context.Context, dst io.Writer, spool *os.File, name string, part schemas.Receipt) error {
	archive, err := openZip(spool, part, 1)
	if err != nil {
		return err
	}
	if len(archive.File) != 1 {
		return violated(part.Name, RuleZip, "its zip has %s, not one", schemas.Counted(len(archive.File), "entry"))
	}
	entry := archive.File[0]
	if entry.Name != name {
		return violated(part.Name, RuleZip, "its zip's entry is named %.80q, not %q", entry.Name, name)
	}
	r, err := openEntry(entry, part, part.Bytes)
	if err != nil {
		return err
	}
	defer r.Close()
	lines := lineCounter{sum: sha256.New()}
	src := (&progress{}).reader(ctx, io.LimitReader(r, part.Bytes+1))
	if _, err := io.CopyBuffer(io.MultiWriter(dst, &lines), src, make([]byte, 256<<10)); err != nil {
		return zipError(part, err)
	}
	if lines.bytes != part.Bytes || lines.rows != part.Rows {
		return violated(part.Name, RuleContent, "it has %s and %s where the manifest says %d and %d", schemas.Counted(lines.rows, "row"), schemas.Counted(lines.bytes, "byte"), part.Rows, part.Bytes)
	}
	return matches(part.Name, RuleContent, "its JSON Lines have the", lines.sum, part.JSONLSHA256)
}

// flagEncrypted is bit 0 of an entry's flags (APPNOTE.TXT section 4.4.4).
const flagEncrypted = 0x1

// checkDirectory looks at the end of a zip (APPNOTE.TXT section 4.3.16), which must
// announce that many entries at most in a small directory right before it. archive/zip reads every
// directory entry into memory before one can count them.
func checkDirectory(zipped io.ReaderAt, size int64, entries int) error {
	const endSize = 22
	maxDirectory := int64(64<<10 + entries*maxAttachmentEntry)
	var end [endSize]byte
	if size < endSize {
		return zip.ErrFormat
	}
	if _, err := zipped.ReadAt(end[:], size-endSize); err != nil {
		return err
	}
	if !bytes.HasPrefix(end[:], []byte("PK\x05\x06")) {
		return zip.ErrFormat
	}
	if n := binary.LittleEndian.Uint16(end[10:]); n < 1 || int(n) > entries {
		return fmt.Errorf("%w: it has %s, not %d", zip.ErrFormat, schemas.Counted(n, "entry"), entries)
	}
	length, offset := int64(binary.LittleEndian.Uint32(end[12:])), int64(binary.LittleEndian.Uint32(end[16:]))
	if length > maxDirectory || offset+length+endSize != size {
		return fmt.Errorf("%w: its directory is not where it must be", zip.ErrFormat)
	}
	return nil
}

// zipError tells a zip that does not open from a disk that does not work.
func zipError(part schemas.Receipt, err error) error {
	var corrupt flate.CorruptInputError
	for _, wrong := range []error{zip.ErrFormat, zip.ErrAlgorithm, zip.ErrChecksum, zip.ErrInsecurePath, io.ErrUnexpectedEOF} {
		if errors.Is(err, wrong) || errors.As(err, &corrupt) {
			return violated(part.Name, RuleZip, "its zip does not open: %w", err)
		}
	}
	return fmt.Errorf("unzip %s: %w", part.Name, err)
}

// lineCounter counts and digests JSON Lines.
type lineCounter struct {
	sum         hash.Hash
	rows, bytes int64
}

func (c *lineCounter) Write(p []byte) (int, error) {
	c.rows += int64(bytes.Count(p, []byte{'\n'}))
	c.bytes += int64(len(p))
	return c.sum.Write(p)
}
