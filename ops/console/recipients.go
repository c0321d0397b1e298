package console

import (
	"slices"
	"strings"

	"cdds/schemas"
)

// recipients are the certificates that a form offers: those that are chosen, and some of the
// others. A search names which.
type recipients struct {
	// Search is the text that the others contain.
	Search string
	// Chosen are ticked; Others can be.
	Chosen, Others []schemas.Certificate
	// Total are all that can be chosen, and More those that fit the search and are not shown.
	Total, More int
}

// find is what the button of the search says: nothing is done but to show the form again.
const find = "find"

// offeredRows is how many certificates a form offers beside those that are chosen. A tenant
// with no more than these needs no search.
const offeredRows = 20

// offer is what a form shows of the certificates that can be chosen. The only one is chosen.
func offer(usable []schemas.Certificate, chosen []string, search string) recipients {
	o := recipients{Search: search, Total: len(usable)}
	for _, cert := range usable {
		switch {
		case len(usable) == 1, slices.Contains(chosen, cert.Fingerprint):
			o.Chosen = append(o.Chosen, cert)
		case !certificateMatches(cert, search):
		case len(o.Others) < offeredRows:
			o.Others = append(o.Others, cert)
		default:
			o.More++
		}
	}
	return o
}

// Searched reports whether there are more certificates than a form offers at once.
func (o recipients) Searched() bool { return o.Total > offeredRows }

// certificateMatches reports whether a name or a subject contains a text, or a fingerprint
// begins with it, as certificates or as openssl writes it. Case does not count.
func certificateMatches(c schemas.Certificate, text string) bool {
	text = strings.ToLower(strings.TrimSpace(text))
	return strings.Contains(strings.ToLower(c.Name), text) || strings.Contains(strings.ToLower(c.Subject), text) ||
		strings.HasPrefix(c.Fingerprint, strings.ReplaceAll(text, ":", ""))
}
