package receiver_test

import (
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/receiver"
	"cdds/schemas"
)

var manyParts = flag.Int("parts", 4_000, "of the export of very many parts")

// many writes an export of very many parts that nobody can open: their files have a byte each.
func many(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	m := schemas.Manifest{
		Version: schemas.ManifestVersion, TenantID: "acme", ExportID: "x1",
		Filter: schemas.Filter{TenantID: "acme", Entity: schemas.EntityInteraction, From: schemas.TimeOf(at), To: schemas.TimeOf(at.AddDate(0, 1, 0))},
		Topic:  schemas.TopicInteractions, Snapshot: schemas.Snapshot{1000}, Encoding: schemas.EncodingSMIME,
		Recipients: pipeline.CertificateRefs([]*x509.Certificate{anna().cert}),
	}
	key := func(n int) schemas.RowKey {
		return schemas.RowKey{Time: schemas.TimeOf(at.Add(time.Duration(n) * time.Second)), ID: fmt.Sprintf("5f0c3e1a-7d1e-4b6e-9f55-%012d", n)}
	}
	for n := 1; n <= *manyParts; n++ {
		part := schemas.Part{Number: n, First: key(2 * n), Last: key(2*n + 1), Rows: 2, Bytes: int64(len(twoLines(n)))}
		sealed := []byte{byte(n)}
		m.Parts = append(m.Parts, schemas.Receipt{
			Part: part, Name: schemas.PartName(m.Filter.Entity, "x1", part),
			JSONLSHA256: digest(twoLines(n)), ZipBytes: 700, ZipSHA256: digest(sealed), SealedBytes: 1, SealedSHA256: digest(sealed),
		})
		put(t, filepath.Join(dir, m.Parts[n-1].Name), sealed)
	}
	m.Totals = schemas.Total(m.Parts)
	content, err := schemas.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	sign(t, dir, content, service())
	return dir
}

// twoLines are those of a part.
func twoLines(n int) []byte { return fmt.Appendf(nil, "{\"n\":%d}\n{\"n\":%[1]d}\n", n) }

// held is what the heap has more than base.
func held(base uint64) uint64 {
	runtime.GC()
	runtime.GC() // what pools keep lives for one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return max(m.HeapAlloc, base) - base
}

func TestOfAnExportOfManyPartsHardlyAnythingIsHeld(t *testing.T) {
	dir := many(t)
	base := held(0)
	var most uint64
	weigh := func(n int) {
		if n%(*manyParts/4) == 0 {
			most = max(most, held(base))
		}
	}
	read := 0
	o := receiver.Options{Signers: []*x509.Certificate{service().cert}, Parallel: 2, Progress: func(int64, int64) { read++; weigh(read) }}
	report, err := receiver.Verify(t.Context(), dir, o)
	if err != nil || report.Verified != *manyParts || report.Manifest.Totals.Parts != *manyParts {
		t.Fatalf("%d parts are verified: %v", report.Verified, err)
	}
	e, err := receiver.Open(t.Context(), dir, anna().cert, anna().key, t.TempDir(), receiver.Options{Signers: o.Signers})
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	err = e.Parts(func(part schemas.Receipt) error {
		if part.Number != last+1 {
			return fmt.Errorf("part %d follows part %d", part.Number, last)
		}
		last = part.Number
		weigh(last)
		return nil
	})
	if err = errors.Join(err, e.Close()); err != nil || last != *manyParts {
		t.Errorf("%d parts are given: %v", last, err)
	}
	out := t.TempDir() // where an earlier Decrypt made all files
	for n := 1; n <= *manyParts; n++ {
		put(t, filepath.Join(out, schemas.EntryName(schemas.EntityInteraction, schemas.Part{Number: n})), twoLines(n))
	}
	read = 0
	decrypted, err := receiver.Decrypt(t.Context(), dir, anna().cert, anna().key, out, o)
	if err != nil || decrypted.Kept.Len() != *manyParts || decrypted.Written.Len() != 0 || read < 2**manyParts {
		t.Errorf("%d of the parts are kept: %v", decrypted.Kept.Len(), err)
	}
	weigh(0)
	runtime.KeepAlive(decrypted)
	const (
		each  = 64      // bytes of a part; the manifest has some 600
		files = 1 << 20 // of buffers, a quarter for each file that is read at once
	)
	if bound := uint64(each*(*manyParts) + files); most > bound {
		t.Errorf("%d KiB were held, more than %d", most>>10, bound>>10)
	}
	t.Logf("%d parts: %d KiB held", *manyParts, most>>10)
}

