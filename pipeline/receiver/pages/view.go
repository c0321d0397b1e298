package pages

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cdds/pipeline/smime"
	"cdds/schemas"
)

//go:embed style.css
var style string

//go:embed icons.svg
var icons string

// policy forbids a page everything but its own style: were content ever taken for markup, it
// could neither run nor load nor send anything.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}()

// icon is the symbol for a medium.
func icon(media string) string {
	switch media {
	case "voice", "email", "video":
		return "#i-" + media
	}
	return "#i-chat"
}

// listPage is a page of the list.
func (s *site) listPage(page, pages, contacts int, cards []card, missing map[string]bool) listView {
	m := s.manifest
	v := listView{
		Title:    "Data of " + m.TenantID,
		Made:     tags(madeOf(s.report.ManifestSHA256) + "\n"), // a digest in hex
		Manifest: m, Cards: cards, Page: page, Pages: pages,
		About:  schemas.Counted(contacts, "contact") + ", " + m.Filter.From.Time.Format(onDay) + " to " + m.Filter.To.Time.Format(onDay),
		Digest: s.report.ManifestSHA256,
	}
	if page > 1 {
		v.Before = listPath(page - 1)
	}
	if page < pages {
		v.Next = listPath(page + 1)
	}
	if page == 1 {
		v.Facts, v.Files, v.Missing = s.about(), s.files(), slices.Sorted(maps.Keys(missing))
		v.MissingCount = schemas.Counted(len(v.Missing), "contact")
	}
	return v
}

// about says what the export is and what it lacks.
func (s *site) about() []fact {
	m, t := s.manifest, s.manifest.Totals
	all := []fact{
		{"Range", moment(m.Filter.From) + " to " + moment(m.Filter.To) + " UTC"},
		{"Rows", schemas.Grouped(t.Rows)},
		{"Attachments", schemas.Grouped(t.Attachments)},
		{"Made", moment(m.CreatedAt) + " UTC"},
	}
	add := func(name, value string) { all = append(all, fact{name, value}) }
	if t.AttachmentProblems > 0 {
		add("Attachments that are missing", schemas.Grouped(t.AttachmentProblems))
	}
	if t.Removed > 0 {
		add("Removed", schemas.Counted(t.Removed, "row")+" that earlier runs had; see the files named removed")
	}
	if m.SinceExport != "" {
		add("Continues", m.SinceExport+"; it has only what changed since")
	}
	if m.HistoryFrom != nil {
		add("Kept from", moment(*m.HistoryFrom)+" UTC; what is older was left out")
	}
	if m.FieldPolicy != nil {
		add("Hidden", m.FieldPolicy.Text())
	}
	for _, w := range m.WrittenOff {
		add("Written off", fmt.Sprintf("%s of the topic, lost for good, on %s UTC: %s", schemas.Counted(w.Records, "record"), moment(w.At), w.Reason))
	}
	if s.report.Signer != nil {
		pinned := ", who is the one that was named"
		if !s.report.Pinned {
			pinned = ", not compared with anybody's"
		}
		add("Signed by", smime.Fingerprint(s.report.Signer)+pinned)
	}
	return all
}

// How times are written.
const (
	onDay    = "2 January 2006"
	onMinute = onDay + ", 15:04"
)

func moment(t schemas.Time) string { return t.Time.UTC().Format(onMinute) }

// files are those with the rows.
func (s *site) files() (all []string) {
	const most = 20
	for part := range s.report.Parts.All() {
		if part.Number > most {
			return append(all, fmt.Sprintf("and %s more", schemas.Grouped(s.report.Parts.Total()-most)))
		}
		all = append(all, s.entryName(part))
	}
	return all
}

// Shown is what the contact is called in the list.
func (c card) Shown() string {
	if c.ID == "" {
		return "Without a contact"
	}
	return orElse(c.Name, c.ID)
}

// Counted is how many interactions it has.
func (c card) Counted() string {
	counted := schemas.Counted(c.Interactions, "interaction")
	if c.Attachments > 0 {
		counted += ", " + schemas.Counted(c.Attachments, "attachment")
	}
	return counted
}

// Range is when they were.
func (c card) Range() string {
	if c.First == c.Last {
		return c.First
	}
	return c.First + " to " + c.Last
}

// About is what the page has.
func (p personPage) About() string {
	if p.Shown == 0 {
		return "No interactions."
	}
	about := schemas.Counted(p.Shown, "interaction")
	if p.First == p.Last {
		about += " on " + p.First
	} else {
		about += " from " + p.First + " to " + p.Last
	}
	if p.Page > 1 || p.Next != "" {
		about = fmt.Sprintf("Page %d: %s", p.Page, about)
	}
	return about + "."
}

// Heading is the subject, or what stands for it.
func (c *conversation) Heading() string {
	if c.Subject != "" {
		return c.Subject
	}
	return title(orElse(c.Media, "interaction"))
}

// Kind is how the interaction came about.
func (c *conversation) Kind() string {
	return title(strings.TrimSpace(c.Direction + " " + c.Media))
}

// Href is where the file is, from a page of a contact.
func (f file) Href() string { return "../../../" + f.Path }

func title(s string) string {
	if s == "" {
		return s
	}
	r := []rune(s)
	return strings.ToUpper(string(r[:1])) + string(r[1:])
}
