package engine

import (
	"github.com/ClickHouse/ch-go/proto"
	"github.com/go-json-experiment/json"
)

// helloQuery is what clickhouse-go sends first, to learn the revision at which
// to decode every later block. libchdb writes blocks of revision 0.
const helloQuery = "SELECT displayName(), version(), revision(), timezone()"

// hello answers it, as a block of the revision the client starts with: block
// info, then columns each with its custom-serialization flag.
func (e *Engine) hello() []byte {
	var b proto.Buffer
	b.PutUVarInt(1) // field 1: is_overflows
	b.PutBool(false)
	b.PutUVarInt(2) // field 2: bucket_num
	b.PutInt32(-1)
	b.PutUVarInt(0)
	b.PutUVarInt(4) // columns
	b.PutUVarInt(1) // rows
	column := func(name, typ string) {
		b.PutString(name)
		b.PutString(typ)
		b.PutBool(false)
	}
	column("displayName()", "String")
	b.PutString("embedded")
	column("version()", "String")
	b.PutString(e.version)
	column("revision()", "UInt32")
	b.PutUInt32(0)
	column("timezone()", "String")
	b.PutString(e.timezone)
	return b.Buf
}

// emptyNative is the block without rows a server sends for an empty result, so
// that clients know the columns. libchdb sends nothing; the columns are asked
// for. A query that cannot be described has no header.
func (s *session) emptyNative(sql string, req request) []byte {
	r, err := s.run("DESCRIBE TABLE ("+text(trimSemicolons(significant(sql)))+")", "JSONCompact", req.params...)
	if err != nil {
		return nil
	}
	var described struct {
		Data [][]string `json:"data"`
	}
	if err := json.Unmarshal(r.data, &described); err != nil {
		return nil
	}
	var b proto.Buffer
	b.PutUVarInt(uint64(len(described.Data)))
	b.PutUVarInt(0)
	for _, column := range described.Data {
		b.PutString(column[0])
		b.PutString(column[1])
	}
	return b.Buf
}
