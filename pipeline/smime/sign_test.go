package smime_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"cdds/pipeline/smime"

	"github.com/smallstep/pkcs7"
)

var manifest = []byte("{\n  \"export_id\": \"e1\",\r\n  \"parts\": []\n}\n")

func sign(t testing.TB, content []byte, p person) []byte {
	t.Helper()
	signature, err := smime.Sign(content, p.cert, p.key)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func TestVerifyReturnsTheSignerAndThePinIsCompared(t *testing.T) {
	s := signer()
	got, err := smime.Verify(manifest, sign(t, manifest, s))
	if err != nil || !got.Equal(s.cert) {
		t.Fatalf("signer %v, error %v", got, err)
	}
	if err := smime.CheckSigner(got, people()[0].cert, s.cert); err != nil {
		t.Error(err)
	}
	err = smime.CheckSigner(got, people()[0].cert)
	if !errors.Is(err, smime.ErrUntrusted) || !strings.Contains(err.Error(), smime.Fingerprint(s.cert)) {
		t.Errorf("got %v, want %v with the fingerprint", err, smime.ErrUntrusted)
	}
	if err := smime.CheckSigner(got); !errors.Is(err, smime.ErrUntrusted) {
		t.Errorf("no pin: got %v", err)
	}
}

func TestOpensslVerifiesWhatIsSigned(t *testing.T) {
	openssl := tool(t, "openssl")
	s := signer()
	signature := sign(t, manifest, s)
	args := []string{"-verify", "-binary", "-inform", "DER", "-in", file(t, "s.p7s", signature),
		"-content", file(t, "manifest", manifest), "-CAfile", file(t, "ca.pem", s.certPEM)}
	for _, command := range []string{"cms", "smime"} {
		if got := run(t, nil, openssl, append([]string{command}, args...)...); !bytes.Equal(got, manifest) {
			t.Errorf("openssl %s: content differs", command)
		}
	}
	text := string(run(t, signature, openssl, "cms", "-cmsout", "-print", "-inform", "DER"))
	if !strings.Contains(text, "sha256") || strings.Contains(text, "sha1 ") {
		t.Error("the digest is not SHA-256")
	}
}

func TestVerifyReadsWhatOpensslSigned(t *testing.T) {
	openssl := tool(t, "openssl")
	s := signer()
	cert, key := file(t, "cert.pem", s.certPEM), file(t, "key.pem", s.keyPEM)
	by := func(extra ...string) []byte {
		args := []string{"cms", "-sign", "-binary", "-outform", "DER", "-signer", cert, "-inkey", key}
		return run(t, manifest, openssl, append(args, extra...)...)
	}
	if got, err := smime.Verify(manifest, by("-md", "sha256")); err != nil || !got.Equal(s.cert) {
		t.Errorf("signer %v, error %v", got, err)
	}
	for name, signature := range map[string][]byte{
		"SHA-1":                by("-md", "sha1"),
		"no signed attributes": by("-md", "sha256", "-noattr"),
		"not detached":         by("-md", "sha256", "-nodetach"),
		"no certificate":       by("-md", "sha256", "-nocerts"),
		"not DER":              by("-md", "sha256", "-stream", "-nodetach"),
	} {
		if _, err := smime.Verify(manifest, signature); !errors.Is(err, smime.ErrSignature) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestVerifyRefusesChangedContentAndSignature(t *testing.T) {
	signature := sign(t, manifest, signer())
	if _, err := smime.Verify(append(bytes.Clone(manifest), ' '), signature); !errors.Is(err, smime.ErrSignature) {
		t.Errorf("a byte more: got %v", err)
	}
	for i := range signature {
		if _, err := smime.Verify(manifest, signature[:i]); !errors.Is(err, smime.ErrSignature) {
			t.Fatalf("cut to %d bytes: got %v", i, err)
		}
		changed := bytes.Clone(signature)
		changed[i] ^= 0x11
		// A flip in what nobody relies on, such as the NULL after an
		// algorithm, may go unnoticed; a signer other than the one may not.
		if cert, err := smime.Verify(manifest, changed); err == nil && smime.CheckSigner(cert, signer().cert) == nil {
			if _, err := smime.Verify([]byte("{}"), changed); err == nil {
				t.Fatalf("byte %d: another content verifies", i)
			}
		} else if err != nil && !errors.Is(err, smime.ErrSignature) {
			t.Fatalf("byte %d: got %v", i, err)
		}
	}
}

func TestVerifyBoundsWhatItReads(t *testing.T) {
	deep := []byte{0x30, 0}
	for range 40 {
		deep = append([]byte{0x30, byte(len(deep))}, deep...)
	}
	for name, signature := range map[string][]byte{
		"nothing":    nil,
		"deep":       deep,
		"indefinite": bytes.Repeat([]byte{0x30, 0x80}, 10000),
		"large":      make([]byte, 1<<20),
	} {
		if _, err := smime.Verify(manifest, signature); !errors.Is(err, smime.ErrSignature) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The library signs only content that it holds, twice; a manifest may be too large for that.
func TestASignatureIsTheOneThatTheLibraryMakesOfTheWholeContent(t *testing.T) {
	s := signer()
	for range 10 { // until both say the same second
		ours := sign(t, manifest, s)
		signed, err := pkcs7.NewSignedData(manifest)
		if err != nil {
			t.Fatal(err)
		}
		signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
		if err := signed.AddSigner(s.cert, s.key, pkcs7.SignerInfoConfig{}); err != nil {
			t.Fatal(err)
		}
		signed.Detach()
		theirs, err := signed.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(ours, theirs) {
			return
		}
	}
	t.Error("no signature equals the library's")
}

func TestVerifyHoldsNothingOfTheContentAndSaysHowReadingItFailed(t *testing.T) {
	s := signer()
	if got, err := smime.VerifyFrom(iotest.OneByteReader(bytes.NewReader(manifest)), sign(t, manifest, s)); err != nil || !got.Equal(s.cert) {
		t.Errorf("signer %v, error %v", got, err)
	}
	if _, err := smime.VerifyFrom(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(manifest))), sign(t, manifest, s)); !errors.Is(err, iotest.ErrTimeout) || errors.Is(err, smime.ErrSignature) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

func TestSignRefusesAnothersKey(t *testing.T) {
	if _, err := smime.Sign(manifest, signer().cert, people()[0].key); !errors.Is(err, smime.ErrKeyMismatch) {
		t.Errorf("got %v", err)
	}
}
