package tables

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
)

// Block is rows of a table, column by column, encoded as ClickHouse's Native format has
// them. It is filled, inserted, Reset and filled again, and keeps its memory: what a
// client does that holds values until it encodes them costs a third of an ingest process,
// most of it in buffers that grow.
type Block struct {
	names   []string
	columns []Column
}

// Column is a column of a Block.
type Column interface {
	// kind is the type as ClickHouse writes it.
	kind() string
	rows() int
	reset()
	// encoded appends the column's parts, which are sent one after the other.
	encoded(parts [][]byte) [][]byte
}

// Add adds a column under its name in the table.
func (b *Block) Add(name string, c Column) {
	b.names, b.columns = append(b.names, name), append(b.columns, c)
}

// Reset removes all rows.
func (b *Block) Reset() {
	for _, c := range b.columns {
		c.reset()
	}
}

// encoded is the block as it is sent.
func (b *Block) encoded() [][]byte {
	head := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(b.columns))), uint64(b.columns[0].rows()))
	var parts [][]byte
	for i, c := range b.columns {
		if c.rows() != b.columns[0].rows() {
			panic("tables: column " + b.names[i] + " has other rows than " + b.names[0])
		}
		parts = append(parts, appendText(appendText(head, b.names[i]), c.kind()))
		parts, head = c.encoded(parts), nil
	}
	return parts
}

// InsertBlock stores a block's rows: all of them or an error. It reports whether the block
// may be filled again: after an error the client may still be reading it.
func (db *Database) InsertBlock(ctx context.Context, table string, b *Block) (again bool, err error) {
	body := &parts{left: b.encoded()}
	err = db.insert(ctx, table, func(ctx context.Context) error {
		return db.conn.InsertFormat(ctx, "Native", "INSERT INTO "+table+" ("+strings.Join(b.names, ", ")+")", body)
	})
	return err == nil && body.ended, err
}

// parts reads one after the other.
type parts struct {
	left  net.Buffers
	ended bool
}

func (p *parts) Read(b []byte) (int, error) {
	n, err := p.left.Read(b)
	p.ended = err == io.EOF //nolint:errorlint // net.Buffers returns it as it is
	return n, err
}

func appendText[T string | []byte](to []byte, text T) []byte {
	return append(binary.AppendUvarint(to, uint64(len(text))), text...)
}
