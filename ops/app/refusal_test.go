package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"cdds/pipeline/smime"
	"cdds/schemas"
)

// certificate makes a self-signed one around any key.
func certificate(t *testing.T, key any, public any, usage x509.KeyUsage, notAfter time.Time) string {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "odd"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: notAfter, KeyUsage: usage,
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "odd"}}, public, key)
	check(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestARequestThatCannotBeGrantedIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	w.publish(interaction("acme", 1))

	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	rsa1024, err := x509.ParsePKCS1PrivateKey(weakKey(t))
	check(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	tomorrow, yesterday := time.Now().Add(24*time.Hour), time.Now().Add(-24*time.Hour)
	_, privateKey, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "secret", Bits: 2048})
	check(t, err)

	for name, c := range map[string]struct {
		change func(*schemas.ExportRequest)
		says   string
	}{
		"the range is empty":     {func(r *schemas.ExportRequest) { r.To = r.From }, "must be before to"},
		"the range is backwards": {func(r *schemas.ExportRequest) { r.From, r.To = r.To, r.From }, "must be before to"},
		"no entity":              {func(r *schemas.ExportRequest) { r.Entity = "" }, "entity"},
		"unknown media type":     {func(r *schemas.ExportRequest) { r.MediaTypes = []string{"telepathy"} }, "telepathy"},
		"no recipient":           {func(r *schemas.ExportRequest) { r.Recipients = nil }, "at least one certificate"},
		"unknown tenant":         {func(r *schemas.ExportRequest) { r.TenantID = "nobody" }, "unknown"},
		"unregistered": {func(r *schemas.ExportRequest) {
			r.Recipients = []schemas.Recipient{{Fingerprint: strings.Repeat("ab", 32)}}
		}, "registered"},
		"a snapshot to come":      {func(r *schemas.ExportRequest) { r.Snapshot = schemas.Snapshot{1 << 40} }, "snapshot"},
		"not a certificate":       {func(r *schemas.ExportRequest) { r.Recipients = []schemas.Recipient{{Certificate: "hello"}} }, "certificate"},
		"a private key":           {func(r *schemas.ExportRequest) { r.Recipients = []schemas.Recipient{{Certificate: string(privateKey)}} }, "private key"},
		"an expired certificate":  {inline(certificate(t, rsa2048, rsa2048.Public(), 0, yesterday)), "expired"},
		"a 1024-bit certificate":  {inline(certificate(t, rsa1024, rsa1024.Public(), 0, tomorrow)), "1024"},
		"an EC certificate":       {inline(certificate(t, ec, ec.Public(), 0, tomorrow)), "RSA"},
		"signature-only key use":  {inline(certificate(t, rsa2048, rsa2048.Public(), x509.KeyUsageDigitalSignature, tomorrow)), "keyEncipherment"},
		"split size of one byte":  {func(r *schemas.ExportRequest) { r.SplitSize = 1 }, "split_size"},
		"media types of contacts": {func(r *schemas.ExportRequest) { r.Entity, r.MediaTypes = "contact", []string{"chat"} }, "contacts have none"},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.request("acme", strings.ReplaceAll(name, " ", "-"))
			c.change(r)
			w.publish(r)
			e := w.await(r.TenantID, r.ExportID)
			if e.State != schemas.Refused || !strings.Contains(strings.ToLower(e.Reason), strings.ToLower(c.says)) {
				t.Errorf("it is %s because %q; want refused, saying %q", e.State, e.Reason, c.says)
			}
			if strings.Contains(e.Reason, "PRIVATE KEY-----") {
				t.Error("the reason repeats the private key")
			}
		})
	}
}

func inline(cert string) func(*schemas.ExportRequest) {
	return func(r *schemas.ExportRequest) { r.Recipients = []schemas.Recipient{{Certificate: cert}} }
}

