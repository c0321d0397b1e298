package schemas

import (
	"bytes"
	"fmt"
	"reflect"
)

// The limits, for tests that hold other documents to them.
const (
	MaxID              = maxIDBytes
	MaxAttributes      = maxAttributes
	MaxAttribute       = maxAttributeBytes
	MaxAttachments     = maxAttachments
	MaxInline          = maxInlineBytes
	MaxShortText       = maxShortTextBytes
	MinSplitSize       = minSplitSize
	MaxRecipients      = maxRecipients
	MaxCertificateText = maxCertificateText
)

// ScanDiffers says how the scanner read a message otherwise than the reader of members
// does; empty if it was unsure, or read the same.
func ScanDiffers(b []byte) string {
	var one, row, two interactionPlaces
	oneBody, sure := scan(b, &one)
	row.row = true
	rowBody, rowSure := scan(b, &row)
	if sure != rowSure || !bytes.Equal(oneBody, rowBody) {
		return fmt.Sprintf("whole: %v %q, as a row: %v %q", sure, oneBody, rowSure, rowBody)
	}
	if sure {
		twoBody, err := interactionMembers.read(b, &two.Interaction)
		if err != nil || !bytes.Equal(oneBody, twoBody) || !reflect.DeepEqual(&one.Interaction, &two.Interaction) {
			return fmt.Sprintf("scanned %+v %q, read %+v %q %v", one.Interaction, oneBody, two.Interaction, twoBody, err)
		}
		if two.Text, two.Notes = "", ""; !reflect.DeepEqual(&row.Interaction, &two.Interaction) {
			return fmt.Sprintf("as a row scanned %+v, read %+v", row.Interaction, two.Interaction)
		}
	}
	var contact, read contactPlaces
	if oneBody, sure = scan(b, &contact); sure {
		twoBody, err := contactMembers.read(b, &read.Contact)
		if err != nil || !bytes.Equal(oneBody, twoBody) || !reflect.DeepEqual(&contact.Contact, &read.Contact) {
			return fmt.Sprintf("scanned %+v %q, read %+v %q %v", contact.Contact, oneBody, read.Contact, twoBody, err)
		}
	}
	return ""
}

// Scanned reports whether the scanner is sure of an interaction, and of a contact.
func Scanned(b []byte) (interaction, contact bool) {
	_, interaction = scan(b, new(interactionPlaces))
	_, contact = scan(b, new(contactPlaces))
	return interaction, contact
}

// PlacesDiffer says which members of events have no place of their own; empty if all do.
func PlacesDiffer() string {
	for _, event := range []struct {
		placed
		members
	}{{new(interactionPlaces), interactionMembers}, {new(contactPlaces), contactMembers}} {
		taken := map[uint]string{}
		for name := range event.known {
			p, known := event.place([]byte(name))
			if other, twice := taken[p.number]; !known || twice || p.number >= 64 {
				return fmt.Sprintf("%s of %T: known %v, number %d, as %q", name, event.placed, known, p.number, other)
			}
			taken[p.number] = name
		}
	}
	return ""
}
