package app_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cdds/ops/api/client"
	"cdds/ops/cli"
	"cdds/ops/config"
	"cdds/ops/connect"
)

// storeAt is another address of the store. It passes requests on, with the Host header or not,
// and refuses a link that comes with other credentials, as S3 does and versitygw does not.
func storeAt(t *testing.T, endpoint string, keepHost bool) string {
	t.Helper()
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: endpoint})
		if keepHost {
			r.Out.Host = r.In.Host
		}
	}}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			http.Error(w, "<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>", http.StatusBadRequest)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// TestDownloadsByLinkComeFromThePublicAddressOfTheStore has a site whose store people reach at
// another address than CDDS does: at another port of the same host, where net/http would send
// the token of the API, too, which no store takes beside a link.
func TestDownloadsByLinkComeFromThePublicAddressOfTheStore(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, []string{"ingest", "export", "history", "erasure", "web"}, func(c *config.Config) {
		c.Web.Links, c.S3.PublicURL = true, storeAt(t, c.S3.Endpoint, true)
	})
	acme := s.as("administrator", "acme")
	made := s.furnish(acme)
	_, header, _ := acme.send("GET", "/exports/done/artifacts/"+made["part"], nil)
	if !strings.HasPrefix(header.Get("Location"), s.config.S3.PublicURL+"/cdds/") {
		t.Errorf("the download leads to %s", header.Get("Location"))
	}
	program, err := client.New(s.url, acme.token)
	check(t, err)
	file, err := program.Fetch(t.Context(), "acme", "done", made["part"])
	check(t, err)
	defer file.Close()
	got, err := io.ReadAll(file)
	check(t, err)
	part := s.await("acme", "done").Parts[0]
	stored, err := s.bucket.OpenRange(t.Context(), part.Key)
	check(t, err)
	defer stored.Close()
	want, err := io.ReadAll(stored)
	check(t, err)
	if !bytes.Equal(got, want) || len(want) < 1000 {
		t.Errorf("%d bytes were fetched of %d", len(got), len(want))
	}

	c := s.config
	yaml := filepath.Join(t.TempDir(), "cdds.yaml")
	check(t, os.WriteFile(yaml, fmt.Appendf(nil, "kafka: {brokers: ['%s']}\nclickhouse: {addr: ['%s'], username: '%s', password: '%s', database: '%s'}\n"+
		"s3: {endpoint: '%s', access_key: '%s', secret_key: '%s', bucket: '%s', attachments_bucket: '%s', region: '%s', public_url: '%s'}\nweb: {links: true}\n",
		c.Kafka.Brokers[0], c.ClickHouse.Addr[0], c.ClickHouse.Username, c.ClickHouse.Password.Reveal(), c.ClickHouse.Database,
		c.S3.Endpoint, c.S3.AccessKey, c.S3.SecretKey.Reveal(), c.S3.Bucket, c.S3.AttachmentsBucket, c.S3.Region, c.S3.PublicURL), 0o600))
	var out bytes.Buffer
	if cli.Main([]string{"--config", yaml, "doctor", "--roles", "web"}, strings.NewReader(""), &out, &out); !strings.Contains(out.String(), "links to artifacts lead to the store, which accepts them") {
		t.Errorf("doctor says %s", out.String())
	}
	for at, says := range map[string]string{
		storeAt(t, c.S3.Endpoint, false): "does not accept the signature of a link: a proxy there must pass on the Host header",
		"http://127.0.0.1:1":             "http://127.0.0.1:1, where links lead, does not answer",
		s.url:                            "answers 404 Not Found, and not as an object store does; see s3.public_url",
		"https://" + s.url[7:]:           "does not answer",
	} {
		c.S3.PublicURL = at
		b, err := connect.Bucket(c.S3)
		check(t, err)
		if err := connect.CheckLinks(t.Context(), b, c.S3); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("of links to %s: %v, want %q", at, err, says)
		}
	}
}
