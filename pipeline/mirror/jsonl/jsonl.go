// Package jsonl keeps a copy as JSON Lines, the lines that exports have, by month:
// interactions/2026-05.jsonl, contacts/2026-05.jsonl, and of attachments where each is.
package jsonl

import (
	"context"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"cdds/pipeline/mirror"
	"cdds/pipeline/mirror/monthly"
)

// Open opens the copy in a directory. The caller closes it.
func Open(ctx context.Context, dir string) (mirror.Destination, error) {
	return monthly.Open(ctx, dir, format{})
}

type format struct{}

func (format) Extension() string { return ".jsonl" }

// Columns is the body alone where there is one: it is the line.
func (format) Columns(t mirror.Table) []mirror.Column {
	if last := t.Columns[len(t.Columns)-1:]; last[0].Name == mirror.Body {
		return last
	}
	return t.Columns
}

func (f format) Write(w io.Writer, t mirror.Table, rows func(func([]any) error) error) error {
	if f.Columns(t)[0].Name == mirror.Body {
		return rows(func(values []any) error {
			_, err := w.Write(append(values[0].([]byte), '\n'))
			return err
		})
	}
	out := jsontext.NewEncoder(w)
	return rows(func(values []any) error {
		if err := out.WriteToken(jsontext.BeginObject); err != nil {
			return err
		}
		for i, c := range t.Columns {
			if err := member(out, c, values[i]); err != nil {
				return err
			}
		}
		return out.WriteToken(jsontext.EndObject)
	})
}

// member writes a column that is not null.
func member(out *jsontext.Encoder, c mirror.Column, value any) error {
	if value == nil {
		return nil
	}
	if err := out.WriteToken(jsontext.String(c.Name)); err != nil {
		return err
	}
	if text := value.([]byte); c.Kind == mirror.Integer || c.Kind == mirror.JSON {
		return out.WriteValue(text)
	} else {
		return out.WriteToken(jsontext.String(string(text)))
	}
}
