package smime_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"cdds/pipeline/smime"
)

// person is someone with a key pair, made once per test run.
type person struct {
	cert            *x509.Certificate
	key             *rsa.PrivateKey
	certPEM, keyPEM []byte
}

var people = sync.OnceValue(func() []person {
	var all []person
	for _, name := range []string{"anna", "ben", "chris"} {
		all = append(all, newPerson(smime.KeyOptions{CommonName: name, Bits: 2048}))
	}
	return all
})

var signer = sync.OnceValue(func() person {
	return newPerson(smime.KeyOptions{CommonName: "signing service", Bits: 2048, Purpose: smime.Signer})
})

func newPerson(opts smime.KeyOptions) person {
	certPEM, keyPEM, err := smime.GenerateKeyPair(opts)
	if err != nil {
		panic(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		panic(err)
	}
	return person{cert: pair.Leaf, key: pair.PrivateKey.(*rsa.PrivateKey), certPEM: certPEM, keyPEM: keyPEM}
}

func certsOf(p []person) (certs []*x509.Certificate) {
	for _, one := range p {
		certs = append(certs, one.cert)
	}
	return certs
}

// seal encrypts content in writes of 1000 bytes and of the rest.
func seal(t testing.TB, content []byte, encoding smime.Encoding, recipients ...*x509.Certificate) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := smime.Encrypt(&out, smime.Options{Encoding: encoding, ContentSize: int64(len(content))}, recipients...)
	if err != nil {
		t.Fatal(err)
	}
	n := min(1000, len(content))
	for _, part := range [][]byte{content[:n], content[n:]} {
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func open(message []byte, cert *x509.Certificate, key *rsa.PrivateKey) ([]byte, error) {
	r, err := smime.Decrypt(bytes.NewReader(message), cert, key)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// alice owns the key in testdata that opens the vectors.
func alice(t testing.TB) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair("testdata/test-only-alice.crt", "testdata/test-only-alice.key")
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf, pair.PrivateKey.(*rsa.PrivateKey)
}

func vector(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// file writes data into a temporary file and returns its path.
func file(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tool returns the path of a program, or skips the test.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: this test needs the real one", name)
	}
	return path
}

// run runs a program on stdin and returns its stdout.
func run(t testing.TB, stdin []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, stderr.Bytes())
	}
	return stdout.Bytes()
}

// command runs a program on stdin and returns how it ended.
func command(t testing.TB, stdin []byte, name string, args ...string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	return cmd.Run()
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
