package receiver_test

import (
	"archive/zip"
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

// person is someone with a key pair, made once per test run.
type person struct {
	cert            *x509.Certificate
	key             *rsa.PrivateKey
	certPEM, keyPEM []byte
}

func newPerson(name string, purpose smime.Purpose) func() person {
	return sync.OnceValue(func() person {
		certPEM, keyPEM, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: name, Bits: 2048, Purpose: purpose})
		if err != nil {
			panic(err)
		}
		pair, err := tls.X509KeyPair(certPEM, keyPEM)
		if err != nil {
			panic(err)
		}
		return person{pair.Leaf, pair.PrivateKey.(*rsa.PrivateKey), certPEM, keyPEM}
	})
}

var (
	anna    = newPerson("anna", smime.Recipient)
	ben     = newPerson("ben", smime.Recipient)
	service = newPerson("service", smime.Signer)
	mallory = newPerson("mallory", smime.Signer)
)

// export is what a service would make, with switches for a service gone wrong.
type export struct {
	parts int
	// zip replaces how a part's zip is made.
	zip func(t testing.TB, entry string, lines []byte) []byte
	// edit changes the manifest before it is signed.
	edit func(*schemas.Manifest)
	der  bool
}

// at is the beginning of the range that test exports cover.
var at = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// linesOf are the rows of a part: a thousand.
func linesOf(number int) []byte {
	var b bytes.Buffer
	for row := range 1000 {
		fmt.Fprintf(&b, `{"interaction_id":"i-%d-%d","tenant_id":"acme","text":"hello, wörld"}`+"\n", number, row)
	}
	return b.Bytes()
}

// write makes the export in a new directory.
func (x export) write(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	m := schemas.Manifest{
		Version: schemas.ManifestVersion, TenantID: "acme", ExportID: "x1",
		Filter: schemas.Filter{TenantID: "acme", Entity: schemas.EntityInteraction, From: schemas.TimeOf(at), To: schemas.TimeOf(at.AddDate(0, 1, 0))},
		Topic:  schemas.TopicInteractions, Snapshot: schemas.Snapshot{1000}, Encoding: schemas.EncodingSMIME,
		Recipients: pipeline.CertificateRefs([]*x509.Certificate{anna().cert}),
	}
	for n := 1; n <= x.parts; n++ {
		lines := linesOf(n)
		makeZip := x.zip
		if makeZip == nil {
			makeZip = zipOf
		}
		zipped := makeZip(t, schemas.EntryName(m.Filter.Entity, schemas.Part{Number: n}), lines)
		sealed := seal(t, zipped, x.der, anna().cert)
		r := schemas.Receipt{
			Part: schemas.Part{
				Number: n, Rows: 1000, Bytes: int64(len(lines)),
				First: schemas.RowKey{Time: schemas.TimeOf(at.Add(time.Duration(2*n) * time.Hour))},
				Last:  schemas.RowKey{Time: schemas.TimeOf(at.Add(time.Duration(2*n+1) * time.Hour))},
			},
			Name:        schemas.PartName(m.Filter.Entity, "x1", schemas.Part{Number: n}),
			JSONLSHA256: digest(lines), ZipBytes: int64(len(zipped)), ZipSHA256: digest(zipped),
			SealedBytes: int64(len(sealed)), SealedSHA256: digest(sealed),
		}
		m.Parts = append(m.Parts, r)
		put(t, filepath.Join(dir, r.Name), sealed)
	}
	if x.edit != nil {
		x.edit(&m)
	}
	m.Totals = schemas.Total(m.Parts)
	content, err := schemas.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	sign(t, dir, content, service())
	return dir
}

func sign(t testing.TB, dir string, manifest []byte, by person) {
	t.Helper()
	signature, err := smime.Sign(manifest, by.cert, by.key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, schemas.ManifestName), manifest)
	put(t, filepath.Join(dir, schemas.SignatureName), signature)
}

// entry is a file to be put into a zip.
type entry struct {
	name    string
	mode    os.FileMode
	content []byte
}

func zipOf(t testing.TB, name string, lines []byte) []byte {
	return zipEntries(t, entry{name, 0o600, lines})
}

func zipEntries(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write(e.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func seal(t testing.TB, content []byte, der bool, to ...*x509.Certificate) []byte {
	t.Helper()
	opts := smime.Options{ContentSize: int64(len(content))}
	if der {
		opts.Encoding = smime.DER
	}
	var b bytes.Buffer
	w, err := smime.Encrypt(&b, opts, to...)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func put(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// names lists a directory, hidden files included.
func names(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

// run runs a real program, or skips the test where it is missing.
func run(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed: this test needs the real one", name)
	}
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}
