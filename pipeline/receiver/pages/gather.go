package pages

import (
	"encoding/binary"
	"fmt"
	"iter"

	"cdds/schemas"
)

// What a line is of.
const (
	ofContact = iota
	ofInteraction
	ofAttachment
)

// place is where a line is.
type place struct {
	kind   int
	part   int // its number
	offset int64
	length int
}

func (p place) data() []byte {
	b := binary.AppendUvarint(nil, uint64(p.kind))
	b = binary.AppendUvarint(b, uint64(p.part))
	b = binary.AppendUvarint(b, uint64(p.offset))
	return binary.AppendUvarint(b, uint64(p.length))
}

func placeOf(data []byte) place {
	var values [4]uint64
	for i := range values {
		n := 0
		values[i], n = binary.Uvarint(data)
		data = data[max(n, 0):]
	}
	return place{int(values[0]), int(values[1]), int64(values[2]), int(values[3])}
}

// entity is what the rows of a part are; "" if it has none.
func (s *site) entity(part schemas.Part) string {
	if part.Kind == "" {
		return s.manifest.Filter.Entity
	}
	return ""
}

// gather sorts the places of all lines by contact: the contact, then its interactions in the
// order of the export, each followed by its attachments.
func (s *site) gather() (*sorter, error) {
	by, err := s.sorter()
	if err != nil {
		return nil, err
	}
	attachments, stop := iter.Pull2(s.attachments())
	defer stop()
	waiting, err, more := attachments()
	rank := uint64(0)
	for part := range s.report.Parts.All() {
		entity := s.entity(part)
		if entity == "" {
			continue
		}
		err := s.each(part, func(l line, r record) error {
			rank++
			at := place{ofInteraction, part.Number, l.offset, len(l.text)}
			if entity == schemas.EntityContact {
				at.kind = ofContact
				return by.add(entry{r.text("contact_id"), rank &^ interactionRank, at.data()})
			}
			contact := r.text("contact_id")
			if err := by.add(entry{contact, rank | interactionRank, at.data()}); err != nil {
				return err
			}
			for more && err == nil && waiting.of == (key{r.text("started_at"), r.text("interaction_id")}) {
				rank++
				if err := by.add(entry{contact, rank | interactionRank, waiting.at.data()}); err != nil {
					return err
				}
				waiting, err, more = attachments()
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if err == nil && more {
		err = fmt.Errorf("%s names the interaction %.80q, which the export does not have in this place", s.entryName(s.report.Parts.Of(waiting.at.part)), waiting.of.id)
	}
	return by, err
}

// interactionRank sorts interactions after the contact.
const interactionRank = 1 << 63

// key is the identity of an interaction.
type key struct{ time, id string }

// attachment is where a line of an index is, and what interaction it belongs to.
type attachment struct {
	of key
	at place
}

// attachments are the lines of all indexes, which are in the order of rows.
func (s *site) attachments() iter.Seq2[attachment, error] {
	return func(yield func(attachment, error) bool) {
		for part := range s.report.Parts.All() {
			if part.Kind != schemas.KindAttachments {
				continue
			}
			for l, err := range s.lines(part) {
				var r record
				if err == nil {
					r, err = readRecord(l.text)
				}
				a := attachment{key{r.text("started_at"), r.text("interaction_id")}, place{ofAttachment, part.Number, l.offset, len(l.text)}}
				if !yield(a, err) || err != nil {
					return
				}
			}
		}
	}
}

// each visits the rows of a part.
func (s *site) each(part schemas.Part, visit func(line, record) error) error {
	n := 0
	for l, err := range s.lines(part) {
		n++
		if err == nil {
			err = s.advance(len(l.text) + 1)
		}
		if err != nil {
			return err
		}
		r, err := readRecord(l.text)
		if err != nil {
			return fmt.Errorf("line %d of %s: %w", n, s.entryName(part), err)
		}
		if err := visit(l, r); err != nil {
			return err
		}
	}
	return nil
}

// lines reads the decrypted file of a part.
func (s *site) lines(part schemas.Part) iter.Seq2[line, error] {
	return func(yield func(line, error) bool) {
		f, err := s.out.Open(s.entryName(part))
		if err != nil {
			yield(line{}, err)
			return
		}
		defer f.Close()
		for l, err := range lines(f) {
			if !yield(l, err) {
				return
			}
		}
	}
}

func (s *site) entryName(part schemas.Part) string {
	return schemas.EntryName(s.manifest.Filter.Entity, part)
}

// at reads the record at a place.
func (s *site) at(p place) (record, error) {
	name := s.entryName(s.report.Parts.Of(p.part))
	b, err := s.sources.at(name, p.offset, p.length)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return readRecord(b)
}
