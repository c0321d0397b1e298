package schemas

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
)

// attributeNames are the attributes of distinguished names that people use and pkix shows
// as a number and hex, by the names that openssl and gpgsm show.
var attributeNames = []struct {
	oid  asn1.ObjectIdentifier
	name string
}{
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, "emailAddress"},
	{asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, "UID"},
	{asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, "DC"},
	{asn1.ObjectIdentifier{2, 5, 4, 4}, "SN"},
	{asn1.ObjectIdentifier{2, 5, 4, 12}, "title"},
	{asn1.ObjectIdentifier{2, 5, 4, 13}, "description"},
	{asn1.ObjectIdentifier{2, 5, 4, 42}, "GN"},
	{asn1.ObjectIdentifier{2, 5, 4, 97}, "organizationIdentifier"},
}

// NameText is a distinguished name for people, as in RFC 4514.
func NameText(name pkix.Name) string {
	// pkix shows the attributes it does not know before the others; take them out, and
	// show them here.
	var named []string
	rest := name
	if name.ExtraNames == nil {
		rest.Names = nil
		for _, a := range name.Names {
			if text, ok := attributeText(a); ok {
				named = append([]string{text}, named...)
			} else {
				rest.Names = append(rest.Names, a)
			}
		}
	}
	if text := rest.String(); text != "" {
		named = append([]string{text}, named...)
	}
	return strings.Join(named, ",")
}

func attributeText(a pkix.AttributeTypeAndValue) (string, bool) {
	value, ok := a.Value.(string)
	if !ok {
		return "", false
	}
	for _, known := range attributeNames {
		if known.oid.Equal(a.Type) {
			// pkix escapes a value of a type that it knows.
			escaped := pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: value}}}.String()
			return known.name + strings.TrimPrefix(escaped, "CN"), true
		}
	}
	return "", false
}
