package simulate

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// shrink makes a history that breaks a law short: it leaves acts out, and makes numbers
// small, for as long as the same law is broken.
func shrink(t *testing.T, h history, o outcome) history { return shrinkWith(t, h, o, nil) }

func shrinkWith(t *testing.T, h history, o outcome, watch func(*world)) history {
	h.Acts = h.Acts[:min(o.act+1, len(h.Acts))]
	breaks := func(h history) bool { return play(t, h, watch).law == o.law }
	for again := true; again; {
		again = false
		for size := len(h.Acts) / 2; size > 0; size /= 2 {
			for at := 0; at+size <= len(h.Acts); {
				less := h
				less.Acts = slices.Delete(slices.Clone(h.Acts), at, at+size)
				if breaks(less) {
					h, again = less, true
				} else {
					at += size
				}
			}
		}
		for n, s := range simpler(h.setting) {
			less := h
			less.setting = s
			if n >= 0 && breaks(less) {
				h, again = less, true
				break
			}
		}
	}
	for i := range h.Acts {
		for _, number := range []func(*act) *int{func(a *act) *int { return &a.A }, func(a *act) *int { return &a.B }, func(a *act) *int { return &a.C }} {
			now := *number(&h.Acts[i])
			for _, small := range []int{0, 1, 2, 3, 5, now / 16, now / 4, now / 2} {
				if small >= now {
					continue
				}
				less := h
				less.Acts = slices.Clone(h.Acts)
				*number(&less.Acts[i]) = small
				if breaks(less) {
					h = less
					break
				}
			}
		}
	}
	return h
}

// simpler are settings with less.
func simpler(s setting) (all []setting) {
	if s.Partitions > 1 {
		less := s
		less.Partitions--
		all = append(all, less)
	}
	if s.Nameless {
		less := s
		less.Nameless = false
		all = append(all, less)
	}
	if s.Erases {
		less := s
		less.Erases = false
		all = append(all, less)
	}
	if s.Contacts {
		less := s
		less.Contacts = false
		all = append(all, less)
	}
	for i := range s.Processes {
		if len(s.Processes) > 1 {
			less := s
			less.Processes = slices.Delete(slices.Clone(s.Processes), i, i+1)
			all = append(all, less)
		}
	}
	return all
}

// String is the history as a test to be pasted.
func (h history) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "func TestHistory(t *testing.T) {\n\treplay(t, history{%#v, []act{\n", h.setting)
	for _, a := range h.Acts {
		fmt.Fprintf(&b, "\t\t{%q, %d, %d, %d},\n", a.Rule, a.A, a.B, a.C)
	}
	b.WriteString("\t}})\n}\n")
	return strings.ReplaceAll(b.String(), "simulate.", "")
}
