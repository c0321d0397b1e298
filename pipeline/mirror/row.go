package mirror

import (
	"errors"

	"cdds/schemas"
)

// Kind is the type of a column.
type Kind int

// Kinds of columns.
const (
	// Text holds Unicode.
	Text Kind = iota
	// Instant holds milliseconds in UTC.
	Instant
	// JSON holds a document.
	JSON
	// Integer holds 64 bits.
	Integer
)

// Body is the column with the line of the export.
const Body = "body"

// Column is one of a table's. Those of the key and the last one are never null.
type Column struct {
	Name string
	Kind Kind
}

// Table is one of a copy's.
type Table struct {
	Name string
	// Columns begin with those of the key: when, then which. What people look for has a
	// column of its own; body, the last one of an entity's, has everything.
	Columns []Column
	// Key is how many columns the key has.
	Key int
	// Indexed are the columns that people look rows up by, beside the key.
	Indexed []string
}

// Time and ID are the first columns of the key.
func (t Table) Time() string { return t.Columns[0].Name }

// ID is the second one.
func (t Table) ID() string { return t.Columns[1].Name }

// TableOf is the table of an entity's rows.
func TableOf(entity string) Table {
	if entity == schemas.EntityContact {
		return contacts
	}
	return interactions
}

var (
	interactions = Table{
		Name: "interactions",
		Columns: []Column{
			{"started_at", Instant}, {"interaction_id", Text}, {"ended_at", Instant}, {"modified_at", Instant}, {"media_type", Text},
			{"direction", Text}, {"status", Text}, {"parent_id", Text}, {"thread_id", Text}, {"contact_id", Text}, {"agent_id", Text},
			{"queue", Text}, {"category", Text}, {"subject", Text}, {"text", Text}, {"notes", Text}, {"language", Text},
			{"disposition", Text}, {"attributes", JSON}, {Body, Text},
		},
		Key:     2,
		Indexed: []string{"interaction_id", "contact_id", "agent_id", "queue", "thread_id"},
	}
	contacts = Table{
		Name: "contacts",
		Columns: []Column{
			{"created_at", Instant}, {"contact_id", Text}, {"modified_at", Instant}, {"display_name", Text}, {"first_name", Text},
			{"last_name", Text}, {"company", Text}, {"emails", JSON}, {"phones", JSON}, {"language", Text}, {"notes", Text},
			{"attributes", JSON}, {Body, Text},
		},
		Key:     2,
		Indexed: []string{"contact_id", "display_name"},
	}
)

// Attachments is the table of what interactions have attached. path is the file's below the
// folder of files, problem says why none exists.
var Attachments = Table{
	Name: "attachments",
	Columns: []Column{
		{"started_at", Instant}, {"interaction_id", Text}, {"attachment_id", Text}, {"name", Text}, {"content_type", Text},
		{"sha256", Text}, {"path", Text}, {"problem", Text}, {"size", Integer},
	},
	Key:     3,
	Indexed: []string{"path"},
}

// Row is one row of an entity's table.
type Row struct {
	Key schemas.RowKey
	// Values are those of the columns before body: string, time.Time or nil.
	Values []any
	// Body is the line of the export, without its line feed.
	Body []byte
}

// RowOf reads a line of an export. The row refers to it.
func RowOf(entity string, line []byte) (Row, error) {
	if entity == schemas.EntityContact {
		c, err := schemas.StoredContact(line)
		if err != nil {
			return Row{}, err
		}
		return keyed(schemas.RowKey{Time: c.CreatedAt, ID: c.ContactID}, line,
			c.CreatedAt.Time, c.ContactID, instant(c.ModifiedAt), text(c.DisplayName), text(c.FirstName),
			text(c.LastName), text(c.Company), list(c.Emails), list(c.Phones), text(c.Language), text(c.Notes), pairs(c.Attributes))
	}
	i, err := schemas.StoredInteraction(line)
	if err != nil {
		return Row{}, err
	}
	return keyed(schemas.RowKey{Time: i.StartedAt, ID: i.InteractionID}, line,
		i.StartedAt.Time, i.InteractionID, instant(i.EndedAt), instant(i.ModifiedAt), text(i.MediaType),
		text(i.Direction), text(i.Status), text(i.ParentID), text(i.ThreadID), text(i.ContactID), text(i.AgentID),
		text(i.Queue), text(i.Category), text(i.Subject), text(i.Text), text(i.Notes), text(i.Language),
		text(i.Disposition), pairs(i.Attributes))
}

func keyed(key schemas.RowKey, line []byte, values ...any) (Row, error) {
	if key.ID == "" || key.Time.IsZero() {
		return Row{}, errors.New("a line has no id or no time")
	}
	return Row{key, values, line}, nil
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func instant(t *schemas.Time) any {
	if t == nil || t.IsZero() {
		return nil
	}
	return t.Time
}

func list(l []string) any {
	if len(l) == 0 {
		return nil
	}
	return document(l)
}

func pairs(m map[string]string) any {
	if len(m) == 0 {
		return nil
	}
	return document(m)
}

func document(v any) any {
	b, err := schemas.Encode(v)
	if err != nil {
		panic("mirror: texts cannot be encoded: " + err.Error()) // they always can
	}
	return string(b)
}
