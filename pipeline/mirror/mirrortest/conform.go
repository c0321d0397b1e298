package mirrortest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cdds/pipeline/mirror"
	"cdds/pipeline/receiver"
	"cdds/schemas"
)

// Kind is a kind of destination under test.
type Kind struct {
	// Open opens the copy in a directory. The test closes it.
	Open func(t testing.TB, dir string) mirror.Destination
	// Bodies reads the lines of an entity as somebody else would who has the copy, in order; nil
	// if Each does that.
	Bodies func(t testing.TB, dir, entity string) []byte
	// Meddle removes a row of interactions behind the copy's back.
	Meddle func(t testing.TB, dir string)
}

// scene is a copy and what it should have.
type scene struct {
	*testing.T
	kind Kind
	dir  string
	copy *mirror.Copy
	want map[schemas.RowKey]Row
	last *Link
}

func (k Kind) scene(t *testing.T) *scene {
	s := &scene{T: t, kind: k, dir: t.TempDir(), want: map[schemas.RowKey]Row{}}
	s.open()
	t.Cleanup(s.close)
	return s
}

func (s *scene) files() string { return filepath.Join(s.dir, "files") }

func (s *scene) open() {
	s.Helper()
	files, err := mirror.OpenFiles(s.files())
	check(s, err)
	s.copy = &mirror.Copy{Destination: s.kind.Open(s, s.dir), Files: files}
}

func (s *scene) close() {
	s.Helper()
	if s.copy != nil {
		check(s, errors.Join(s.copy.Close(), s.copy.Files.Close()))
	}
	s.copy = nil
}

// again closes the copy and opens it again.
func (s *scene) again() {
	s.Helper()
	s.close()
	s.open()
}

var now = schemas.TimeOf(Since.AddDate(0, 6, 0))

// apply applies a run and notes what the copy should have now.
func (s *scene) apply(r Run) mirror.Applied {
	s.Helper()
	link := r.Write(s)
	applied, err := s.copy.Apply(s.Context(), link.Open(s), now)
	if err != nil {
		s.Fatal(err)
	}
	r.fold(s.want)
	s.last = link
	return applied
}

// refused applies a run that is refused.
func (s *scene) refused(link *Link) error {
	s.Helper()
	_, err := s.copy.Apply(s.Context(), link.Open(s), now)
	if err == nil {
		s.Fatal("it was applied")
	}
	return err
}

// compare compares the copy with the model: rows, attachments and files.
func (s *scene) compare(entity string) {
	s.Helper()
	var keys []schemas.RowKey
	for key := range s.want {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, schemas.RowKey.Compare)
	var want, got bytes.Buffer
	var wantFiles, gotFiles []string
	for _, key := range keys {
		row := s.want[key]
		fmt.Fprintf(&want, "%s\n", row.Line)
		for _, f := range row.Files {
			stored := ""
			if f.Problem == "" {
				sum := digest([]byte(f.Content))
				stored = sum[:2] + "/" + sum
				wantFiles = append(wantFiles, stored)
			}
			fmt.Fprintf(&want, "%s %s %s %s %s\n", key.Time, key.ID, f.ID, stored, f.Problem)
		}
	}
	attached := map[schemas.RowKey][]byte{}
	check(s, s.copy.Attachments(s.Context(), entity, func(a mirror.Attachment) error {
		key := schemas.RowKey{Time: a.StartedAt, ID: a.InteractionID}
		attached[key] = fmt.Appendf(attached[key], "%s %s %s %s %s\n", key.Time, key.ID, a.AttachmentID, a.Stored, a.Problem)
		return nil
	}))
	check(s, s.copy.Each(s.Context(), entity, func(body []byte) error {
		row, err := mirror.RowOf(entity, body)
		check(s, err)
		fmt.Fprintf(&got, "%s\n%s", body, attached[row.Key])
		return nil
	}))
	if s.kind.Bodies != nil {
		var lines bytes.Buffer
		for _, key := range keys {
			fmt.Fprintf(&lines, "%s\n", s.want[key].Line)
		}
		if read := s.kind.Bodies(s, s.dir, entity); !bytes.Equal(read, lines.Bytes()) {
			s.Fatalf("what others read is\n%swhere the model has\n%s", read, lines.Bytes())
		}
	}
	if got.String() != want.String() {
		s.Fatalf("the copy has\n%swhere the model has\n%s", got.String(), want.String())
	}
	check(s, fs.WalkDir(os.DirFS(s.files()), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasPrefix(path, ".") {
			gotFiles = append(gotFiles, path)
		}
		return err
	}))
	slices.Sort(wantFiles)
	if wantFiles = slices.Compact(wantFiles); !slices.Equal(gotFiles, wantFiles) {
		s.Fatalf("the files are %q, the model's %q", gotFiles, wantFiles)
	}
}

