// Package schemas holds the contracts of CDDS: every event that crosses a
// topic, the documents stored beside artifacts, the rules they obey, and the one
// reader of JSON for all of them (read.go, members.go; scan.go is its short cut for events
// that are written as nearly all are).
//
// It imports the standard library only (with encoding/json/v2 from its mirror until Go
// 1.27 has it), so that every other package can speak
// these types. Go types, JSON Schemas (schemas/json), the columns of ClickHouse
// (pipeline/warehouse/sql) and each other are held together by tests.
//
// Times on the wire are RFC 3339 in UTC with milliseconds; ranges are half-open,
// [from, to).
package schemas
