// Package sample makes events that look like those of a contact centre: the same
// ones for the same seed, on every machine and in every version, so that tests and
// benchmarks can count on them. All names and texts are invented.
package sample

import (
	"encoding/base64"
	"iter"
	"math/rand/v2"
	"strconv"
	"time"

	"cdds/schemas"
)

// Samples lie in [Start, End) unless a caller wants another range.
var (
	Start = time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	End   = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
)

const (
	// One event in updateEvery is followed up; remembered bounds how late.
	updateEvery = 32
	remembered  = 64
)

// Tenants lists the tenants in the samples, the busiest first.
func Tenants() []string { return []string{"acme", "globex", "initech"} }

// Interactions yields n different interactions of about 700 bytes of JSON each, in
// the order they began, spread evenly over [Start, End).
func Interactions(seed uint64, n int) iter.Seq[*schemas.Interaction] {
	return InteractionsBetween(seed, n, Start, End)
}

// InteractionsBetween is Interactions spread over [from, to) instead.
func InteractionsBetween(seed uint64, n int, from, to time.Time) iter.Seq[*schemas.Interaction] {
	return func(yield func(*schemas.Interaction) bool) {
		g := newGenerator(seed, 0, n, from, to)
		for i := range n {
			if !yield(g.interaction(i)) {
				return
			}
		}
	}
}

// WithUpdates yields what events yields and, after about one in 32, a later version
// of one of the last 64: what ingest meets in life, where an interaction is
// published again as agents wrap it up.
func WithUpdates(seed uint64, events iter.Seq[*schemas.Interaction]) iter.Seq[*schemas.Interaction] {
	return func(yield func(*schemas.Interaction) bool) {
		g := newGenerator(seed, 2, 1, Start, End)
		var recent [remembered]*schemas.Interaction
		i := 0
		for e := range events {
			recent[i%remembered] = e
			i++
			if !yield(e) {
				return
			}
			if g.rnd.IntN(updateEvery) > 0 {
				continue
			}
			slot := &recent[g.rnd.IntN(min(i, remembered))]
			*slot = g.update(*slot)
			if !yield(*slot) {
				return
			}
		}
	}
}

// Contacts yields n different contacts, those whom the interactions of the same
// seed refer to first, spread evenly over [Start, End).
func Contacts(seed uint64, n int) iter.Seq[*schemas.Contact] {
	return func(yield func(*schemas.Contact) bool) {
		g := newGenerator(seed, 1, n, Start, End)
		for i := range n {
			if !yield(g.contact(i)) {
				return
			}
		}
	}
}

// generator is not safe for concurrent use.
type generator struct {
	rnd  *rand.Rand
	seed uint64
	from time.Time
	// span is how much time n events fill.
	span time.Duration
	n    int
	text []byte
}

// newGenerator starts one of the independent random streams of a seed.
func newGenerator(seed, stream uint64, n int, from, to time.Time) *generator {
	return &generator{
		rnd: rand.New(rand.NewPCG(seed, stream)), seed: seed,
		from: from, span: to.Sub(from), n: max(n, 1),
	}
}

