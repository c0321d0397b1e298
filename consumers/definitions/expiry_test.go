package definitions_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"cdds/consumers"
	"cdds/consumers/definitions"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

func TestMetricsSayWhenTheCertificatesOfATenantEnd(t *testing.T) {
	at := now.Time
	reg := prometheus.NewRegistry()
	d, err := definitions.New(definitions.Options{Log: new(consumers.Replica), Registerer: reg, Now: func() time.Time { return at }})
	check(t, err)
	apply := func(c schemas.Certificate) {
		t.Helper()
		value, err := schemas.Encode(&c)
		check(t, err)
		d.Apply(schemas.TopicCertificates, []byte(c.Key()), value)
	}
	const day = 24 * time.Hour
	with := func(tenant string, left time.Duration, change func(*schemas.Certificate)) {
		t.Helper()
		began := at.Add(-10 * day)
		text, _, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "receiver", Bits: 2048, NotBefore: began, Validity: 10*day + left})
		check(t, err)
		block, _ := pem.Decode(text)
		cert, err := x509.ParseCertificate(block.Bytes)
		check(t, err)
		c := *schemas.NewCertificate(tenant, cert, "ada", now)
		if change != nil {
			change(&c)
		}
		apply(c)
	}
	with("acme", 400*day, nil)
	with("acme", 20*day, nil)
	with("acme", -day, func(c *schemas.Certificate) { c.Removed = true })
	with("acme", 3*day, func(c *schemas.Certificate) { c.ReplacedBy = strings.Repeat("ab", 32) })
	with("globex", 80*day, nil)
	want := func(first string, counts map[string]int) {
		t.Helper()
		w := httptest.NewRecorder()
		promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		var got []string
		for line := range strings.Lines(w.Body.String()) {
			if strings.HasPrefix(line, "cdds_recipient_") {
				got = append(got, line)
			}
		}
		for left, n := range counts {
			first += fmt.Sprintf("cdds_recipient_certificates{left=%q} %d\n", left, n)
		}
		wanted := slices.Sorted(strings.Lines(first))
		if slices.Sort(got); !slices.Equal(got, wanted) {
			t.Errorf("got %q, want %q", got, wanted)
		}
	}
	first := fmt.Sprintf("cdds_recipient_certificate_expiry_timestamp_seconds{tenant=\"acme\"} %v\ncdds_recipient_certificate_expiry_timestamp_seconds{tenant=\"globex\"} %v\n",
		float64(at.Add(20*day).Unix()), float64(at.Add(80*day).Unix()))
	want(first, map[string]int{"ended": 0, "7d": 0, "30d": 1, "90d": 1, "later": 1})
	at = at.Add(21 * day) // nothing happens but time
	want(first, map[string]int{"ended": 1, "7d": 0, "30d": 0, "90d": 1, "later": 1})
}
