package receiver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"os"

	"golang.org/x/sync/errgroup"

	"cdds/schemas"
)

// PartCounts are how many parts of each kind an export has. Parts are numbered from 1, in the order
// of these kinds.
type PartCounts struct{ Rows, Removed, Attachments int }

// Of is the number and the kind of a part.
func (c PartCounts) Of(number int) schemas.Part {
	switch {
	case number <= c.Rows:
		return schemas.Part{Number: number}
	case number <= c.Rows+c.Removed:
		return schemas.Part{Number: number, Kind: schemas.KindRemoved}
	}
	return schemas.Part{Number: number, Kind: schemas.KindAttachments}
}

// Total is how many parts there are.
func (c PartCounts) Total() int { return c.Rows + c.Removed + c.Attachments }

// All are the numbers and kinds of all parts, in order.
func (c PartCounts) All() iter.Seq[schemas.Part] {
	return func(yield func(schemas.Part) bool) {
		for n := 1; n <= c.Total(); n++ {
			if !yield(c.Of(n)) {
				return
			}
		}
	}
}

// listing is what is held of the parts of a manifest whose signature holds: hashes, because there
// may be very many. Nobody knows the seed, so nobody can make another part or file with the hash of
// one that is listed.
type listing struct {
	seed  maphash.Seed
	names map[uint64]struct{}
	// receipts are those of the parts, by number from 0.
	receipts []uint64
	parts    PartCounts
}

// newListing has none yet of so many parts, as far as that may be true.
func newListing(parts int) *listing {
	parts = min(max(parts, 0), schemas.MaxParts)
	return &listing{seed: maphash.MakeSeed(), names: make(map[uint64]struct{}, parts), receipts: make([]uint64, 0, parts)}
}

// add adds the next part.
func (l *listing) add(part schemas.Receipt) error {
	sum, err := l.hash(part)
	if err != nil {
		return err
	}
	l.receipts = append(l.receipts, sum)
	switch part.Kind {
	case schemas.KindRemoved:
		l.parts.Removed++
	case schemas.KindAttachments:
		l.parts.Attachments++
	default:
		l.parts.Rows++
	}
	l.names[maphash.String(l.seed, part.Name)] = struct{}{}
	for _, s := range part.Segments {
		l.names[maphash.String(l.seed, s.Name)] = struct{}{}
	}
	return nil
}

func (l *listing) hash(part schemas.Receipt) (uint64, error) {
	b, err := schemas.Encode(part)
	return maphash.Bytes(l.seed, b), err
}

// hasName reports whether a file is listed.
func (l *listing) hasName(name string) bool {
	_, ok := l.names[maphash.String(l.seed, name)]
	return ok
}

// has reports whether a part is the nth that was listed, from 0.
func (l *listing) has(n int, part schemas.Receipt) (bool, error) {
	sum, err := l.hash(part)
	return n < len(l.receipts) && l.receipts[n] == sum, err
}

// ReadManifest returns what a manifest says but for its parts, and its SHA-256, if it is consistent
// in itself. Who signed it is not looked at. The file is read three times.
func ReadManifest(content *os.File) (m *schemas.Manifest, sum string, err error) {
	read := sha256.New()
	n, err := io.Copy(read, io.LimitReader(content, maxManifest+1))
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("read %s: %w", content.Name(), err)
	case n > maxManifest:
		return nil, "", violated(schemas.ManifestName, RuleManifest, "it has more than %s", schemas.Counted(int64(maxManifest), "byte"))
	}
	sum = hex.EncodeToString(read.Sum(nil))
	m, err = consistent(content, sum, nil)
	return m, sum, err
}

// consistent reads a manifest of that SHA-256 without its parts, and checks that it and they are
// consistent. What each, if there is one, returns for it is given its parts.
func consistent(content *os.File, sum string, each func(*schemas.Manifest) func(schemas.Receipt) error) (*schemas.Manifest, error) {
	m, err := reread(content, sum, nil)
	if err != nil {
		return nil, err
	}
	check, take := schemas.CheckManifest(m), func(schemas.Receipt) error { return nil }
	if each != nil {
		take = each(m)
	}
	_, err = reread(content, sum, func(part schemas.Receipt) error {
		check.Part(part)
		return take(part)
	})
	if err != nil {
		return nil, err
	}
	if err := check.Err(); err != nil {
		return nil, violated(schemas.ManifestName, RuleManifest, "%w", err)
	}
	return m, nil
}

// reread reads a manifest of that SHA-256 from its beginning and gives each, if there is one, its
// parts, one after the other. That it is that one is known when it returns.
func reread(content *os.File, sum string, each func(schemas.Receipt) error) (*schemas.Manifest, error) {
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read %s: %w", schemas.ManifestName, err)
	}
	read := sha256.New()
	var refused error // by each
	take := func(part schemas.Receipt) error {
		refused = each(part)
		return refused
	}
	if each == nil {
		take = nil
	}
	m, err := schemas.ReadManifest(io.TeeReader(io.LimitReader(content, maxManifest), read), take)
	switch {
	case refused != nil:
		return nil, refused
	case errors.As(err, new(*schemas.MalformedError)):
		return nil, violated(schemas.ManifestName, RuleManifest, "%w", err)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", schemas.ManifestName, err)
	case sum != hex.EncodeToString(read.Sum(nil)):
		return nil, errManifestChanged
	}
	return m, nil
}

// PartsIn gives each the parts of the export that was verified in a directory, one after the other.
// They are those that were verified; whether these are all is known when PartsIn returns.
func (r Report) PartsIn(dir string, each func(schemas.Receipt) error) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return r.eachListed(root, each)
}

// eachListed gives each the parts of the manifest that r is about: none that is another one than
// when its signature was verified. Whether these are all is known when it returns.
func (r Report) eachListed(root *os.Root, each func(schemas.Receipt) error) error {
	content, err := openBounded(root, schemas.ManifestName, maxManifest, RuleManifest)
	if err != nil {
		return err
	}
	defer content.Close()
	n := 0
	_, err = reread(content, r.ManifestSHA256, func(part schemas.Receipt) error {
		same, err := r.listed.has(n, part)
		if err != nil {
			return err
		}
		if !same {
			return errManifestChanged
		}
		n++
		return each(part)
	})
	return err
}

// errManifestChanged says that a manifest is not the one whose signature was verified.
var errManifestChanged = violated(schemas.ManifestName, RuleManifest, "it was changed while it was read")

// atOnce calls work for every part, several at once, until one returns an error. Violations are
// taken by found and end nothing, but that of a manifest that was changed.
func (r Report) atOnce(ctx context.Context, root *os.Root, parallel int, found *findings, work func(context.Context, schemas.Receipt) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	err := r.eachListed(root, func(part schemas.Receipt) error {
		if err := gctx.Err(); err != nil {
			return err
		}
		g.Go(func() error { return found.take(work(gctx, part)) })
		return nil
	})
	return cmp.Or(g.Wait(), ctx.Err(), found.take(err)) // what ends the group ends the reading
}