// Conform holds a kind of destination to what the package mirror promises.
func Conform(t *testing.T, k Kind) {
	t.Run("runs give what one whole export would have", func(t *testing.T) { k.follows(t) })
	t.Run("a run that does not come next is refused by name", func(t *testing.T) { k.order(t) })
	t.Run("of a run that fails nothing stays", func(t *testing.T) { k.whole(t) })
	t.Run("a run that holds everything starts over", func(t *testing.T) { k.restart(t) })
	t.Run("two processes do not write at once", func(t *testing.T) { k.alone(t) })
	t.Run("what somebody else changed is noticed", func(t *testing.T) { k.meddled(t) })
	t.Run("interactions and contacts are side by side", func(t *testing.T) { k.both(t) })
}

func (k Kind) follows(t *testing.T) {
	for _, entity := range schemas.Entities() {
		t.Run(entity, func(t *testing.T) {
			s := k.scene(t)
			for seed := range 8 {
				a := author{rand.New(rand.NewPCG(uint64(seed), 1)), entity}
				r := a.run(s.last)
				applied := s.apply(r)
				s.compare(entity)
				if applied.Position.Rows != int64(len(s.want)) || applied.Rows != int64(len(r.Rows)) || applied.Removed != int64(len(r.Removed)) {
					t.Errorf("run %d: %+v", seed+1, applied)
				}
				s.again()
				s.compare(entity)
			}
		})
	}
}

func (k Kind) order(t *testing.T) {
	s := k.scene(t)
	a := author{rand.New(rand.NewPCG(1, 2)), schemas.EntityInteraction}
	s.apply(Run{Entity: a.entity, Job: "nightly", Rows: a.rows(10)})
	first := s.last
	second := Run{Entity: a.entity, Job: "nightly", After: first, Rows: a.rows(10)}
	foreign := Run{Entity: a.entity, Job: "other", Number: 1}.Write(t)
	for name, c := range map[string]struct {
		run  *Link
		says string
	}{
		"a missing one":              {Run{Entity: a.entity, Job: "nightly", After: second.Write(t)}.Write(t), "nightly.3 does not come next: it is run 3, and run 2 is missing"},
		"one twice":                  {first, "run 1 was applied already"},
		"of another job":             {Run{Entity: a.entity, Job: "other", After: foreign}.Write(t), "it is one of job other"},
		"a whole one of another job": {Run{Entity: a.entity, Job: "other", Number: 7}.Write(t), "it is one of job other"},
		"of another kind":            {Run{Entity: schemas.EntityContact, Job: "nightly", After: first}.Write(t), "run 1 is missing"},
		"of another past":            {Run{Entity: a.entity, Job: "nightly", After: Run{Entity: a.entity, Job: "nightly", Rows: a.rows(3)}.Write(t)}.Write(t), "it continues run nightly.1 with the manifest"},
	} {
		err := s.refused(c.run)
		if link := new(mirror.LinkError); !errors.As(err, &link) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		s.compare(a.entity)
	}
	s.apply(second)
	s.compare(a.entity)
}

