package receiver_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cdds/pipeline/receiver"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

const (
	first  = "interaction-x1-0001.jsonl.zip.p7m"
	second = "interaction-x1-0002.jsonl.zip.p7m"
)

func TestVerifyProvesAWholeExport(t *testing.T) {
	dir := export{parts: 3}.write(t)
	put(t, filepath.Join(dir, "README.txt"), []byte("not the export's"))
	pinned := receiver.Options{Signers: []*x509.Certificate{service().cert}}

	r, err := receiver.Verify(t.Context(), dir, pinned)
	if err != nil {
		t.Fatal(err)
	}
	if r.Verified != 3 || r.Manifest.Totals.Rows != 3000 || !r.Pinned || !r.Signer.Equal(service().cert) {
		t.Errorf("report = %+v", r)
	}
}

func TestVerifyProvesAnEmptyExport(t *testing.T) {
	if _, err := receiver.Verify(t.Context(), export{}.write(t), receiver.Options{}); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyTellsWhoSignedAndWhetherThatWasAskedFor(t *testing.T) {
	dir := export{parts: 1}.write(t)
	mine, others := smime.Fingerprint(service().cert), smime.Fingerprint(mallory().cert)
	for _, c := range []struct {
		name    string
		options receiver.Options
		pinned  bool
		err     error
	}{
		{"nobody pinned", receiver.Options{}, false, nil},
		{"by fingerprint", receiver.Options{Fingerprints: []string{others, mine}}, true, nil},
		{"by certificate", receiver.Options{Signers: []*x509.Certificate{service().cert}}, true, nil},
		{"either will do", receiver.Options{Signers: []*x509.Certificate{mallory().cert}, Fingerprints: []string{mine}}, true, nil},
		{"another fingerprint", receiver.Options{Fingerprints: []string{others}}, false, smime.ErrUntrusted},
		{"another certificate", receiver.Options{Signers: []*x509.Certificate{mallory().cert}}, false, smime.ErrUntrusted},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := receiver.Verify(t.Context(), dir, c.options)
			if !errors.Is(err, c.err) {
				t.Fatalf("error = %v, want %v", err, c.err)
			}
			if r.Pinned != c.pinned || !r.Signer.Equal(service().cert) {
				t.Errorf("pinned = %v, signer %v", r.Pinned, r.Signer.Subject)
			}
		})
	}
}

func TestVerifyFindsEveryChange(t *testing.T) {
	change := func(name string, edit func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			put(t, path, edit(get(t, path)))
		}
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		file  string
		rule  receiver.Rule
	}{
		{"a part is removed", func(t *testing.T, dir string) { remove(t, dir, second) }, second, receiver.RuleMissing},
		{"a part is added", func(t *testing.T, dir string) {
			put(t, filepath.Join(dir, "interaction-x1-0004.jsonl.zip.p7m"), get(t, filepath.Join(dir, first)))
		}, "interaction-x1-0004.jsonl.zip.p7m", receiver.RuleNotListed},
		{"a part in other letters is added", func(t *testing.T, dir string) { put(t, filepath.Join(dir, "X.P7M"), nil) }, "X.P7M", receiver.RuleNotListed},
		{"a byte of a part is flipped", change(second, flip), second, receiver.RuleDigest},
		{"a part is truncated", change(second, func(b []byte) []byte { return b[:len(b)-1] }), second, receiver.RuleSize},
		{"a part is longer", change(second, func(b []byte) []byte { return append(b, '\n') }), second, receiver.RuleSize},
		{"a part is a link to the real one", func(t *testing.T, dir string) {
			elsewhere := filepath.Join(t.TempDir(), "part")
			if err := errors.Join(os.Rename(filepath.Join(dir, second), elsewhere), os.Symlink(elsewhere, filepath.Join(dir, second))); err != nil {
				t.Fatal(err)
			}
		}, second, receiver.RuleKind},
		{"a part is a directory", func(t *testing.T, dir string) {
			remove(t, dir, second)
			if err := os.Mkdir(filepath.Join(dir, second), 0o700); err != nil {
				t.Fatal(err)
			}
		}, second, receiver.RuleKind},
		{"a byte of the manifest is flipped", change(schemas.ManifestName, flip), schemas.SignatureName, receiver.RuleSignature},
		{"a byte of the signature is flipped", change(schemas.SignatureName, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), schemas.SignatureName, receiver.RuleSignature},
		{"the manifest is missing", func(t *testing.T, dir string) { remove(t, dir, schemas.ManifestName) }, schemas.ManifestName, receiver.RuleMissing},
		{"the signature is missing", func(t *testing.T, dir string) { remove(t, dir, schemas.SignatureName) }, schemas.SignatureName, receiver.RuleMissing},
		{"the signature is huge", change(schemas.SignatureName, func([]byte) []byte { return make([]byte, 1<<20) }), schemas.SignatureName, receiver.RuleSignature},
		{"the manifest is of another version", func(t *testing.T, dir string) { sign(t, dir, []byte(`{"version":2}`), service()) }, schemas.ManifestName, receiver.RuleManifest},
		{"someone else signed", func(t *testing.T, dir string) {
			sign(t, dir, get(t, filepath.Join(dir, schemas.ManifestName)), mallory())
		}, schemas.SignatureName, receiver.RuleSigner},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := export{parts: 3}.write(t)
			c.spoil(t, dir)
			_, err := receiver.Verify(t.Context(), dir, receiver.Options{Fingerprints: []string{smime.Fingerprint(service().cert)}})
			want := []string{c.file + " " + string(c.rule)}
			if got := violations(err); !slices.Equal(got, want) {
				t.Errorf("violations = %q, want %q (error %v)", got, want, err)
			}
		})
	}
}

