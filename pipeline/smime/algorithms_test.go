package smime_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"cdds/pipeline/smime"
)

// choices are all ciphers and key transports there are.
func choices() (all []smime.Options) {
	for _, cipher := range []smime.Cipher{smime.AES256CBC, smime.AES256GCM} {
		for _, transport := range []smime.KeyTransport{smime.PKCS1v15, smime.OAEP} {
			all = append(all, smime.Options{Cipher: cipher, KeyTransport: transport})
		}
	}
	return all
}

func sealAs(t testing.TB, content []byte, o smime.Options, to ...person) []byte {
	t.Helper()
	var out bytes.Buffer
	o.ContentSize = int64(len(content))
	w, err := smime.Encrypt(&out, o, certsOf(to)...)
	if err == nil {
		_, err = w.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if size, err := smime.SealedSize(o, certsOf(to)...); err != nil || size != int64(out.Len()) {
		t.Errorf("cipher %d, key transport %d: announced %d, wrote %d, error %v", o.Cipher, o.KeyTransport, size, out.Len(), err)
	}
	return out.Bytes()
}

func TestOpensslOpensEveryCipherAndKeyTransport(t *testing.T) {
	openssl := tool(t, "openssl")
	p := people()[1]
	cert, key := file(t, "cert.pem", p.certPEM), file(t, "key.pem", p.keyPEM)
	for _, o := range choices() {
		for form, encoding := range encodings {
			for _, size := range []int{0, 1, 16, 64<<10 + 1} {
				o.Encoding = encoding
				content := random(size)
				message := sealAs(t, content, o, people()...)
				got := run(t, message, openssl, "cms", "-decrypt", "-binary", "-inform", form, "-recip", cert, "-inkey", key)
				if !bytes.Equal(got, content) {
					t.Errorf("openssl, cipher %d, key transport %d, %s, %d bytes: content differs", o.Cipher, o.KeyTransport, form, size)
				}
				if got, err := open(message, p.cert, p.key); err != nil || !bytes.Equal(got, content) {
					t.Errorf("cipher %d, key transport %d, %s: opened %d bytes of %d, error %v", o.Cipher, o.KeyTransport, form, len(got), size, err)
				}
			}
		}
	}
}

func TestReaderOpensEveryCipherAndKeyTransportOfOpenssl(t *testing.T) {
	openssl := tool(t, "openssl")
	p := people()[0]
	cert := file(t, "cert.pem", p.certPEM)
	content := random(100_000)
	for _, cipher := range []string{"-aes-128-gcm", "-aes-192-gcm", "-aes-256-gcm", "-aes-256-cbc"} {
		for _, oaep := range [][]string{nil, {"oaep"}, {"oaep", "sha256", "sha256"}, {"oaep", "sha256", "sha1"}, {"oaep", "sha512", "sha384"}} {
			for _, stream := range []bool{false, true} {
				args := []string{"cms", "-encrypt", "-binary", "-outform", "DER", cipher, "-recip", cert}
				for n, option := range oaep {
					args = append(args, "-keyopt", []string{"rsa_padding_mode:", "rsa_oaep_md:", "rsa_mgf1_md:"}[n]+option)
				}
				if stream {
					args = append(args, "-stream")
				}
				got, err := open(run(t, content, openssl, args...), p.cert, p.key)
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("%s %v stream=%v: opened %d bytes, error %v", cipher, oaep, stream, len(got), err)
				}
			}
		}
	}
}

// The hashes of OAEP have NULL as parameters, as RFC 4055 section 2.1 says; openssl
// leaves it out, and readers take both.
func TestAuthenticatedFormIsWhatOpensslWritesButForNulls(t *testing.T) {
	openssl := tool(t, "openssl")
	p := people()[0]
	cert := file(t, "cert.pem", p.certPEM)
	content := random(300)
	o := smime.Options{Cipher: smime.AES256GCM, KeyTransport: smime.OAEP, Encoding: smime.DER}
	shape := regexp.MustCompile(`(prim|cons): .*`)
	structure := func(message []byte) (lines []string) {
		for line := range strings.Lines(string(run(t, message, openssl, "asn1parse", "-inform", "DER"))) {
			line, _, _ = strings.Cut(line, "[HEX DUMP]") // random by nature
			// The NULLs move offsets and lengths.
			if line = shape.FindString(line); !strings.Contains(line, "NULL") {
				lines = append(lines, line)
			}
		}
		return lines
	}
	args := []string{"cms", "-encrypt", "-binary", "-aes-256-gcm", "-recip", cert,
		"-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256", "-keyopt", "rsa_mgf1_md:sha256"}
	w, g := structure(run(t, content, openssl, append(args, "-outform", "DER")...)), structure(sealAs(t, content, o, p))
	if strings.Join(g, "\n") != strings.Join(w, "\n") {
		t.Errorf("structure is\n%s\nopenssl writes\n%s", strings.Join(g, "\n"), strings.Join(w, "\n"))
	}
	o.Encoding = smime.SMIME
	want, _, _ := strings.Cut(string(run(t, content, openssl, append(args, "-outform", "SMIME")...)), "\n\n")
	if got, _, _ := strings.Cut(string(sealAs(t, content, o, p)), "\n\n"); got != want {
		t.Errorf("headers are\n%s\nopenssl writes\n%s", got, want)
	}
}

func TestAChangeAnywhereInAuthenticatedContentGivesOutNothing(t *testing.T) {
	p := people()[0]
	content := random(200)
	message := sealAs(t, content, smime.Options{Cipher: smime.AES256GCM, Encoding: smime.DER}, p)
	// The content, then the MAC with its two octets of tag and length.
	for i := len(message) - len(content) - 18; i < len(message); i++ {
		changed := bytes.Clone(message)
		changed[i] ^= 1 << (i % 8)
		got, err := open(changed, p.cert, p.key)
		if !errors.Is(err, smime.ErrDecrypt) && !errors.Is(err, smime.ErrMalformed) || len(got) > 0 {
			t.Fatalf("byte %d of %d: opened %d bytes, error %v", i, len(message), len(got), err)
		}
	}
	openssl := tool(t, "openssl")
	changed := bytes.Clone(message)
	changed[len(changed)-100] ^= 1
	cert, key := file(t, "cert.pem", p.certPEM), file(t, "key.pem", p.keyPEM)
	if err := command(t, changed, openssl, "cms", "-decrypt", "-binary", "-inform", "DER", "-recip", cert, "-inkey", key); err == nil {
		t.Error("openssl did not notice either")
	}
}

func TestAWrongContentKeyUnderOAEPLooksLikeAnyOtherDamage(t *testing.T) {
	p := people()[0]
	message := sealAs(t, random(1000), smime.Options{Encoding: smime.DER, KeyTransport: smime.OAEP}, p)
	i := bytes.Index(message, []byte{0x04, 0x82, 0x01, 0x00}) // encryptedKey
	message[i+200] ^= 1
	if _, err := open(message, p.cert, p.key); err != smime.ErrDecrypt {
		t.Errorf("got %v", err)
	}
}

func TestWhatCannotBeHeldInMemoryIsNotSealedAuthenticated(t *testing.T) {
	for _, o := range []smime.Options{
		{Cipher: smime.AES256GCM, ContentSize: smime.MaxGCMContent + 1}, {Cipher: 7}, {KeyTransport: 7},
	} {
		if _, err := smime.Encrypt(io.Discard, o, people()[0].cert); err == nil {
			t.Errorf("%+v was accepted", fmt.Sprint(o))
		}
	}
}
