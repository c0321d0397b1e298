package smime_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"cdds/pipeline/smime"

	"github.com/smallstep/pkcs7"
)

var sizes = []int{0, 1, 15, 16, 17, 47, 48, 49, 64<<10 - 1, 64 << 10, 64<<10 + 1, 3<<20 + 5}

var encodings = map[string]smime.Encoding{"SMIME": smime.SMIME, "DER": smime.DER}

func TestEveryRecipientOpensWhatWasSealed(t *testing.T) {
	for name, encoding := range encodings {
		for _, recipients := range [][]person{people()[:1], people()} {
			for _, size := range sizes {
				content := random(size)
				message := seal(t, content, encoding, certsOf(recipients)...)
				for i, p := range recipients {
					got, err := open(message, p.cert, p.key)
					if err != nil || !bytes.Equal(got, content) {
						t.Errorf("%s, %d bytes, recipient %d of %d: opened %d bytes, error %v",
							name, size, i+1, len(recipients), len(got), err)
					}
				}
			}
		}
	}
}

func TestOpensslOpensWhatIsSealed(t *testing.T) {
	openssl := tool(t, "openssl")
	everyone := people()
	for name, encoding := range encodings {
		for _, n := range []int{1, 3} {
			last := everyone[n-1]
			cert, key := file(t, "cert.pem", last.certPEM), file(t, "key.pem", last.keyPEM)
			for _, size := range sizes {
				content := random(size)
				message := file(t, "message", seal(t, content, encoding, certsOf(everyone[:n])...))
				for _, command := range []string{"cms", "smime"} {
					got := run(t, nil, openssl, command, "-decrypt", "-binary", "-inform", name, "-in", message, "-recip", cert, "-inkey", key)
					if !bytes.Equal(got, content) {
						t.Errorf("openssl %s, %s, %d bytes, %d recipients: content differs", command, name, size, n)
					}
				}
			}
		}
	}
}

func TestGpgsmOpensWhatIsSealed(t *testing.T) {
	gpgsm, openssl := tool(t, "gpgsm"), tool(t, "openssl")
	// A socket path has room for about 100 characters: t.TempDir is too deep.
	home, err := os.MkdirTemp("", "gpgsm")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GNUPGHOME", home)
	t.Cleanup(func() {
		exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() // the agent that gpgsm started
		os.RemoveAll(home)
	})
	p := people()[1]
	pair := run(t, nil, openssl, "pkcs12", "-export", "-legacy", "-passout", "pass:test",
		"-in", file(t, "cert.pem", p.certPEM), "-inkey", file(t, "key.pem", p.keyPEM))
	options := []string{"--batch", "--disable-crl-checks", "--pinentry-mode", "loopback", "--passphrase-fd", "0"}
	run(t, []byte("test\n"), gpgsm, append(options, "--import", file(t, "pair.p12", pair))...)
	for _, size := range []int{0, 1, 16, 64<<10 + 1} {
		content := random(size)
		message := file(t, "message", seal(t, content, smime.DER, certsOf(people())...))
		if got := run(t, []byte("test\n"), gpgsm, append(options, "--decrypt", message)...); !bytes.Equal(got, content) {
			t.Errorf("%d bytes: content differs", size)
		}
	}
}

func TestPKCS7LibraryOpensWhatIsSealed(t *testing.T) {
	for _, size := range []int{1, 16, 64<<10 + 1} {
		content := random(size)
		p7, err := pkcs7.Parse(seal(t, content, smime.DER, certsOf(people())...))
		if err != nil {
			t.Fatal(err)
		}
		got, err := p7.Decrypt(people()[2].cert, people()[2].key)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: opened %d bytes, error %v", size, len(got), err)
		}
	}
}

func TestSMIMEFormIsThatOfOpenssl(t *testing.T) {
	got := string(seal(t, random(500), smime.SMIME, people()[0].cert))
	head, body, _ := strings.Cut(got, "\n\n")
	wantHead, wantBody, _ := strings.Cut(string(vector(t, "cms.p7m")), "\n\n")
	if head != wantHead {
		t.Errorf("headers are\n%s\nopenssl writes\n%s", head, wantHead)
	}
	for form, text := range map[string]string{"ours": body, "openssl": wantBody} {
		lines := strings.Split(text, "\n")
		if n := len(lines); lines[n-1] != "" || lines[n-2] != "" {
			t.Errorf("%s does not end with an empty line", form)
		}
		for i, line := range lines[:len(lines)-3] {
			if len(line) != 64 {
				t.Errorf("%s line %d has %d columns", form, i+1, len(line))
			}
		}
	}
}

