package pages

import (
	"io"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"cdds/schemas"
)

// person writes the pages of a contact, one after the other.
type person struct {
	site   *site
	number int
	card   card
	row    record // the contact, if the export has it

	page         int // that is being made
	shown        int
	body         markup
	first, last  string
	month        string
	conversation *conversation
}

func (s *site) person(id string, number int) *person {
	return &person{site: s, number: number, page: 1, card: card{ID: id, Path: personPath(number, 1)}}
}

// take takes the next line of the contact.
func (p *person) take(at place) error {
	r, err := p.site.at(at)
	if err != nil {
		return err
	}
	switch at.kind {
	case ofContact:
		p.row, p.card.Name = r, nameOf(r)
		return p.site.advance(at.length + 1)
	case ofAttachment:
		p.card.Attachments++
		p.conversation.attach(attached(r))
		return nil
	}
	if err := p.show(); err != nil {
		return err
	}
	p.card.Interactions++
	p.conversation = conversationOf(r)
	return p.site.advance(at.length + 1)
}

// show adds the conversation to the page, and ends the page if it is full.
func (p *person) show() error {
	c := p.conversation
	if c == nil {
		return nil
	}
	p.conversation = nil
	if p.shown == maxConversations || p.body.Len() > maxPageBytes {
		if err := p.flush(true); err != nil {
			return err
		}
	}
	if c.month != p.month {
		p.month, c.Month = c.month, c.month
	}
	p.shown++
	day := c.Day
	p.first, p.last = orElse(p.first, day), day
	p.card.First, p.card.Last = orElse(p.card.First, day), day
	p.body.conversation(c)
	return nil
}

// finish writes what is left.
func (p *person) finish() error {
	if err := p.show(); err != nil {
		return err
	}
	return p.flush(false)
}

// personPage is what a page of a contact shows.
type personPage struct {
	Name  string // what the contact is called, whatever is known of it
	Known string // its name, if it is known
	ID    string
	Row   bool // the export has the contact itself
	Facts []fact
	Notes string

	Page        int
	Shown       int
	First, Last string
	Body        tags
	// Home is the list, Before and Next are pages of the contact; "" if none exists.
	Home, Before, Next string
}

// flush writes the page.
func (p *person) flush(more bool) error {
	v := personPage{
		Name: p.card.Shown(), Known: p.card.Name, ID: p.card.ID, Row: p.row != nil,
		Page: p.page, Shown: p.shown, First: p.first, Last: p.last, Home: "../../" + index,
		Body: tags(p.body.String()), // markup made it
	}
	if p.page == 1 {
		v.Notes = p.row.text("notes")
		v.Facts = p.row.facts("notes")
	}
	if p.page > 1 {
		v.Before = path.Base(personPath(p.number, p.page-1))
	}
	if more {
		v.Next = path.Base(personPath(p.number, p.page+1))
	}
	err := p.site.file(personPath(p.number, p.page), func(w io.Writer) error {
		var m markup
		m.person(v)
		_, err := w.Write(m.Bytes())
		return err
	})
	p.page, p.shown, p.first, p.last, p.month = p.page+1, 0, "", "", ""
	p.body.Reset()
	return err
}

// nameOf is what a contact is called.
func nameOf(r record) string {
	full := strings.TrimSpace(r.text("first_name") + " " + r.text("last_name"))
	return strings.TrimSpace(orElse(r.text("display_name"), orElse(full, r.text("company"))))
}

// initials stand for a picture of the contact.
func initials(name string) string {
	words := strings.Fields(name)
	var all []rune
	for _, word := range words {
		if r, _ := utf8.DecodeRuneInString(word); unicode.IsLetter(r) {
			all = append(all, unicode.ToUpper(r))
		}
	}
	if len(all) > 2 {
		all = []rune{all[0], all[len(all)-1]}
	}
	return string(all)
}

// listView is what a page of the list shows.
type listView struct {
	Title, About string
	Digest       string
	Made         tags // the tag that names the manifest
	Manifest     *schemas.Manifest
	Cards        []card

	// Facts to MissingCount are on the first page only.
	Facts        []fact
	Files        []string
	Missing      []string // contacts the export names and has nothing of
	MissingCount string

	Page, Pages  int
	Before, Next string
}
