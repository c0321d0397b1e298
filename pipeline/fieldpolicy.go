package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"cdds/schemas"
)

// A field policy is carried out between the rows, as ClickHouse has them, and the zip. So a part
// is still held to the rows and bytes that were planned, and what leaves this service is what the
// policy shows. The ids in the plan, in decisions and in status events are those of ClickHouse:
// erasures and holds find exports by them.

// namesBytes is by how much most rows grow by another product's field names.
const namesBytes = 768

// minRoom is the least room for growth of a part, in bytes.
const minRoom = 64 << 10

// errGrown says that what is shown needs more room than was reserved.
var errGrown = errors.New("its pseudonyms or field names need more memory than was reserved")

// PolicyKeyID is the id of the key that the pseudonyms of a request are made with, empty if there
// are none. It is schemas.ErrNoPseudonymKey if there is no key.
func (e *Exporter) PolicyKeyID(r *schemas.ExportRequest) (string, error) {
	if r.FieldPolicy.Pseudonyms(r.Entity) == 0 {
		return "", nil
	}
	key, err := e.pseudonymKey(r.TenantID)
	if err != nil {
		return "", err
	}
	return key.ID(), nil
}

func (e *Exporter) pseudonymKey(tenantID string) (*schemas.PseudonymKey, error) {
	if len(e.secret) == 0 {
		return nil, Permanent(schemas.ErrNoPseudonymKey)
	}
	key, err := schemas.NewPseudonymKey(e.secret, tenantID)
	if err != nil {
		return nil, Permanent(err)
	}
	return key, nil
}

// CheckPolicy is a permanent error if the export's field policy cannot be carried out, above all
// because the key of its pseudonyms is gone or another one.
func (e *Exporter) CheckPolicy(x Export) error {
	_, err := e.redacting(x)
	return err
}

// redacting is the export ready to carry its field policy out.
func (e *Exporter) redacting(x Export) (Export, error) {
	if x.FieldPolicy == nil {
		return x, nil
	}
	var key *schemas.PseudonymKey
	if x.FieldPolicy.Pseudonyms(x.Filter.Entity) > 0 {
		var err error
		if key, err = e.pseudonymKey(x.Filter.TenantID); err != nil {
			return x, err
		}
		if key.ID() != x.PolicyKeyID {
			return x, Permanent(fmt.Errorf("the pseudonyms of this export are made with the key %s, and this service now has the key %s: bring the earlier export.pseudonym_secret back, or request the export anew", x.PolicyKeyID, key.ID()))
		}
	}
	redaction, err := x.FieldPolicy.Redact(x.Filter.Entity, key)
	if err != nil {
		return x, Permanent(err)
	}
	x.redaction = redaction
	return x, nil
}

// policy identifies what an accepted export hides.
func (a Acceptance) policy() string {
	if a.Request == nil {
		return ""
	}
	return a.Request.FieldPolicy.Applied(a.Request.Entity, a.PolicyKeyID).Identity()
}

// growth is how much room for pseudonyms and field names to begin with.
func (x Export) growth(part schemas.Part) int64 {
	each := int64(x.FieldPolicy.Pseudonyms(x.Filter.Entity)) * schemas.PseudonymBytes
	if part.Kind == "" && x.Names != "" {
		each += namesBytes
	}
	if each == 0 || part.Kind == schemas.KindAttachments {
		return 0
	}
	return max(minRoom, part.Rows*each)
}

// mostGrowth is by how much the lines of a part grow at most, as far as that is known when it is
// planned: copies under other names are hardly longer than what they are of.
func (x Export) mostGrowth(part schemas.Part) int64 {
	if part.Kind == "" && x.Names != "" {
		return part.Bytes + x.growth(part)
	}
	return x.growth(part)
}

// moreRoom is the room after what there is was too small: twice that, but no more than the part
// once more before that is known to be too little. Copies hardly need more.
func (x Export) moreRoom(part schemas.Part) int64 {
	if again := part.Bytes + x.growth(part); x.room < again && again < 2*x.room {
		return again
	}
	return 2 * x.room
}

