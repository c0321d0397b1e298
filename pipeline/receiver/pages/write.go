package pages

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"cdds/schemas"
)

const (
	// maxConversations and maxPageBytes bound what a page shows.
	maxConversations = 100
	maxPageBytes     = 2 << 20
	// listed is how many contacts a page of the list has.
	listed = 200
)

// card is a contact in the list.
type card struct {
	Name         string `json:"name"`
	ID           string `json:"id"`
	Path         string `json:"path"`
	Interactions int    `json:"interactions"`
	Attachments  int    `json:"attachments"`
	First        string `json:"first"`
	Last         string `json:"last"`
}

// write writes all pages, the first one last.
func (s *site) write() error {
	s.sources.root = s.out
	lines, err := s.gather()
	if err != nil {
		return err
	}
	list, err := s.sorter()
	if err != nil {
		return err
	}
	asked := map[string]bool{} // contacts that the export names, until one of them is found
	for _, id := range s.manifest.Filter.Contacts {
		asked[id] = true
	}
	var p *person
	var people, contacts int // contacts are those of people that have an id
	end := func() error {
		if p == nil {
			return nil
		}
		if err := p.finish(); err != nil {
			return err
		}
		b, err := schemas.Encode(p.card)
		if err != nil {
			return err
		}
		people++
		if p.card.ID != "" {
			contacts++
		}
		return list.add(entry{sortName(p.card), uint64(people), b})
	}
	for e, err := range lines.sorted() {
		if err != nil {
			return err
		}
		if p == nil || p.card.ID != e.key {
			if err := end(); err != nil {
				return err
			}
			delete(asked, e.key)
			p = s.person(e.key, people+1)
		}
		if err := p.take(placeOf(e.data)); err != nil {
			return err
		}
	}
	if err := end(); err != nil {
		return err
	}
	return s.list(list, people, contacts, asked)
}

// sortName is what a contact is listed by: its name, whatever its case. Interactions without a
// contact come last.
func sortName(c card) string {
	if c.ID == "" {
		return "\xff"
	}
	return strings.Map(unicode.ToLower, orElse(c.Name, c.ID)) + "\x00" + c.ID
}

// list writes the list of contacts: the first page of it, which says what the export is, and the
// others.
func (s *site) list(list *sorter, people, contacts int, missing map[string]bool) error {
	pages := max(1, (people+listed-1)/listed)
	page, cards := 1, make([]card, 0, listed)
	flush := func() error {
		err := s.file(listPath(page), func(w io.Writer) error {
			var m markup
			m.list(s.listPage(page, pages, contacts, cards, missing))
			_, err := w.Write(m.Bytes())
			return err
		})
		page, cards = page+1, cards[:0]
		return err
	}
	for e, err := range list.sorted() {
		if err != nil {
			return err
		}
		var c card
		if err := schemas.Read(e.data, &c); err != nil {
			return err
		}
		if cards = append(cards, c); len(cards) == listed {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(cards) > 0 || page == 1 {
		return flush()
	}
	return nil
}

// listPath is the path of a page of the list.
func listPath(page int) string {
	if page == 1 {
		return index
	}
	return fmt.Sprintf("contacts-%04d.html", page)
}

// personPath is the path of a page of a contact. A directory has a thousand contacts, since some
// systems are slow with more.
func personPath(number, page int) string {
	suffix := ""
	if page > 1 {
		suffix = "-" + strconv.Itoa(page)
	}
	return fmt.Sprintf("contacts/%04d/%06d%s.html", number/1000, number, suffix)
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
