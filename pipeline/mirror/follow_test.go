package mirror_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cdds/pipeline/mirror"
	"cdds/pipeline/mirror/mirrortest"
	"cdds/pipeline/mirror/sqlite"
	"cdds/pipeline/receiver"
	"cdds/schemas"
)

// carrier brings runs into a directory, and follows it.
type carrier struct {
	*testing.T
	dir string
	mirror.Follower
	applied []int
}

func newCarrier(t *testing.T) *carrier {
	t.Helper()
	c := &carrier{T: t, dir: t.TempDir()}
	d, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "copy.sqlite"))
	check(t, err)
	t.Cleanup(func() { check(t, d.Close()) })
	c.Follower = mirror.Follower{
		Feed: &mirror.Folder{Dir: c.dir}, Copy: &mirror.Copy{Destination: d}, Work: t.TempDir(),
		Open: func(ctx context.Context, dir, scratch string) (*receiver.Export, error) {
			return receiver.Open(ctx, dir, mirrortest.Receiver().Cert, mirrortest.Receiver().Key, scratch, receiver.Options{Signers: []*x509.Certificate{mirrortest.Service().Cert}})
		},
		Now:     func() schemas.Time { return schemas.TimeOf(mirrortest.Since) },
		Applied: func(a mirror.Applied) { c.applied = append(c.applied, a.Number) },
	}
	return c
}

// bring puts a run into the directory.
func (c *carrier) bring(l *mirrortest.Link) *mirrortest.Link {
	c.Helper()
	check(c, os.CopyFS(filepath.Join(c.dir, l.Manifest.ExportID), os.DirFS(l.Dir)))
	return l
}

// rows are the texts that the copy has.
func (c *carrier) rows() string {
	c.Helper()
	var all []string
	check(c, c.Copy.Each(c.Context(), schemas.EntityInteraction, func(body []byte) error {
		row, err := mirror.RowOf(schemas.EntityInteraction, body)
		all = append(all, row.Key.ID)
		return err
	}))
	return strings.Join(all, " ")
}

func run(after *mirrortest.Link, number int, ids ...string) mirrortest.Run {
	r := mirrortest.Run{Entity: schemas.EntityInteraction, Job: "nightly", After: after, Number: number}
	for _, id := range ids {
		r.Rows = append(r.Rows, mirrortest.Row{
			Key:  schemas.RowKey{Time: schemas.TimeOf(mirrortest.Since), ID: id},
			Line: fmt.Appendf(nil, `{"interaction_id":%q,"tenant_id":"acme","media_type":"chat","started_at":"2026-01-01T00:00:00.000Z"}`, id),
		})
	}
	return r
}

func TestAFollowerAppliesEveryRunInOrderAndLaterOnlyWhatIsNew(t *testing.T) {
	c := newCarrier(t)
	one := c.bring(run(nil, 0, "a").Write(t))
	two := c.bring(run(one, 0, "b").Write(t))
	for _, want := range []int{2, 0} {
		if n, at, err := c.Follow(t.Context()); err != nil || n != want || at.Number != 2 {
			t.Fatalf("%d runs, at %+v: %v", n, at, err)
		}
	}
	c.bring(run(two, 0, "c").Write(t))
	if n, at, err := c.Follow(t.Context()); err != nil || n != 1 || at.Number != 3 || c.rows() != "a b c" {
		t.Errorf("%d runs, at %+v, with %s: %v", n, at, c.rows(), err)
	}
}

func TestAFollowerBeginsWithTheLastRunThatStartsOver(t *testing.T) {
	c := newCarrier(t)
	c.bring(run(nil, 0, "a").Write(t))
	again := c.bring(run(nil, 4, "d").Write(t))
	c.bring(run(again, 0, "e").Write(t))
	if _, _, err := c.Follow(t.Context()); err != nil || !slices.Equal(c.applied, []int{4, 5}) || c.rows() != "d e" {
		t.Errorf("applied %v, with %s: %v", c.applied, c.rows(), err)
	}
}