// rewrites reports whether the lines of a part are shown otherwise than they are stored.
func (x Export) rewrites(kind string) bool {
	return x.redaction != nil && kind != schemas.KindAttachments || x.Names != "" && kind == ""
}

// shownLines is what appends the line that an export shows of a stored one; nil if that is the
// same. Copies under other names are made of what the policy shows, and of nothing else.
func (x Export) shownLines(kind string) func(dst, line []byte) ([]byte, error) {
	redact := x.redactLines(kind)
	names := schemas.FieldNamesOf(x.Names, x.Filter.Entity)
	switch {
	case names == nil || kind != "":
		return redact
	case redact == nil:
		return names.Copies().Append
	}
	copies, shown := names.Copies(), []byte(nil)
	return func(dst, line []byte) (_ []byte, err error) {
		if shown, err = redact(shown[:0], line); err != nil {
			return dst, err
		}
		return copies.Append(dst, shown)
	}
}

// redactLines returns the function that applies the field policy to a line, or nil without a policy.
func (x Export) redactLines(kind string) func(dst, line []byte) ([]byte, error) {
	switch {
	case x.redaction == nil:
		return nil
	case kind == schemas.KindRemoved:
		return func(dst, line []byte) ([]byte, error) {
			var r schemas.Removal
			if err := schemas.Read(line, &r); err != nil {
				return dst, err
			}
			shown, err := schemas.Encode(x.redaction.Removal(r))
			return append(dst, shown...), err
		}
	}
	return x.redaction.Line().Append
}

// appliedPolicy is what the manifest states.
func (x Export) appliedPolicy() *schemas.AppliedPolicy {
	if x.redaction == nil {
		return nil
	}
	return x.redaction.Applied()
}

// shownFilter is the filter as the manifest shows it.
func (x Export) shownFilter() schemas.Filter {
	if x.redaction == nil {
		return x.Filter
	}
	return x.redaction.Filter(x.Filter)
}

// shownReceipts are the receipts as the manifest shows them.
func (x Export) shownReceipts(receipts iter.Seq[schemas.Receipt]) iter.Seq[schemas.Receipt] {
	if x.redaction == nil && x.Names == "" {
		return receipts
	}
	return func(yield func(schemas.Receipt) bool) {
		for r := range receipts {
			r.StoredBytes = 0
			if x.redaction != nil {
				r.First, r.Last = x.redaction.Key(r.First), x.redaction.Key(r.Last)
			}
			if !yield(r) {
				return
			}
		}
	}
}

// shownLine is a line of an index of attachments as the export shows it.
func (x Export) shownLine(line schemas.AttachmentLine) schemas.AttachmentLine {
	if x.redaction == nil {
		return line
	}
	return x.redaction.AttachmentLine(line)
}

// shownProblem is a line with what the export shows of its problem.
func (x Export) shownProblem(line schemas.AttachmentLine) schemas.AttachmentLine {
	if x.redaction != nil && line.Problem != "" {
		line.Problem = schemas.HiddenProblem
	}
	return line
}

// lineWriter gives each whole line that is written to it to each, and writes what that makes of
// it. What each cannot read is a permanent error.
type lineWriter struct {
	each      func(dst, line []byte) ([]byte, error)
	to        io.Writer
	rest, out []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	w.out = w.out[:0]
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			w.rest = append(w.rest, p...)
			break
		}
		line := p[:end]
		if len(w.rest) > 0 {
			w.rest = append(w.rest, line...)
			line = w.rest
		}
		var err error
		if w.out, err = w.each(w.out, line); err != nil {
			return 0, Permanent(err)
		}
		w.out = append(w.out, '\n')
		w.rest, p = w.rest[:0], p[end+1:]
	}
	if _, err := w.to.Write(w.out); err != nil {
		return 0, err
	}
	return n, nil
}
