package pipeline

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"cdds/schemas"
)

// maxBody bounds a row that is read to find its attachments, in bytes: what a record
// may have, and room for times that grew.
const maxBody = schemas.MaxRecordBytes + 1<<20

// attached is an attachment and where it belongs.
type attached struct {
	schemas.Attachment
	key schemas.RowKey
	// position within the interaction counts from 1.
	position int
}

// eachAttachment calls do for every attachment of every interaction in JSON Lines, and
// returns how many interactions there were.
func eachAttachment(lines io.Reader, do func(attached) error) (interactions int64, err error) {
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(make([]byte, 64<<10), maxBody)
	scanner.Split(wholeLines)
	for scanner.Scan() {
		key, attachments, err := schemas.StoredAttachments(scanner.Bytes())
		if err != nil {
			return interactions, Permanent(err)
		}
		interactions++
		for n, a := range attachments {
			if err := do(attached{a, key, n + 1}); err != nil {
				return interactions, err
			}
		}
	}
	if err := scanner.Err(); err != nil {
		return interactions, fmt.Errorf("read interactions with attachments: %w", err)
	}
	return interactions, nil
}

// wholeLines is bufio.ScanLines, but of a stream that breaks off it takes no half line
// for a whole one.
func wholeLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return 0, nil, nil
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