func TestAWholeExportThatIsAnotherIsNotProven(t *testing.T) {
	before := strings.Repeat("a", 64)
	dir := export{parts: 1, edit: func(m *schemas.Manifest) {
		m.SinceExport, m.Since = "x0", schemas.Snapshot{10}
		m.Chain = &schemas.Chain{JobID: "nightly", Number: 8, PreviousExportID: "x0", PreviousManifestSHA256: before, FilterDigest: schemas.FilterDigest(m.Filter)}
	}}.write(t)
	right := receiver.Expected{TenantID: "acme", ExportID: "x1", JobID: "nightly", Number: 8, After: before}
	if _, err := receiver.Verify(t.Context(), dir, receiver.Options{Expected: right}); err != nil {
		t.Fatal(err)
	}
	for want, other := range map[string]receiver.Expected{
		"it is of tenant acme, not of globex":        {TenantID: "globex"},
		"it is export x1, not x2":                    {ExportID: "x2"},
		"it is a run of job nightly, not of weekly":  {JobID: "weekly"},
		"it is run 8 of its chain, not run 9":        {Number: 9},
		"it continues export x0, whose manifest has": {After: strings.Repeat("b", 64)},
	} {
		out := filepath.Join(t.TempDir(), "plain")
		_, verified := receiver.Verify(t.Context(), dir, receiver.Options{Expected: other})
		_, decrypted := receiver.Decrypt(t.Context(), dir, anna().cert, anna().key, out, receiver.Options{Expected: other})
		for _, err := range []error{verified, decrypted} {
			if got := violations(err); !slices.Equal(got, []string{"manifest.json expected"}) || !strings.Contains(err.Error(), want) {
				t.Errorf("violations = %q, %v; want %q", got, err, want)
			}
		}
		if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("something was written: %v", err)
		}
	}
}

func TestVerifyReportsEveryViolationAtOnce(t *testing.T) {
	dir := export{parts: 5}.write(t)
	remove(t, dir, first)
	put(t, filepath.Join(dir, second), []byte("x"))
	put(t, filepath.Join(dir, "z.p7m"), nil)

	r, err := receiver.Verify(t.Context(), dir, receiver.Options{})
	want := []string{first + " missing", second + " size", "z.p7m not-listed"}
	if got := violations(err); !slices.Equal(got, want) {
		t.Errorf("violations = %q, want %q", got, want)
	}
	if r.Verified != 3 {
		t.Errorf("verified %d parts, want 3", r.Verified)
	}
}

func TestVerifyRefusesAManifestThatNamesFilesOutsideTheDirectory(t *testing.T) {
	dir := export{parts: 1, edit: func(m *schemas.Manifest) { m.Parts[0].Name = "../" + m.Parts[0].Name }}.write(t)
	_, err := receiver.Verify(t.Context(), dir, receiver.Options{})
	if got, want := violations(err), []string{"manifest.json manifest"}; !slices.Equal(got, want) {
		t.Errorf("violations = %q, want %q", got, want)
	}
}

func TestVerifyOfNoDirectoryIsNoViolation(t *testing.T) {
	_, err := receiver.Verify(t.Context(), filepath.Join(t.TempDir(), "none"), receiver.Options{})
	if !errors.Is(err, fs.ErrNotExist) || violations(err) != nil {
		t.Errorf("error = %v", err)
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	options := receiver.Options{Parallel: 1, Progress: func(int64, int64) { cancel() }}
	r, err := receiver.Verify(ctx, export{parts: 3}.write(t), options)
	if !errors.Is(err, context.Canceled) || r.Verified == 3 {
		t.Errorf("verified %d parts, error %v", r.Verified, err)
	}
}

func TestProgressReachesItsTotal(t *testing.T) {
	dir := export{parts: 3}.write(t)
	var done, total int64
	options := receiver.Options{Progress: func(d, of int64) {
		if d <= done || d > of {
			t.Errorf("%d of %d after %d", d, of, done)
		}
		done, total = d, of
	}}
	if _, err := receiver.Verify(t.Context(), dir, options); err != nil || done != total || done == 0 {
		t.Errorf("verify: %d of %d, error %v", done, total, err)
	}
	done, total = 0, 0
	if _, err := receiver.Decrypt(t.Context(), dir, anna().cert, anna().key, t.TempDir(), options); err != nil || done != total || done == 0 {
		t.Errorf("decrypt: %d of %d, error %v", done, total, err)
	}
}

// violations lists file and rule of each, or nil.
func violations(err error) (list []string) {
	var unproven *receiver.UnprovenError
	if errors.As(err, &unproven) {
		for _, v := range unproven.Violations {
			if v.Detail == "" || v.Rule.Hint() == "" {
				return []string{fmt.Sprintf("%+v lacks detail or hint", v)}
			}
			list = append(list, v.File+" "+string(v.Rule))
		}
	}
	return list
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}
