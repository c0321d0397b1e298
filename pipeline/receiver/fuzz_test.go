package receiver_test

import (
	"crypto/rsa"
	"crypto/tls"
	"path/filepath"
	"testing"

	"cdds/pipeline/receiver"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

// To fuzz, add -fuzzminimizetime=1x: as it is, the engine spends most of a minute
// shrinking the first inputs it finds, and tries few others.

// Whatever the bytes: a manifest counts only if it is the very one that was signed.
func FuzzManifest(f *testing.F) {
	// A key from a file, because the engine's workers are processes of their own.
	pair, err := tls.LoadX509KeyPair("../smime/testdata/test-only-alice.crt", "../smime/testdata/test-only-alice.key")
	if err != nil {
		f.Fatal(err)
	}
	const manifest = `{"version":1,"tenant_id":"acme","export_id":"x1","filter":{"entity":"contact"},"totals":{}}`
	signature, err := smime.Sign([]byte(manifest), pair.Leaf, pair.PrivateKey.(*rsa.PrivateKey))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(manifest), signature)
	f.Add([]byte(manifest+"\n"), signature)
	f.Add([]byte(manifest), signature[:len(signature)/2])
	f.Add([]byte("{}"), signature)
	f.Add([]byte(nil), []byte(nil))
	dir, pin := f.TempDir(), receiver.Options{Fingerprints: []string{smime.Fingerprint(pair.Leaf)}}
	f.Fuzz(func(t *testing.T, m, s []byte) {
		put(t, filepath.Join(dir, schemas.ManifestName), m)
		put(t, filepath.Join(dir, schemas.SignatureName), s)
		r, err := receiver.Verify(t.Context(), dir, pin)
		if err != nil && violations(err) == nil {
			t.Fatalf("error = %v, want violations", err)
		}
		if (err == nil) != (r.Manifest != nil) || err == nil && string(m) != manifest {
			t.Fatalf("accepted %q, error %v", m, err)
		}
		if err != nil && string(m) == manifest && string(s) == string(signature) {
			t.Fatal(err)
		}
	})
}