func (k Kind) whole(t *testing.T) {
	s := k.scene(t)
	a := author{rand.New(rand.NewPCG(3, 4)), schemas.EntityInteraction}
	s.apply(Run{Entity: a.entity, Job: "nightly", Rows: a.rows(30)})
	next := Run{Entity: a.entity, Job: "nightly", After: s.last, Rows: a.rows(30), Removed: []schemas.Removal{{ID: "i1", Reason: schemas.RemovedErased}}, RowsOfAPart: 5}
	for name, edit := range map[string]func(*schemas.Manifest){
		"a digest of lines": func(m *schemas.Manifest) { m.Parts[3].JSONLSHA256 = digest(nil) },
		"the last digest":   func(m *schemas.Manifest) { m.Parts[len(m.Parts)-1].JSONLSHA256 = digest(nil) },
	} {
		bad := next
		bad.Edit = edit
		err := s.refused(bad.Write(t))
		if v := new(receiver.Violation); !errors.As(err, &v) {
			t.Errorf("%s: %v", name, err)
		}
		s.compare(a.entity)
		s.again()
		s.compare(a.entity)
	}
	s.apply(next)
	s.compare(a.entity)
}

func (k Kind) restart(t *testing.T) {
	s := k.scene(t)
	a := author{rand.New(rand.NewPCG(5, 6)), schemas.EntityInteraction}
	s.apply(Run{Entity: a.entity, Job: "nightly", Rows: a.rows(20)})
	s.apply(Run{Entity: a.entity, Job: "nightly", After: s.last, Rows: a.rows(20)})
	applied := s.apply(Run{Entity: a.entity, Job: "nightly", Number: 9, Rows: a.rows(5)})
	if !applied.Whole || applied.Number != 9 {
		t.Errorf("%+v", applied)
	}
	s.compare(a.entity)
	s.apply(Run{Entity: a.entity, Job: "nightly", After: s.last})
	s.compare(a.entity)
}

func (k Kind) alone(t *testing.T) {
	s := k.scene(t)
	a := author{rand.New(rand.NewPCG(7, 8)), schemas.EntityInteraction}
	s.apply(Run{Entity: a.entity, Job: "nightly", Rows: a.rows(5)})
	batch, err := s.copy.Begin(t.Context(), a.entity, func(string) error { return nil })
	check(t, err)
	check(t, batch.Clear(t.Context()))
	other := s.kind.Open(t, s.dir)
	if _, err := other.Begin(t.Context(), a.entity, func(string) error { return nil }); !errors.Is(err, mirror.ErrInUse) {
		t.Errorf("the other one: %v", err)
	}
	if _, err := mirror.OpenFiles(s.files()); !errors.Is(err, mirror.ErrInUse) {
		t.Errorf("the other one's files: %v", err)
	}
	check(t, errors.Join(other.Close(), batch.Rollback()))
	s.compare(a.entity)
}

func (k Kind) meddled(t *testing.T) {
	s := k.scene(t)
	a := author{rand.New(rand.NewPCG(9, 10)), schemas.EntityInteraction}
	s.apply(Run{Entity: a.entity, Job: "nightly", Rows: a.rows(5)})
	s.close()
	k.Meddle(t, s.dir)
	s.open()
	err := s.refused(Run{Entity: a.entity, Job: "nightly", After: s.last}.Write(t))
	if changed := new(mirror.ChangedError); !errors.As(err, &changed) {
		t.Errorf("a run on it: %v", err)
	}
	if _, err := s.copy.Position(t.Context(), a.entity); err == nil {
		t.Error("its position is given as if nothing had happened")
	}
	s.apply(Run{Entity: a.entity, Job: "nightly", Number: 2, Rows: a.rows(5)}) // a whole one
	s.compare(a.entity)
}

func (k Kind) both(t *testing.T) {
	s := k.scene(t)
	a := author{rand.New(rand.NewPCG(11, 12)), schemas.EntityInteraction}
	s.apply(Run{Entity: a.entity, Job: "nightly", Rows: a.rows(5)})
	s.compare(a.entity)
	interactions := s.want
	s.want = map[schemas.RowKey]Row{}
	c := author{a.Rand, schemas.EntityContact}
	s.last = nil
	link := Run{Entity: c.entity, Job: "people", Rows: c.rows(5)}
	_, err := s.copy.Apply(t.Context(), link.Write(t).Open(t), now)
	check(t, err)
	s.want = interactions
	s.compare(a.entity)
	for entity, job := range map[string]string{a.entity: "nightly", c.entity: "people"} {
		if p, err := s.copy.Position(t.Context(), entity); err != nil || p.JobID != job {
			t.Errorf("%s: %+v, %v", entity, p, err)
		}
	}
}
