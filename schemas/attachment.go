package schemas

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxObjectBytes is the size of the largest object an attachment can refer to: the largest
// that S3 takes in one request, 5 GiB.
const MaxObjectBytes = 5 << 30

// MaxZippedBytes is the size of the largest object that goes into a zip, in bytes. A larger
// one, such as a recording, is a file of its own, cut into segments.
const MaxZippedBytes = 64 << 20

// maxObjectKey is what S3 allows.
const maxObjectKey = 1024

// Attachment is a file that belongs to an interaction: inline, or a reference to
// an object in S3.
type Attachment struct {
	AttachmentID string `json:"attachment_id"`
	Name         string `json:"name,omitempty"`
	ContentType  string `json:"content_type,omitempty"`
	// Size is the number of bytes of the content.
	Size int64 `json:"size,omitempty"`
	// SHA256 is the digest of the content in lower-case hex.
	SHA256 string `json:"sha256,omitempty"`
	// Content is the file in base64, at most 1 MiB decoded.
	Content string `json:"content,omitempty"`
	// Object is the key of the object that holds the content, in the bucket for
	// attachments. It begins with the interaction's tenant id and a slash, so that no
	// tenant can name what is another's.
	Object string `json:"object,omitempty"`
}

// AttachmentLine is one line of the index of a part with attachments.
type AttachmentLine struct {
	InteractionID string `json:"interaction_id"`
	StartedAt     Time   `json:"started_at"`
	AttachmentID  string `json:"attachment_id"`
	Name          string `json:"name,omitempty"`
	ContentType   string `json:"content_type,omitempty"`
	// Size and SHA256 are the file's, or where none exists what its event says.
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256,omitempty"`
	// File is its path in the zip; empty if the content is not there. With Segments it is
	// not in the zip, but where a receiver puts what they join to.
	File string `json:"file,omitempty"`
	// Segments are the names of the sealed files whose contents, one after the other, are
	// the file.
	Segments []string `json:"segments,omitempty"`
	// Problem says why not.
	Problem string `json:"problem,omitempty"`
}

// Decoded is the inline content; none is empty.
func (a Attachment) Decoded() ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(a.Content))
	if err != nil {
		return nil, fmt.Errorf("content is not base64: %w", err)
	}
	return b, nil
}

// PlannedBytes is how many bytes of content to expect: none where the event contradicts
// itself, since then there will be none.
func (a Attachment) PlannedBytes() int64 {
	if a.Object != "" {
		if a.Size < 1 || a.Size > MaxObjectBytes {
			return 0
		}
		return a.Size
	}
	content, err := a.Decoded()
	if err != nil {
		return 0
	}
	return int64(len(content))
}

// CheckObject says what is wrong with the reference of an attachment of the tenant:
// above all that its key is outside what belongs to the tenant.
func (a Attachment) CheckObject(tenantID string) error {
	segments := strings.Split(a.Object, "/")
	switch {
	case a.SHA256 == "":
		return fmt.Errorf("an object needs its sha256")
	case a.Size < 1 || a.Size > MaxObjectBytes:
		return fmt.Errorf("an object needs its size, 1 to %d bytes (5 GiB)", int64(MaxObjectBytes))
	case len(a.Object) > maxObjectKey || strings.ContainsFunc(a.Object, unicode.IsControl):
		return fmt.Errorf("the object's key has more than %d bytes or a control character", maxObjectKey)
	case !utf8.ValidString(a.Object):
		return fmt.Errorf("the object's key %s", notUnicode)
	case tenantID == "" || segments[0] != tenantID || len(segments) < 2:
		return fmt.Errorf("the object %q is not below %s/, where the tenant's attachments are", shorten(a.Object), tenantID)
	case slices.ContainsFunc(segments, func(s string) bool { return s == "" || s == "." || s == ".." }) || strings.Contains(a.Object, `\`):
		return fmt.Errorf("the object %q has an empty, . or .. segment or a backslash in its key", shorten(a.Object))
	}
	return nil
}

func (p *problems) attachments(tenantID string, list []Attachment) {
	if len(list) > maxAttachments {
		p.add("attachments", "has %d members; the limit is %d", len(list), maxAttachments)
		return
	}
	for n, a := range list {
		if a.AttachmentID == "" || len(a.AttachmentID) > maxIDBytes {
			p.add("attachments", "number %d: attachment_id must have 1 to %d bytes", n+1, maxIDBytes)
		}
		if !utf8.ValidString(a.AttachmentID) {
			p.add("attachments", "number %d: attachment_id %s", n+1, notUnicode)
		}
		if slices.ContainsFunc(list[:n], func(b Attachment) bool { return b.AttachmentID == a.AttachmentID }) {
			p.add("attachments", "number %d: attachment_id %q appears twice", n+1, shorten(a.AttachmentID))
		}
		if len(a.Name) > maxShortTextBytes || len(a.ContentType) > maxShortTextBytes {
			p.add("attachments", "number %d: name and content_type are limited to %d bytes", n+1, maxShortTextBytes)
		}
		switch {
		case a.Content != "" && a.Object != "":
			p.add("attachments", "number %d: give content or object, not both", n+1)
		case a.Size < 0 || a.SHA256 != "" && !sha256Pattern.MatchString(a.SHA256):
			p.add("attachments", "number %d: size is in bytes, and sha256 in lower-case hex", n+1)
		case a.Object != "":
			if err := a.CheckObject(tenantID); err != nil {
				p.add("attachments", "number %d: %v", n+1, err)
			}
		case a.Content != "":
			if size := base64.StdEncoding.DecodedLen(len(a.Content)); size > maxInlineBytes+2 {
				p.add("attachments", "number %d: inline content is limited to %d bytes; put it in S3 and refer to it by object", n+1, maxInlineBytes)
			} else if !validBase64(a.Content) {
				p.add("attachments", "number %d: content is not base64", n+1)
			}
		}
	}
}

func validBase64(s string) bool {
	dst := make([]byte, base64.StdEncoding.DecodedLen(len(s)))
	_, err := base64.StdEncoding.Strict().Decode(dst, bytes.TrimSpace([]byte(s)))
	return err == nil
}
