package pages

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"os"
	"slices"
)

// entry is what a sorter sorts: by key, and entries of one key by rank.
type entry struct {
	key  string
	rank uint64
	data []byte
}

func (e entry) compare(f entry) int {
	return cmp.Or(cmp.Compare(e.key, f.key), cmp.Compare(e.rank, f.rank))
}

// entryOverhead is about what an entry takes in memory beside its key and data.
const entryOverhead = 64

// sorter sorts any number of entries in bounded memory: what does not fit is spilled in sorted
// runs, which are merged.
type sorter struct {
	spill *os.File
	limit int // bytes held in memory
	held  []entry
	size  int
	ends  []int64 // of the runs in spill
}

func (s *sorter) add(e entry) error {
	s.held = append(s.held, e)
	if s.size += len(e.key) + len(e.data) + entryOverhead; s.size < s.limit {
		return nil
	}
	return s.flush()
}

// flush spills what is held as a run.
func (s *sorter) flush() error {
	slices.SortFunc(s.held, entry.compare)
	w := bufio.NewWriterSize(s.spill, 256<<10)
	var b []byte
	for _, e := range s.held {
		b = binary.AppendUvarint(b[:0], uint64(len(e.key)))
		b = append(b, e.key...)
		b = binary.AppendUvarint(b, e.rank)
		b = binary.AppendUvarint(b, uint64(len(e.data)))
		b = append(b, e.data...)
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	end, err := s.spill.Seek(0, io.SeekCurrent)
	s.ends = append(s.ends, end)
	clear(s.held)
	s.held, s.size = s.held[:0], 0
	return err
}

// sorted is every entry in order. It ends with the first error.
func (s *sorter) sorted() iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		if len(s.ends) == 0 {
			slices.SortFunc(s.held, entry.compare)
			for _, e := range s.held {
				if !yield(e, nil) {
					return
				}
			}
			return
		}
		if err := s.flush(); err != nil {
			yield(entry{}, err)
			return
		}
		var all runs
		begin := int64(0)
		for _, end := range s.ends {
			r := &run{from: bufio.NewReaderSize(io.NewSectionReader(s.spill, begin, end-begin), 16<<10)}
			begin = end
			switch err := r.next(); {
			case err == nil:
				all = append(all, r)
			case !errors.Is(err, io.EOF):
				yield(entry{}, err)
				return
			}
		}
		heap.Init(&all)
		for len(all) > 0 {
			if !yield(all[0].entry, nil) {
				return
			}
			switch err := all[0].next(); {
			case err == nil:
				heap.Fix(&all, 0)
			case errors.Is(err, io.EOF):
				heap.Pop(&all)
			default:
				yield(entry{}, err)
				return
			}
		}
	}
}

// run is a spilled run, and the entry it is at.
type run struct {
	entry
	from *bufio.Reader
}

// next reads the next entry; io.EOF says that none exists.
func (r *run) next() error {
	key, err := r.bytes()
	if err != nil {
		return err
	}
	rank, err := binary.ReadUvarint(r.from)
	if err != nil {
		return cutShort(err)
	}
	data, err := r.bytes()
	r.entry = entry{string(key), rank, data}
	return cutShort(err)
}

func (r *run) bytes() ([]byte, error) {
	n, err := binary.ReadUvarint(r.from)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = io.CopyN(&b, r.from, int64(n))
	return b.Bytes(), cutShort(err)
}

// cutShort is the error of a run that ends within an entry.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// runs is a heap of runs.
type runs []*run

func (r runs) Len() int           { return len(r) }
func (r runs) Less(i, j int) bool { return r[i].compare(r[j].entry) < 0 }
func (r runs) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *runs) Push(x any)        { *r = append(*r, x.(*run)) }
func (r *runs) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}