// weakKey is a 1024-bit RSA key made by openssl: Go makes none that small.
func weakKey(t *testing.T) []byte {
	t.Helper()
	file := t.TempDir() + "/weak.pem"
	output(t, "openssl", "genrsa", "-traditional", "-out", file, "1024")
	content, err := os.ReadFile(file)
	check(t, err)
	block, _ := pem.Decode(content)
	return block.Bytes
}

func TestAnIDUsedAgainForAnotherRequestIsRefusedAndTheExportStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	w.publish(interaction("acme", 1), interaction("acme", 2))
	first := w.request("acme", "same")
	w.publish(first)
	done := w.await("acme", "same")

	other := w.request("acme", "same")
	other.MediaTypes = []string{"chat"}
	w.publish(other)
	e := w.awaitThat("acme", "same", func(e schemas.Export) bool { return len(e.Conflicts) > 0 })
	if e.State != schemas.Completed || e.Done != done.Done {
		t.Errorf("the export is %s with %+v; it was %+v", e.State, e.Done, done.Done)
	}
	if !strings.Contains(e.Conflicts[0].Reason, "already used") || e.Conflicts[0].RequestDigest != other.Digest() {
		t.Errorf("the conflict reads %+v", e.Conflicts[0])
	}

	w.publish(first) // the same request again is no conflict
	w.publish(w.request("acme", "after"))
	w.await("acme", "after")
	if e, _, err := w.ledger.Export(t.Context(), "acme", "same"); err != nil || len(e.Conflicts) != 1 {
		t.Errorf("after the same request again: conflicts %+v, error %v", e.Conflicts, err)
	}
}

func TestARefusalIsFinalForItsID(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	w.publish(w.request("late", "early-bird"))
	if e := w.await("late", "early-bird"); e.State != schemas.Refused {
		t.Fatalf("it is %s", e.State)
	}
	w.publish(interaction("late", 1))
	w.publish(w.request("late", "early-bird"), w.request("late", "second"))
	if e := w.await("late", "second"); e.State != schemas.Completed || e.Done.Rows != 1 {
		t.Errorf("under another id it is %s with %d rows", e.State, e.Done.Rows)
	}
	if e := w.await("late", "early-bird"); e.State != schemas.Refused {
		t.Errorf("asked again it is %s with %d rows, as of before there was anything", e.State, e.Done.Rows)
	}
}

// TestARequestOfAnySizeDoesNotStandInTheWayOfOthers: what is read of a request must
// fit into a status, and what does not fit must not be tried for ever.
func TestARequestOfAnySizeDoesNotStandInTheWayOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	w.publish(interaction("acme", 1))
	for n, size := range []int{700_000, 200_000} { // over the limit of a request, and under it
		id := fmt.Sprint("large-", n)
		w.produce(schemas.TopicExportRequests, []byte("same key"), fmt.Appendf(nil, `{"tenant_id":"acme","export_id":%q,"requested_by":%q}`, id, strings.Repeat("\u2028", size)))
	}
	small := w.request("acme", "small")
	body, err := schemas.Encode(small)
	check(t, err)
	w.produce(schemas.TopicExportRequests, []byte("same key"), body)
	if e := w.await("acme", "small"); e.State != schemas.Completed {
		t.Errorf("the small one is %s", e.State)
	}
	if e := w.await("acme", "large-1"); e.State != schemas.Refused || !strings.Contains(e.Reason, "requested_by") {
		t.Errorf("the large one is %s: %.200s", e.State, e.Reason)
	}
	w.deadLetters(schemas.TopicExportRequests, 1)
}

func TestARequestNobodyCanAnswerIsDeadLettered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("export", "ingest", "history")
	w.produce(schemas.TopicExportRequests, []byte("k"), []byte(`{"tenant_id":"ACME/../x","export_id":"e"}`))
	letter := w.deadLetters(schemas.TopicExportRequests, 1)[0]
	if got := header(letter, schemas.HeaderReason); !strings.Contains(got, "tenant_id") {
		t.Errorf("the reason is %q", got)
	}
}