// TestAManifestThatIsReplacedAfterItWasVerifiedIsNoticed replaces it by another one that is signed, too.
func TestAManifestThatIsReplacedAfterItWasVerifiedIsNoticed(t *testing.T) {
	dir := export{parts: 2}.write(t)
	e := opened(t, dir, t.TempDir())
	other := export{parts: 2, edit: func(m *schemas.Manifest) { m.Parts = m.Parts[:1] }}.write(t)
	for _, name := range []string{schemas.ManifestName, schemas.SignatureName} {
		put(t, filepath.Join(dir, name), get(t, filepath.Join(other, name)))
	}
	err := e.Parts(func(schemas.Receipt) error { return nil })
	if v := new(receiver.Violation); !errors.As(err, &v) || v.Rule != receiver.RuleManifest {
		t.Errorf("its parts are given: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, schemas.ManifestName)); err != nil {
		t.Fatal(err)
	}
	if err := e.Parts(func(schemas.Receipt) error { return nil }); err == nil {
		t.Error("its parts are given without a manifest")
	}
}

// TestNothingIsMadeOfPartsThatWereNotVerified: what takes the place of a verified manifest is noticed
// before anything is done about the first part that is another one, not at the end of the file.
func TestNothingIsMadeOfPartsThatWereNotVerified(t *testing.T) {
	edited := export{parts: 2, edit: func(m *schemas.Manifest) { m.Parts[0].JSONLSHA256 = digest(nil) }}
	replace := func(dir, other string) {
		for _, name := range []string{schemas.ManifestName, schemas.SignatureName} {
			put(t, filepath.Join(dir, name), get(t, filepath.Join(other, name)))
		}
	}
	dir, other := export{parts: 2}.write(t), edited.write(t)
	e := opened(t, dir, t.TempDir())
	replace(dir, other)
	given := 0
	err := e.Parts(func(schemas.Receipt) error { given++; return nil })
	if v := new(receiver.Violation); !errors.As(err, &v) || v.Rule != receiver.RuleManifest || given != 0 {
		t.Errorf("%d of its parts are given: %v", given, err)
	}

	dir, out := export{parts: 2}.write(t), t.TempDir()
	done := false
	_, err = receiver.Decrypt(t.Context(), dir, anna().cert, anna().key, out, receiver.Options{Progress: func(int64, int64) {
		if !done { // while the files are verified
			replace(dir, other)
			done = true
		}
	}})
	if got := violations(err); !slices.Equal(got, []string{schemas.ManifestName + " manifest"}) || names(t, out) != "" {
		t.Errorf("violations %q, left %q: %v", got, names(t, out), err)
	}
}

func TestAManifestIsReadWithoutItsParts(t *testing.T) {
	read := func(dir string) (*schemas.Manifest, string, error) {
		f, err := os.Open(filepath.Join(dir, schemas.ManifestName))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return receiver.ReadManifest(f)
	}
	dir := export{parts: 3}.write(t)
	m, sum, err := read(dir)
	if err != nil || m.ExportID != "x1" || m.Totals.Parts != 3 || m.Parts != nil || sum != digest(get(t, filepath.Join(dir, schemas.ManifestName))) {
		t.Errorf("read is %+v with digest %s: %v", m, sum, err)
	}
	_, _, err = read(export{parts: 3, edit: func(m *schemas.Manifest) { m.Parts[2].Number = 2 }}.write(t))
	if v := new(receiver.Violation); !errors.As(err, &v) || v.Rule != receiver.RuleManifest {
		t.Errorf("with a part twice: %v", err)
	}
}

func TestPartsAreCountedByTheirKinds(t *testing.T) {
	counts := receiver.PartCounts{Rows: 2, Removed: 1, Attachments: 2}
	var all []string
	for part := range counts.All() {
		all = append(all, schemas.EntryName(schemas.EntityContact, part))
	}
	if want := []string{"contact-0001.jsonl", "contact-0002.jsonl", "removed-0003.jsonl", "attachments-0004.jsonl", "attachments-0005.jsonl"}; !slices.Equal(all, want) {
		t.Errorf("the files are %q", all)
	}
}
