package export_test

import (
	"bytes"
	"crypto/rsa"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/receiver"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

func TestTheCipherThatIsAskedForIsUsedStatedAndOpenedByTheReceiver(t *testing.T) {
	both, _ := pair()
	for n, c := range []struct{ cipher, transport, wantCipher, wantTransport string }{
		{"", "", schemas.CipherCBC, schemas.KeyTransportPKCS1},
		{schemas.CipherGCM, "", schemas.CipherGCM, schemas.KeyTransportPKCS1},
		{"", schemas.KeyTransportOAEP, schemas.CipherCBC, schemas.KeyTransportOAEP},
		{schemas.CipherGCM, schemas.KeyTransportOAEP, schemas.CipherGCM, schemas.KeyTransportOAEP},
	} {
		s, id := newScene(pipelinetest.Records(300)...), fmt.Sprint("e", n)
		r := request(id)
		r.Cipher, r.KeyTransport = c.cipher, c.transport
		check(t, s.handle(t.Context(), s.worker(nil, nil), r))
		content, err := s.store.GetBytes(t.Context(), schemas.ExportPrefix(pipelinetest.Tenant, id)+schemas.ManifestName, 1<<20)
		check(t, err)
		m, err := schemas.DecodeManifest(content)
		check(t, err)
		if m.Cipher != c.wantCipher || m.KeyTransport != c.wantTransport {
			t.Errorf("asked for %q and %q, the manifest states %s and %s", c.cipher, c.transport, m.Cipher, m.KeyTransport)
		}
		dir := t.TempDir()
		for _, key := range s.artifacts(id) {
			b, err := s.store.GetBytes(t.Context(), key, 64<<20)
			check(t, err)
			name := strings.TrimPrefix(key, schemas.ExportPrefix(pipelinetest.Tenant, id))
			check(t, os.WriteFile(dir+"/"+name, b, 0o600))
			if gcm := bytes.Contains(b[:min(len(b), 300)], []byte("smime-type=authEnveloped-data")); strings.HasSuffix(name, ".p7m") && gcm != (c.cipher == schemas.CipherGCM) {
				t.Errorf("asked for %q, got\n%s", c.cipher, b[:300])
			}
		}
		key := both.PrivateKey.(*rsa.PrivateKey)
		report, err := receiver.Decrypt(t.Context(), dir, both.Leaf, key, t.TempDir(), receiver.Options{})
		if err != nil || report.Written.Len() != len(m.Parts) {
			t.Errorf("cipher %q, key transport %q: the receiver wrote %d of %d parts, error %v", c.cipher, c.transport, report.Written.Len(), len(m.Parts), err)
		}
		// What names the cipher says the truth: the message opens as what it claims to be.
		part, err := s.store.GetBytes(t.Context(), m.Parts[0].Key, 64<<20)
		check(t, err)
		opened, err := smime.Decrypt(bytes.NewReader(part), both.Leaf, key)
		check(t, err)
		if zipped, err := io.ReadAll(opened); err != nil || int64(len(zipped)) != m.Parts[0].ZipBytes {
			t.Errorf("cipher %q: %d bytes of %d, error %v", c.cipher, len(zipped), m.Parts[0].ZipBytes, err)
		}
	}
}

func TestEveryRefusalOfAControlIsAFactOfItsOwn(t *testing.T) {
	s := newScene(pipelinetest.Records(100)...)
	w := s.worker(nil, nil)
	check(t, s.handle(t.Context(), w, request("e")))
	for n := range 2 {
		r := control(schemas.ActionRetry, "e")
		r.RequestedAt = schemas.TimeOf(pipelinetest.Everything().Filter.To.AddDate(0, 0, n))
		check(t, s.handle(t.Context(), w, r))
		check(t, s.handle(t.Context(), w, r)) // Kafka may hand it over again
	}
	e := schemas.Fold(s.statuses("e")...)
	if e.State != schemas.Completed || len(e.Conflicts) != 2 {
		t.Errorf("it is %s with refusals %+v; each request is to be answered, once", e.State, e.Conflicts)
	}
}