func TestAFollowerThatMissesARunSaysHowToStartOver(t *testing.T) {
	c := newCarrier(t)
	one := c.bring(run(nil, 0, "a").Write(t))
	two := run(one, 0, "b").Write(t)
	c.bring(run(two, 0, "c").Write(t))
	n, at, err := c.Follow(t.Context())
	if behind := new(mirror.BehindError); !errors.As(err, &behind) || behind.Number != 2 || n != 1 || at.Number != 1 || !strings.Contains(err.Error(), "cdds job restart-chain nightly") {
		t.Fatalf("%d runs, at %+v: %v", n, at, err)
	}
	c.bring(two) // it was late
	if n, at, err := c.Follow(t.Context()); err != nil || n != 2 || at.Number != 3 {
		t.Errorf("%d runs, at %+v: %v", n, at, err)
	}
}

func TestAFollowerAppliesNothingThatIsNotProven(t *testing.T) {
	c := newCarrier(t)
	one := c.bring(run(nil, 0, "a").Write(t))
	two := c.bring(run(one, 0, "b").Write(t))
	part := filepath.Join(c.dir, two.Manifest.ExportID, two.Manifest.Parts[0].Name)
	whole, err := os.ReadFile(part)
	check(t, err)
	check(t, os.WriteFile(part, append(slices.Clone(whole[:len(whole)-9]), "tampered\n"...), 0o600))
	n, _, err := c.Follow(t.Context())
	if unproven := new(receiver.UnprovenError); !errors.As(err, &unproven) || n != 1 || c.rows() != "a" {
		t.Fatalf("%d runs, with %s: %v", n, c.rows(), err)
	}
	check(t, os.WriteFile(part, whole, 0o600))
	if n, _, err := c.Follow(t.Context()); err != nil || n != 1 || c.rows() != "a b" {
		t.Errorf("%d runs, with %s: %v", n, c.rows(), err)
	}
}

func TestRunsOfSeveralJobsAreNotMixed(t *testing.T) {
	c := newCarrier(t)
	c.bring(run(nil, 0, "a").Write(t))
	other := run(nil, 0, "x")
	other.Job = "other"
	c.bring(other.Write(t))
	if _, _, err := c.Follow(t.Context()); err == nil || !strings.Contains(err.Error(), "choose one with --job") {
		t.Fatalf("runs of two jobs: %v", err)
	}
	c.Feed = &mirror.Folder{Dir: c.dir, JobID: "nightly"}
	if _, _, err := c.Follow(t.Context()); err != nil || c.rows() != "a" {
		t.Fatalf("one of them: %s, %v", c.rows(), err)
	}
	c.Feed = &mirror.Folder{Dir: c.dir, JobID: "other"}
	if _, _, err := c.Follow(t.Context()); err == nil || c.rows() != "a" {
		t.Errorf("the other one into the same copy: %s, %v", c.rows(), err)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A field policy leaves out members that have columns, and rows of one time come in the order of
// the ids that their pseudonyms stand for.
func TestACopyTakesRowsUnderAFieldPolicy(t *testing.T) {
	c := newCarrier(t)
	r := run(nil, 0, "1", "2", "3")
	for i, pseudonym := range []string{"c", "a", "b"} {
		r.Rows[i].Line = fmt.Appendf(nil, `{"interaction_id":%q,"tenant_id":"acme","started_at":"2026-01-01T00:00:00.000Z"}`, pseudonym)
	}
	c.bring(r.Write(t))
	if n, _, err := c.Follow(t.Context()); err == nil || n != 0 {
		t.Fatalf("without a policy rows out of order were taken: %d runs, %v", n, err)
	}
	c = newCarrier(t)
	r.Edit = func(m *schemas.Manifest) {
		policy := &schemas.FieldPolicy{Pseudonym: []string{"/interaction_id"}, LeaveOut: []string{"/media_type"}}
		m.FieldPolicy = policy.Applied(m.Filter.Entity, "0123456789abcdef")
		m.Chain.FilterDigest = schemas.SelectionDigest(m.Filter, m.FieldPolicy, m.Names)
	}
	one := c.bring(r.Write(t))
	next := run(one, 0)
	next.Edit, next.Removed = r.Edit, []schemas.Removal{{ID: "a", Time: schemas.TimeOf(mirrortest.Since), Reason: schemas.RemovedFilter}}
	c.bring(next.Write(t))
	if n, _, err := c.Follow(t.Context()); err != nil || n != 2 || c.rows() != "b c" {
		t.Errorf("%d runs with %s: %v", n, c.rows(), err)
	}
}
