package smime_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"path/filepath"
	"testing"

	"cdds/pipeline/smime"
)

// Run these with -fuzzminimizetime=1x: by default the engine spends most of a
// minute shrinking the first inputs it finds, and tries few others.

// Opening what was sealed gives back the content, in whatever pieces it was
// written.
func FuzzDecryptUndoesEncrypt(f *testing.F) {
	f.Add([]byte(nil), uint16(1), false, false, false)
	f.Add([]byte("sixteen bytes ok"), uint16(16), true, true, false)
	f.Add(bytes.Repeat([]byte("0123456789"), 7000), uint16(4097), false, false, true)
	f.Add(bytes.Repeat([]byte("0123456789"), 7000), uint16(4097), true, true, true)
	cert, key := alice(f)
	f.Fuzz(func(t *testing.T, content []byte, piece uint16, der, gcm, oaep bool) {
		opts := smime.Options{ContentSize: int64(len(content))}
		if gcm {
			opts.Cipher = smime.AES256GCM
		}
		if oaep {
			opts.KeyTransport = smime.OAEP
		}
		if der {
			opts.Encoding = smime.DER
		}
		var message bytes.Buffer
		w, err := smime.Encrypt(&message, opts, cert)
		if err != nil {
			t.Fatal(err)
		}
		for rest := content; len(rest) > 0; {
			n := min(len(rest), int(piece)+1)
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if size, err := smime.SealedSize(opts, cert); err != nil || size != int64(message.Len()) {
			t.Fatalf("announced %d bytes, wrote %d, error %v", size, message.Len(), err)
		}
		got, err := open(message.Bytes(), cert, key)
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("opened %d bytes of %d, error %v", len(got), len(content), err)
		}
	})
}

// Whatever the bytes, Decrypt returns, and never more than came in.
func FuzzDecrypt(f *testing.F) {
	addVectors(f, "*.der", "*.p7m")
	cert, key := alice(f)
	f.Fuzz(func(t *testing.T, message []byte) {
		r, err := smime.Decrypt(bytes.NewReader(message), cert, key)
		if err != nil {
			return
		}
		if n, _ := io.Copy(io.Discard, r); n > int64(len(message)) {
			t.Fatalf("%d bytes came out of %d", n, len(message))
		}
	})
}

// What is accepted is at least one certificate, and no file that holds a PEM
// private key is accepted whatever surrounds it.
func FuzzParseRecipients(f *testing.F) {
	addVectors(f, "*.crt", "*.key", "*.der")
	pair, err := tls.LoadX509KeyPair("testdata/test-only-alice.crt", "testdata/test-only-alice.key")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pair.Leaf.Raw)
	key := vector(f, "test-only-alice.key")
	f.Fuzz(func(t *testing.T, data []byte) {
		certs, err := smime.ParseRecipients(data)
		if (err == nil) != (len(certs) > 0) {
			t.Fatalf("%d certificates, error %v", len(certs), err)
		}
		for _, cert := range certs {
			if again, err := smime.ParseRecipients(cert.Raw); err != nil || !again[0].Equal(cert) {
				t.Fatalf("a certificate it returned is not one: %v", err)
			}
		}
		for _, with := range [][]byte{append(bytes.Clone(key), data...), append(bytes.Clone(data), key...)} {
			if _, err := smime.ParseRecipients(with); err != smime.ErrPrivateKey {
				t.Fatalf("a private key passed: %v", err)
			}
		}
	})
}

// Whatever the bytes, Verify returns.
func FuzzVerify(f *testing.F) {
	f.Add(sign(f, manifest, signer()))
	f.Fuzz(func(t *testing.T, signature []byte) {
		if cert, err := smime.Verify(manifest, signature); (err == nil) != (cert != nil) {
			t.Fatalf("certificate %v, error %v", cert, err)
		}
	})
}

// addVectors seeds with files of testdata, of which there must be some.
func addVectors(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		names, err := filepath.Glob(filepath.Join("testdata", pattern))
		if err != nil || len(names) == 0 {
			f.Fatalf("no seeds match %s: %v", pattern, err)
		}
		for _, name := range names {
			f.Add(vector(f, filepath.Base(name)))
		}
	}
}
