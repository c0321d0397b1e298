package mirrortest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"cdds/schemas"
)

// Story is a chain of random runs of interactions, each in a directory of its own below Dir,
// with what a copy must have after each of them.
type Story struct {
	Dir  string
	want []map[schemas.RowKey]Row // by the number of the run; none after run 0
}

// NewStory makes a Story of so many runs. A seed makes it again.
func NewStory(t testing.TB, seed uint64, runs int) *Story {
	t.Helper()
	s := &Story{Dir: t.TempDir(), want: []map[schemas.RowKey]Row{{}}}
	a := author{rand.New(rand.NewPCG(seed, 5)), schemas.EntityInteraction}
	var last *Link
	for n := 1; n <= runs; n++ {
		r := a.run(last)
		last = r.Write(t)
		check(t, os.Rename(last.Dir, filepath.Join(s.Dir, fmt.Sprint(n))))
		now := maps.Clone(s.want[n-1])
		r.fold(now)
		s.want = append(s.want, now)
	}
	return s
}

// Runs is how many runs there are.
func (s *Story) Runs() int { return len(s.want) - 1 }

// Lines are the lines that a copy has after a run, in order.
func (s *Story) Lines(run int) []byte {
	var all bytes.Buffer
	for _, key := range slices.SortedFunc(maps.Keys(s.want[run]), schemas.RowKey.Compare) {
		fmt.Fprintf(&all, "%s\n", s.want[run][key].Line)
	}
	return all.Bytes()
}

// Files are the names of the files with attachments that a copy has after a run, in order.
func (s *Story) Files(run int) []string {
	names := []string{}
	for _, row := range s.want[run] {
		for _, f := range row.Files {
			if f.Problem == "" {
				sum := digest([]byte(f.Content))
				names = append(names, sum[:2]+"/"+sum)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// fold applies a run to what a copy has.
func (r Run) fold(want map[schemas.RowKey]Row) {
	if r.After == nil {
		clear(want)
	}
	for key := range want {
		if r.HistoryFrom != nil && key.Time.Compare(*r.HistoryFrom) < 0 || slices.ContainsFunc(r.Removed, func(x schemas.Removal) bool {
			return x.ID == key.ID && (x.Time.IsZero() || x.Time == key.Time)
		}) {
			delete(want, key)
		}
	}
	for _, row := range r.Rows {
		want[row.Key] = row
	}
}

// author writes random rows.
type author struct {
	*rand.Rand
	entity string
}

func (a author) key() schemas.RowKey {
	return schemas.RowKey{Time: schemas.TimeOf(Since.Add(time.Duration(a.IntN(12)) * 31 * 24 * time.Hour / 2)), ID: fmt.Sprintf("i%d", a.IntN(40))}
}

func (a author) row(key schemas.RowKey) Row {
	text := []string{"hello", "grüße 👋", `a "quoted" \ line`, "line\nfeed", "nul\x00byte", "''; DROP TABLE interactions; --", ""}[a.IntN(7)]
	r := Row{Key: key}
	if a.entity == schemas.EntityContact {
		c := &schemas.Contact{ContactID: key.ID, TenantID: "acme", CreatedAt: key.Time, DisplayName: text, Emails: []string{"a@example.com"}, Notes: fmt.Sprint(a.Int())}
		line, err := schemas.Encode(c)
		if err != nil {
			panic(err)
		}
		r.Line = line
		return r
	}
	i := &schemas.Interaction{InteractionID: key.ID, TenantID: "acme", StartedAt: key.Time, MediaType: "chat", Text: text, Subject: fmt.Sprint(a.Int()), Attributes: map[string]string{"k": text}}
	for n := range a.IntN(3) {
		f := File{ID: fmt.Sprintf("a%d", n), Content: fmt.Sprint("content ", a.IntN(10))}
		if a.IntN(4) == 0 {
			f = File{ID: f.ID, Problem: "not found"}
		}
		r.Files = append(r.Files, f)
	}
	line, err := schemas.Encode(i)
	if err != nil {
		panic(err)
	}
	r.Line = line
	return r
}

// run is a run after last; nil begins.
func (a author) run(last *Link) Run {
	r := Run{Entity: a.entity, Job: "nightly", After: last, Rows: a.rows(a.IntN(30)), RowsOfAPart: 1 + a.IntN(20)}
	if last != nil {
		r.Removed = a.removals(a.IntN(10))
	}
	// A row is not removed by its time and published in one run.
	r.Removed = slices.DeleteFunc(r.Removed, func(x schemas.Removal) bool {
		return slices.ContainsFunc(r.Rows, func(row Row) bool { return x.Key() == row.Key })
	})
	if a.IntN(5) == 0 {
		from := a.key().Time
		r.HistoryFrom = &from
		r.Rows = slices.DeleteFunc(r.Rows, func(row Row) bool { return row.Key.Time.Compare(from) < 0 })
	}
	return r
}

// rows are some, of different keys.
func (a author) rows(n int) []Row {
	rows := map[schemas.RowKey]Row{}
	for range n {
		key := a.key()
		rows[key] = a.row(key)
	}
	var all []Row
	for _, row := range rows {
		all = append(all, row)
	}
	slices.SortFunc(all, func(x, y Row) int { return x.Key.Compare(y.Key) })
	return all
}

func (a author) removals(n int) []schemas.Removal {
	all := map[schemas.RowKey]schemas.Removal{}
	for range n {
		r := schemas.Removal{ID: a.key().ID, Reason: schemas.RemovedErased}
		if a.IntN(2) == 0 {
			r = schemas.Removal{ID: r.ID, Time: a.key().Time, Reason: schemas.RemovedFilter}
		}
		all[r.Key()] = r
	}
	var list []schemas.Removal
	for _, r := range all {
		list = append(list, r)
	}
	return list
}
