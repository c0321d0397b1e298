package tables

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"
)

// Texts is a column of String.
type Texts struct {
	data []byte
	n    int
}

// Append appends a row.
func (c *Texts) Append(text string) { c.data, c.n = appendText(c.data, text), c.n+1 }

// AppendBytes appends a row.
func (c *Texts) AppendBytes(text []byte) { c.data, c.n = appendText(c.data, text), c.n+1 }

// Reserve makes room for rows of so many bytes in all: a buffer that grows to some size
// step by step is made of several times its size.
func (c *Texts) Reserve(rows, bytes int) {
	c.data = slices.Grow(c.data, bytes+rows*binary.MaxVarintLen32)
}

func (c *Texts) kind() string                    { return "String" }
func (c *Texts) rows() int                       { return c.n }
func (c *Texts) reset()                          { c.data, c.n = c.data[:0], 0 }
func (c *Texts) encoded(parts [][]byte) [][]byte { return append(parts, c.data) }

// Numbers is a column of a type of fixed size, which Kind names.
type Numbers struct {
	Kind string
	data []byte
	n    int
}

// Append32 appends a row of four bytes.
func (c *Numbers) Append32(v uint32) {
	c.data, c.n = binary.LittleEndian.AppendUint32(c.data, v), c.n+1
}

// Append64 appends a row of eight bytes.
func (c *Numbers) Append64(v uint64) {
	c.data, c.n = binary.LittleEndian.AppendUint64(c.data, v), c.n+1
}

// AppendBool appends a row of a Bool.
func (c *Numbers) AppendBool(v bool) {
	one := byte(0)
	if v {
		one = 1
	}
	c.data, c.n = append(c.data, one), c.n+1
}

// AppendTime appends a row of a DateTime64(3); the zero time is 1970.
func (c *Numbers) AppendTime(t time.Time) {
	if t.IsZero() {
		c.Append64(0)
		return
	}
	c.Append64(uint64(t.UnixMilli()))
}

func (c *Numbers) kind() string                    { return c.Kind }
func (c *Numbers) rows() int                       { return c.n }
func (c *Numbers) reset()                          { c.data, c.n = c.data[:0], 0 }
func (c *Numbers) encoded(parts [][]byte) [][]byte { return append(parts, c.data) }

// Words is a column of LowCardinality(String): each row is the place of its text in a
// dictionary.
type Words struct {
	places     map[string]uint32
	dictionary Texts
	keys       Numbers
	last       string // the text of the row before, which often is that of the next
	head, tail []byte
}

// Append appends a row.
func (c *Words) Append(word string) {
	if c.keys.n > 0 && word == c.last {
		c.keys.Append32(binary.LittleEndian.Uint32(c.keys.data[len(c.keys.data)-4:]))
		return
	}
	place, known := c.places[word]
	if !known {
		if c.places == nil {
			c.places = map[string]uint32{}
		}
		word = strings.Clone(word) // it may share the memory of a whole event
		place = uint32(c.dictionary.n)
		c.places[word] = place
		c.dictionary.Append(word)
	}
	c.keys.Append32(place)
	c.last = word
}

func (c *Words) kind() string { return "LowCardinality(String)" }
func (c *Words) rows() int    { return c.keys.n }

func (c *Words) reset() {
	clear(c.places)
	c.dictionary.reset()
	c.keys.reset()
	c.last = ""
}

// encoded has the version of the encoding, of what follows that keys have four bytes and a
// dictionary is here, and how long both are; see SerializationLowCardinality.cpp.
func (c *Words) encoded(parts [][]byte) [][]byte {
	const version, keys32, ownDictionary, replacesAll = 1, 2, 1 << 9, 1 << 10
	c.head = c.head[:0]
	for _, v := range []uint64{version, keys32 | ownDictionary | replacesAll, uint64(c.dictionary.n)} {
		c.head = binary.LittleEndian.AppendUint64(c.head, v)
	}
	c.tail = binary.LittleEndian.AppendUint64(c.tail[:0], uint64(c.keys.n))
	return append(parts, c.head, c.dictionary.data, c.tail, c.keys.data)
}

// Pairs is a column of Map(String, String).
type Pairs struct {
	ends          Numbers
	names, values Texts
	sorted        []string
}

// Append appends a row, ordered by name: the same map is always the same row.
func (c *Pairs) Append(row map[string]string) {
	if len(row) > 0 {
		c.sorted = slices.AppendSeq(c.sorted[:0], maps.Keys(row))
		slices.Sort(c.sorted)
		for _, name := range c.sorted {
			c.names.Append(name)
			c.values.Append(row[name])
		}
		clear(c.sorted) // keep no event alive
	}
	c.ends.Append64(uint64(c.names.n))
}

func (c *Pairs) kind() string { return "Map(String, String)" }
func (c *Pairs) rows() int    { return c.ends.n }

func (c *Pairs) reset() {
	c.ends.reset()
	c.names.reset()
	c.values.reset()
}

func (c *Pairs) encoded(parts [][]byte) [][]byte {
	return append(parts, c.ends.data, c.names.data, c.values.data)
}

// Lists is a column of Array(UInt64).
type Lists struct{ ends, values Numbers }

// Append appends a number to the row that End ends.
func (c *Lists) Append(v uint64) { c.values.Append64(v) }

// End ends a row.
func (c *Lists) End() { c.ends.Append64(uint64(c.values.n)) }

func (c *Lists) kind() string { return "Array(UInt64)" }
func (c *Lists) rows() int    { return c.ends.n }

func (c *Lists) reset() {
	c.ends.reset()
	c.values.reset()
}

func (c *Lists) encoded(parts [][]byte) [][]byte {
	return append(parts, c.ends.data, c.values.data)
}
