package pipeline

import (
	"context"

	"cdds/schemas"
)

// attached is an attachment and where it belongs.
type attached struct {
	schemas.Attachment
	key schemas.RowKey
	// position within the interaction counts from 1.
	position int
	// version is that of the interaction; see warehouse.VersionOf.
	version uint64
}

// eachAttachment calls do for every attachment of every interaction between two inclusive keys,
// and returns which interactions there were.
func (e *Exporter) eachAttachment(ctx context.Context, x Export, first, last schemas.RowKey, do func(attached) error) (all withFiles, err error) {
	err = e.source.Attached(ctx, x.query(), first, last, func(version uint64, body []byte) error {
		key, attachments, err := schemas.StoredAttachments(body)
		if err != nil {
			return Permanent(err)
		}
		all.add(version)
		for n, a := range attachments {
			if err := do(attached{a, key, n + 1, version}); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

// withFiles are rows that may have attachments: how many, and what their versions come to.
type withFiles struct {
	rows     int64
	versions uint64
}

func (w *withFiles) add(version uint64) { w.rows, w.versions = w.rows+1, w.versions+version }

// chosen adds up the versions of rows whose attachments come one after the other, each once.
type chosen struct {
	versions uint64
	last     schemas.RowKey
}

func (c *chosen) add(key schemas.RowKey, version uint64) {
	if c.last != key {
		c.versions, c.last = c.versions+version, key
	}
}

func (a attached) before(key schemas.RowKey, position int) bool {
	c := a.key.Compare(key)
	return c < 0 || c == 0 && a.position < position
}

func (a attached) after(key schemas.RowKey, position int) bool {
	c := a.key.Compare(key)
	return c > 0 || c == 0 && a.position > position
}

// line is the attachment in the index, without its content so far.
func (a attached) line() schemas.AttachmentLine {
	return schemas.AttachmentLine{
		InteractionID: a.key.ID, StartedAt: a.key.Time, AttachmentID: a.AttachmentID,
		Name: a.Name, ContentType: a.ContentType, Size: a.Size, SHA256: a.SHA256,
	}
}
