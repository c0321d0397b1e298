package export

import (
	"testing"
	"testing/synctest"
)

// line is a queue of parts in front of slots; each that is admitted appends its
// export to order and keeps its slot until the test releases it.
type line struct {
	*slots
	order   []string
	release map[string][]func()
}

func newLine(n, perTenant int) *line {
	return &line{newSlots(n, perTenant), nil, map[string][]func(){}}
}

// want asks for a slot and waits until it is given or must be waited for.
func (l *line) want(t *testing.T, tenant, export string) {
	go func() {
		release, err := l.acquire(t.Context(), exportKey{tenant, export})
		if err != nil {
			return
		}
		l.order = append(l.order, export)
		l.release[export] = append(l.release[export], release)
	}()
	synctest.Wait()
}

// finish ends one part of an export.
func (l *line) finish(export string) {
	release := l.release[export][0]
	l.release[export] = l.release[export][1:]
	release()
	synctest.Wait()
}

func TestASmallExportWaitsForAtMostOnePartOfALargeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(2, 0)
		for range 10 {
			l.want(t, "acme", "large")
		}
		l.want(t, "globex", "small")
		l.finish("large")
		if got := l.order[len(l.order)-1]; got != "small" {
			t.Errorf("after one part of the large export came %s", got)
		}
	})
}

func TestATenantWaitsForAtMostOnePartOfAnotherHoweverManyExportsThatHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(2, 0)
		for _, export := range []string{"a", "b", "c", "d", "e", "f"} {
			l.want(t, "acme", export)
		}
		l.want(t, "globex", "first")
		l.want(t, "globex", "second")
		l.finish("a")
		l.finish("b")
		if got := l.order[2]; got != "first" {
			t.Errorf("the order is %v", l.order)
		}
	})
}

func TestATenantHoldsAtMostItsSlotsAndOthersTakeTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(3, 2)
		for range 5 {
			l.want(t, "acme", "large")
		}
		if len(l.order) != 2 {
			t.Errorf("acme holds %d slots of the 2 it may", len(l.order))
		}
		l.want(t, "globex", "small") // at once
		if len(l.order) != 3 || l.order[2] != "small" {
			t.Errorf("the order is %v", l.order)
		}
		l.finish("small") // its slot is not acme's
		l.finish("large") // this one is
		if len(l.order) != 4 || l.order[3] != "large" {
			t.Errorf("the order is %v", l.order)
		}
	})
}
