// Package parquet keeps a copy as Parquet files by month, compressed with zstd:
// interactions/2026-05.parquet, contacts/2026-05.parquet and attachments/2026-05.parquet.
// Columns are texts (STRING), times (TIMESTAMP in milliseconds, UTC), documents (JSON) and
// whole numbers (INT64), see https://parquet.apache.org/docs/file-format/types/.
package parquet

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	parquetzstd "github.com/parquet-go/parquet-go/compress/zstd"

	"cdds/pipeline/mirror"
	"cdds/pipeline/mirror/monthly"
	"cdds/schemas"
)

// Open opens the copy in a directory. The caller closes it.
func Open(ctx context.Context, dir string) (mirror.Destination, error) {
	return monthly.Open(ctx, dir, format{})
}

// What bounds a row group, which is held until it is whole.
const (
	groupRows  = 50_000
	groupBytes = 32 << 20
)

type format struct{}

func (format) Extension() string { return ".parquet" }

func (format) Columns(t mirror.Table) []mirror.Column { return t.Columns }

func (format) Write(w io.Writer, t mirror.Table, rows func(func([]any) error) error) error {
	// A group sorts its columns by name.
	order := make([]int, len(t.Columns))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if t.Columns[a].Name < t.Columns[b].Name {
			return -1
		}
		return 1
	})
	compression, err := newCodec()
	if err != nil {
		return err
	}
	out := parquet.NewWriter(w, schemaOf(t), parquet.Compression(compression), parquet.CreatedBy("cdds", "", ""))
	row := make(parquet.Row, len(t.Columns))
	held, size := 0, 0
	err = rows(func(values []any) error {
		for at, i := range order {
			value, err := valueOf(t.Columns[i], values[i])
			if err != nil {
				return err
			}
			defined := 0
			if optional(t, i) && values[i] != nil {
				defined = 1
			}
			row[at] = value.Level(0, defined, at)
			if text, ok := values[i].([]byte); ok {
				size += len(text)
			}
		}
		if _, err := out.WriteRows([]parquet.Row{row}); err != nil {
			return err
		}
		if held++; held < groupRows && size < groupBytes {
			return nil
		}
		held, size = 0, 0
		return out.Flush()
	})
	if err != nil {
		return err
	}
	return out.Close()
}

// codec compresses pages with one encoder whose window is as large as a page. Those of parquet-go
// have windows of several MiB, and there are several for each file.
type codec struct {
	parquetzstd.Codec
	encoder *zstd.Encoder
}

// window is a power of two that a page fits into.
const window = 1 << 20

func newCodec() (*codec, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(window),
		zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true), zstd.WithEncoderCRC(false))
	return &codec{encoder: encoder}, err
}

func (c *codec) Encode(dst, src []byte) ([]byte, error) {
	return c.encoder.EncodeAll(src, dst[:0]), nil
}

func optional(t mirror.Table, column int) bool {
	return column >= t.Key && t.Columns[column].Name != mirror.Body
}

func schemaOf(t mirror.Table) *parquet.Schema {
	group := parquet.Group{}
	for i, c := range t.Columns {
		node := map[mirror.Kind]parquet.Node{
			mirror.Text: parquet.String(), mirror.Instant: parquet.Timestamp(parquet.Millisecond),
			mirror.JSON: parquet.JSON(), mirror.Integer: parquet.Int(64),
		}[c.Kind]
		if optional(t, i) {
			node = parquet.Optional(node)
		}
		group[c.Name] = node
	}
	return parquet.NewSchema(t.Name, group)
}

func valueOf(c mirror.Column, value any) (parquet.Value, error) {
	text, ok := value.([]byte)
	if !ok {
		return parquet.NullValue(), nil
	}
	switch c.Kind {
	case mirror.Instant:
		at, err := schemas.ParseTime(string(text))
		if err != nil {
			return parquet.Value{}, fmt.Errorf("column %s: %w", c.Name, err)
		}
		return parquet.Int64Value(at.UnixMilli()), nil
	case mirror.Integer:
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil {
			return parquet.Value{}, fmt.Errorf("column %s: %w", c.Name, err)
		}
		return parquet.Int64Value(n), nil
	}
	return parquet.ByteArrayValue(text), nil
}
