package app_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

// interaction makes a small one of tenant acme.
func interaction(tenant string, n int) *schemas.Interaction {
	return &schemas.Interaction{
		InteractionID: fmt.Sprintf("i-%06d", n), TenantID: tenant, MediaType: schemas.MediaTypes()[n%4],
		StartedAt: schemas.TimeOf(time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n%977) * 1237 * time.Second)),
		Queue:     "billing", Text: strings.Repeat(fmt.Sprintf("line %d ", n*7919), 20),
		Attributes: map[string]string{"n": fmt.Sprint(n)},
	}
}

func TestWhatWentInComesOutThroughOpensslAndUnzip(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	want := map[string][]string{}
	for n := range 3000 {
		for _, tenant := range []string{"acme", "globex"} {
			e := interaction(tenant, n)
			line, err := schemas.Encode(e)
			check(t, err)
			want[tenant] = append(want[tenant], string(line))
			w.publisher.PublishAsync(t.Context(), e, func(err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	check(t, w.publisher.Flush(t.Context()))

	for tenant, encoding := range map[string]string{"acme": schemas.EncodingSMIME, "globex": schemas.EncodingDER} {
		r := w.request(tenant, "e1")
		r.Encoding, r.SplitSize = encoding, 256<<10
		w.publish(r)
	}
	for tenant := range want {
		e := w.await(tenant, "e1")
		if e.State != schemas.Completed || e.Done.Rows != 3000 || e.Done.Parts < 2 {
			t.Fatalf("%s: %s with %d rows in %d parts, %+v", tenant, e.State, e.Done.Rows, e.Done.Parts, e.Failure)
		}
		got := w.open(e)
		if !slices.IsSortedFunc(got, byStart) {
			t.Errorf("%s: the lines are not in order of started_at", tenant)
		}
		slices.Sort(got)
		slices.Sort(want[tenant])
		if !slices.Equal(got, want[tenant]) {
			t.Errorf("%s: %d lines came out, %d went in, and they differ", tenant, len(got), len(want[tenant]))
		}
	}
}

func byStart(a, b string) int { return strings.Compare(startOf(a), startOf(b)) }

func startOf(line string) string {
	_, after, _ := strings.Cut(line, `"started_at":"`)
	return after[:24]
}

// open downloads an export and returns its lines as stock tools see them.
func (w *world) open(e schemas.Export) []string {
	w.t.Helper()
	dir := w.t.TempDir()
	var lines []string
	for _, part := range e.Parts {
		sealed := filepath.Join(dir, part.Name)
		content, err := w.bucket.GetBytes(w.t.Context(), part.Key, 1<<30)
		check(w.t, err)
		check(w.t, os.WriteFile(sealed, content, 0o600))
		form := "SMIME"
		if e.Request.Encoding == schemas.EncodingDER {
			form = "DER"
		}
		output(w.t, "openssl", "cms", "-decrypt", "-inform", form, "-in", sealed, "-recip", w.cert, "-inkey", w.key, "-out", sealed+".zip")
		text := output(w.t, "unzip", "-p", sealed+".zip")
		lines = append(lines, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")...)
	}
	return lines
}

func output(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed: %v", name, err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, stderr.String())
	}
	return out
}