func (g *generator) interaction(i int) *schemas.Interaction {
	started := g.instant(i)
	length := time.Duration(20+g.rnd.IntN(900)) * time.Second
	ended := schemas.TimeOf(started.Add(length))
	s := &subjects[skewed(g.rnd, len(subjects))]
	contact := skewed(g.rnd, contacts)
	e := &schemas.Interaction{
		InteractionID: g.id("i", i),
		TenantID:      tenantOf(g.rnd),
		MediaType:     mediaTypes[skewed(g.rnd, len(mediaTypes))],
		Direction:     "inbound",
		Status:        "closed",
		StartedAt:     schemas.TimeOf(started),
		EndedAt:       &ended,
		ContactID:     g.id("c", contact),
		AgentID:       agents[g.rnd.IntN(len(agents))],
		Queue:         s.queue,
		Category:      s.category,
		Subject:       s.title,
		Language:      "en",
		Disposition:   dispositions[skewed(g.rnd, len(dispositions))],
		Attributes: map[string]string{
			"session": string(g.code(g.code(g.code(nil, 12), 12), 12)),
			"csat":    digits[1+g.rnd.IntN(5)],
			"channel": channels[g.rnd.IntN(len(channels))],
		},
	}
	switch g.rnd.IntN(16) {
	case 0:
		e.Direction = "outbound"
	case 1:
		e.ThreadID = g.id("t", contact)
	case 2:
		e.Status, e.EndedAt, e.Disposition = "open", nil, ""
	case 3:
		if e.MediaType == "email" {
			content := "Order " + g.id("o", i) + "\nThank you for shopping with us.\n"
			e.Attachments = []schemas.Attachment{{
				AttachmentID: "a-1", Name: "receipt.txt", ContentType: "text/plain",
				Size: int64(len(content)), Content: base64.StdEncoding.EncodeToString([]byte(content)),
			}}
		}
	case 4:
		e.Notes = "Customer prefers to be called back in the evening."
	}
	e.Language, e.Text = g.dialogue(s)
	return e
}

// update returns the interaction as an agent left it some minutes later.
func (g *generator) update(old *schemas.Interaction) *schemas.Interaction {
	e := *old
	modified := schemas.TimeOf(old.At().Add(time.Duration(1+g.rnd.IntN(3600)) * time.Second))
	e.ModifiedAt = &modified
	e.Status, e.Disposition = "closed", dispositions[skewed(g.rnd, len(dispositions))]
	e.Notes = "Wrapped up: " + e.Disposition + "."
	if e.EndedAt == nil {
		e.EndedAt = &modified
	}
	return &e
}

func (g *generator) contact(i int) *schemas.Contact {
	first := firstNames[g.rnd.IntN(len(firstNames))]
	last := lastNames[g.rnd.IntN(len(lastNames))]
	id := g.id("c", i)
	c := &schemas.Contact{
		ContactID:   id,
		TenantID:    tenantOf(g.rnd),
		CreatedAt:   schemas.TimeOf(g.instant(i)),
		DisplayName: first + " " + last,
		FirstName:   first,
		LastName:    last,
		Emails:      []string{id + "@example.com"},                    // RFC 2606
		Phones:      []string{"+1555555" + strconv.Itoa(1000+i%9000)}, // numbers of films
		Language:    "en",
		Attributes:  map[string]string{"segment": segments[skewed(g.rnd, len(segments))]},
	}
	if g.rnd.IntN(8) == 0 {
		c.Company = companies[g.rnd.IntN(len(companies))]
	}
	return c
}

// instant is within the i-th of n equal steps of the range.
func (g *generator) instant(i int) time.Time {
	// In floating point because span times i would overflow; it is exact to well
	// below a millisecond and never decreases.
	at := (float64(i) + g.rnd.Float64()) / float64(g.n) * float64(g.span)
	return g.from.Add(min(time.Duration(at), g.span-1))
}

// id is different for every seed, kind and number: a bijection of 64 bits
// (SplitMix64's finalizer), so ids of a kind never repeat within a seed, and look
// as random as those of real systems.
func (g *generator) id(kind string, n int) string {
	z := (g.seed*0x9e3779b97f4a7c15 ^ uint64(kind[0])<<48) + uint64(n)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	const hex = "0123456789abcdef"
	var room [24]byte
	b := append(room[:0], kind...)
	b = append(b, '-')
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, hex[z>>shift&15])
	}
	return string(b)
}

func tenantOf(rnd *rand.Rand) string {
	switch n := rnd.IntN(100); {
	case n < 70:
		return "acme"
	case n < 95:
		return "globex"
	}
	return "initech"
}

// skewed returns a number below n, small ones far more often: what word counts,
// callers and queues have in common (Zipf's law, roughly).
func skewed(rnd *rand.Rand, n int) int {
	u := rnd.Float64()
	return int(u * u * u * float64(n))
}