func TestDERIsWhatOpensslWritesButForKeysAndText(t *testing.T) {
	openssl := tool(t, "openssl")
	p := people()[0]
	content := random(300)
	structure := func(message []byte) (lines []string) {
		for line := range strings.Lines(string(run(t, message, openssl, "asn1parse", "-inform", "DER"))) {
			line, _, _ = strings.Cut(line, "[HEX DUMP]") // random by nature
			lines = append(lines, line)
		}
		return lines
	}
	want := run(t, content, openssl, "cms", "-encrypt", "-binary", "-aes256", "-outform", "DER", file(t, "cert.pem", p.certPEM))
	w, g := structure(want), structure(seal(t, content, smime.DER, p.cert))
	if strings.Join(g, "\n") != strings.Join(w, "\n") {
		t.Errorf("structure is\n%s\nopenssl writes\n%s", strings.Join(g, "\n"), strings.Join(w, "\n"))
	}
}

func TestSealedSizeIsExact(t *testing.T) {
	for name, encoding := range encodings {
		for n := range 3 {
			for _, size := range append(sizes, 100, 127, 128, 255, 256, rand.IntN(100_000)) {
				certs := certsOf(people()[:n+1])
				want := len(seal(t, make([]byte, size), encoding, certs...))
				got, err := smime.SealedSize(smime.Options{Encoding: encoding, ContentSize: int64(size)}, certs...)
				if err != nil || got != int64(want) {
					t.Errorf("%s, %d bytes, %d recipients: announced %d, wrote %d, error %v", name, size, n+1, got, want, err)
				}
			}
		}
	}
}

func TestFilenameStandsInTheHeaders(t *testing.T) {
	opts := smime.Options{ContentSize: 1, Filename: "interaction-e1-0001.jsonl.zip.p7m"}
	var out bytes.Buffer
	w, err := smime.Encrypt(&out, opts, people()[0].cert)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "x")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), `name="`+opts.Filename+`"`); n != 2 {
		t.Errorf("the name appears %d times, want 2", n)
	}
	if size, err := smime.SealedSize(opts, people()[0].cert); err != nil || size != int64(out.Len()) {
		t.Errorf("announced %d, wrote %d, error %v", size, out.Len(), err)
	}
	for _, bad := range []string{"a b", "a\"b", "a\nb: c", "../a", "ä", strings.Repeat("a", 256)} {
		opts.Filename = bad
		if _, err := smime.Encrypt(io.Discard, opts, people()[0].cert); err == nil {
			t.Errorf("filename %q was accepted", bad)
		}
	}
}

func TestWriterRefusesMoreAndFewerBytesThanAnnounced(t *testing.T) {
	newWriter := func() io.WriteCloser {
		w, err := smime.Encrypt(io.Discard, smime.Options{ContentSize: 10}, people()[0].cert)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := newWriter()
	io.WriteString(w, "123456789")
	if err := w.Close(); !errors.Is(err, smime.ErrSize) {
		t.Errorf("one byte missing: got %v", err)
	}
	if err := w.Close(); !errors.Is(err, smime.ErrSize) {
		t.Errorf("the error did not stay: got %v", err)
	}
	w = newWriter()
	if _, err := io.WriteString(w, "12345678901"); !errors.Is(err, smime.ErrSize) {
		t.Errorf("one byte too many: got %v", err)
	}
	if _, err := io.WriteString(w, "1"); !errors.Is(err, smime.ErrSize) {
		t.Errorf("the error did not stay: got %v", err)
	}
	w = newWriter()
	io.WriteString(w, "1234567890")
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Errorf("closing twice: got %v", err)
	}
	if _, err := w.Write(nil); err == nil {
		t.Error("a write after close was accepted")
	}
}

// fullDisk accepts n bytes.
type fullDisk struct{ n int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.n {
		return 0, syscall.ENOSPC
	}
	d.n -= len(p)
	return len(p), nil
}

func TestFailureOfTheDestinationIsReportedWhereverItHappens(t *testing.T) {
	content := random(200 << 10)
	for name, encoding := range encodings {
		opts := smime.Options{Encoding: encoding, ContentSize: int64(len(content))}
		total, err := smime.SealedSize(opts, people()[0].cert)
		if err != nil {
			t.Fatal(err)
		}
		for _, room := range []int{0, 300, 70 << 10, int(total) - 1} {
			t.Run(fmt.Sprintf("%s, %d bytes of room", name, room), func(t *testing.T) {
				w, err := smime.Encrypt(&fullDisk{room}, opts, people()[0].cert)
				if err == nil {
					_, err = w.Write(content)
					if closeErr := w.Close(); err == nil {
						err = closeErr
					} else if !errors.Is(closeErr, syscall.ENOSPC) {
						t.Errorf("Close forgot the error: %v", closeErr)
					}
				}
				if !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("got %v, want ENOSPC", err)
				}
			})
		}
	}
}

func TestEncryptRefusesToSealForNobody(t *testing.T) {
	if _, err := smime.Encrypt(io.Discard, smime.Options{}); err == nil {
		t.Error("sealed for nobody")
	}
	if _, err := smime.SealedSize(smime.Options{}); err == nil {
		t.Error("sized for nobody")
	}
}
