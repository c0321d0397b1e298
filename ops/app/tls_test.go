package app_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/ops/app"
	"cdds/pipeline/smime"
)

// A certificate is renewed every few weeks; nobody restarts the console for it.
func TestARenewedWebCertificateServesWithoutARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	c := w.config
	c.Web.CertFile, c.Web.KeyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	renew := func(name string) {
		t.Helper()
		cert, key, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: name, Purpose: smime.Signer})
		check(t, err)
		check(t, os.WriteFile(c.Web.CertFile, cert, 0o600))
		check(t, os.WriteFile(c.Web.KeyFile, key, 0o600))
	}
	renew("first")
	log := new(syncBuffer)
	a, err := app.New(app.Options{Config: c, Roles: []string{"web"}, Name: "test", Registry: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(log, nil))})
	check(t, err)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-done)
	})
	served := func() string {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		answer, err := client.Get(a.WebURL() + "/console/sign-in")
		check(t, err)
		defer answer.Body.Close()
		if got := answer.Header.Get("Strict-Transport-Security"); !strings.HasPrefix(got, "max-age=") {
			t.Errorf("Strict-Transport-Security is %q", got)
		}
		return answer.TLS.PeerCertificates[0].Subject.CommonName
	}
	if got := served(); got != "first" {
		t.Errorf("it serves %s", got)
	}
	renew("second")
	if got := served(); got != "second" {
		t.Errorf("it serves %s after the renewal", got)
	}
	check(t, os.WriteFile(c.Web.KeyFile, []byte("half a ke"), 0o600))
	if got := served(); got != "second" || !strings.Contains(log.String(), "cannot be used") {
		t.Errorf("it serves %s while the files do not belong together: %s", got, log)
	}
}
