package receiver

import (
	"iter"
	"path/filepath"
	"slices"
	"sync"

	"cdds/schemas"
)

// Files are the JSON Lines files of some parts of an export. It holds a bit for each part. Nil has
// none.
type Files struct {
	dir, entity string
	parts       PartCounts

	mu   sync.Mutex
	bits []uint64
	n    int
}

// newFiles has none yet of the files that are made in dir of the export that r reports.
func newFiles(r Report, dir string) *Files {
	return &Files{dir: dir, entity: r.Manifest.Filter.Entity, parts: r.Parts, bits: make([]uint64, r.Parts.Total()/64+1)}
}

// add adds the file of a part, which it has not.
func (f *Files) add(number int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bits[number/64] |= 1 << (number % 64)
	f.n++
}

func (f *Files) has(number int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bits[number/64]&(1<<(number%64)) != 0
}

// Len is how many there are.
func (f *Files) Len() int {
	if f == nil {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// Paths are those of the files, in the order of parts.
func (f *Files) Paths() iter.Seq[string] {
	return func(yield func(string) bool) {
		if f == nil {
			return
		}
		for part := range f.parts.All() {
			if f.has(part.Number) && !yield(filepath.Join(f.dir, schemas.EntryName(f.entity, part))) {
				return
			}
		}
	}
}

// MarshalJSON lists the paths.
func (f *Files) MarshalJSON() ([]byte, error) { return schemas.Encode(slices.Collect(f.Paths())) }

// IsZero reports whether there are none.
func (f *Files) IsZero() bool { return f.Len() == 0 }
