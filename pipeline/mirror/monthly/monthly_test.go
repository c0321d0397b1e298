package monthly_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"cdds/pipeline/mirror"
	"cdds/pipeline/mirror/mirrortest"
	"cdds/pipeline/mirror/monthly"
	"cdds/schemas"
)

// together is a format whose Write waits until as many months as wanted are being written.
type together struct {
	want int

	mu      sync.Mutex
	begun   int
	met     chan struct{}
	writing int
	most    int
	fail    error // of the first month that is written
}

func (f *together) Extension() string { return ".ids" }

func (f *together) Columns(t mirror.Table) []mirror.Column { return t.Columns[1:2] }

func (f *together) Write(w io.Writer, _ mirror.Table, rows func(func([]any) error) error) error {
	f.mu.Lock()
	f.begun++
	f.writing++
	f.most = max(f.most, f.writing)
	first := f.begun == 1
	if f.begun == f.want {
		close(f.met)
	}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.writing--
	}()
	<-f.met
	for range 100_000 { // others that may begin do so
		runtime.Gosched()
	}
	if first && f.fail != nil {
		return f.fail
	}
	return rows(func(values []any) error {
		_, err := fmt.Fprintf(w, "%s\n", values[0])
		return err
	})
}

// year is a run with an interaction a month.
func year() mirrortest.Run {
	run := mirrortest.Run{Entity: schemas.EntityInteraction, Job: "nightly"}
	for n := range 12 {
		key := schemas.RowKey{Time: schemas.TimeOf(mirrortest.Since.AddDate(0, n, 0)), ID: fmt.Sprintf("i%02d", n)}
		run.Rows = append(run.Rows, mirrortest.Row{Key: key, Line: fmt.Appendf(nil,
			`{"interaction_id":%q,"tenant_id":"acme","media_type":"chat","started_at":%q}`, key.ID, key.Time)})
	}
	return run
}

func apply(t *testing.T, d mirror.Destination, run mirrortest.Run) error {
	t.Helper()
	_, err := (&mirror.Copy{Destination: d}).Apply(t.Context(), run.Write(t).Open(t), schemas.TimeOf(mirrortest.Since))
	return err
}

func TestMonthsAreWrittenAtTheSameTimeAndNotMoreThanFour(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(6))
	f, dir := &together{want: 4, met: make(chan struct{})}, t.TempDir()
	d, err := monthly.Open(t.Context(), dir, f)
	check(t, err)
	check(t, errors.Join(apply(t, d, year()), d.Close()))
	if f.begun != 12 || f.most != 4 {
		t.Errorf("%d months were written, up to %d at the same time", f.begun, f.most)
	}
	compareYear(t, dir)
}

func TestMonthsThatCouldNotBeWrittenAreWrittenByTheNextProcess(t *testing.T) {
	f, dir := &together{want: 1, met: make(chan struct{}), fail: syscall.ENOSPC}, t.TempDir()
	d, err := monthly.Open(t.Context(), dir, f)
	check(t, err)
	if err := apply(t, d, year()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk is %v", err)
	}
	check(t, d.Close())
	check(t, os.WriteFile(filepath.Join(dir, "interactions", ".draft-of-who-was-killed"), []byte("some rows"), 0o600))
	d, err = monthly.Open(t.Context(), dir, f)
	check(t, err)
	check(t, d.Close())
	compareYear(t, dir)
	drafts, err := filepath.Glob(filepath.Join(dir, "interactions", ".draft-*"))
	check(t, err)
	if len(drafts) > 0 {
		t.Errorf("drafts are left: %q", drafts)
	}
}

// compareYear holds the files to what year has.
func compareYear(t *testing.T, dir string) {
	t.Helper()
	for n := range 12 {
		month := mirrortest.Since.AddDate(0, n, 0).Format("2006-01")
		content, err := os.ReadFile(filepath.Join(dir, "interactions", month+".ids"))
		if want := fmt.Sprintf("i%02d\n", n); err != nil || string(content) != want {
			t.Errorf("%s has %q, and should have %q: %v", month, content, want, err)
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
