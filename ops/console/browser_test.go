package console_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"cdds/ops/console"
	"cdds/schemas"
)

// browser is Chromium on the desk's pages.
type browser struct {
	t      *testing.T
	ctx    context.Context
	url    string
	posted atomic.Int32 // forms that reached the server
}

func browse(t *testing.T, d *desk) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no Chromium to look at the console with: `ops/tools/install chromium` installs it where apt can")
	}
	b := &browser{t: t}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			b.posted.Add(1)
		}
		d.handler.ServeHTTP(w, r)
	}))
	t.Cleanup(site.Close)
	b.url = site.URL + console.Prefix
	ctx, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU)...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // of events it does not know; what fails is returned
	t.Cleanup(stop)
	b.ctx, stop = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(stop)
	return b
}

func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	check(b.t, chromedp.Run(b.ctx, actions...))
}

func TestAPrivateKeyNeverLeavesTheBrowser(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	encrypted, err := asn1.Marshal(struct {
		Cipher pkix.AlgorithmIdentifier
		Key    []byte
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}}, pkcs8})
	check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Archive"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	asPEM := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }

	b := browse(t, newDesk(t, "keys", 0, 0))
	file := filepath.Join(t.TempDir(), "chosen")
	for kind, content := range map[string][]byte{
		"PEM": asPEM("PRIVATE KEY", pkcs8), "PKCS#1 DER": x509.MarshalPKCS1PrivateKey(key), "PKCS#8 DER": pkcs8, "encrypted DER": encrypted,
		"certificate and key": append(asPEM("CERTIFICATE", cert), asPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))...),
	} {
		check(t, os.WriteFile(file, content, 0o600))
		var said string
		var left int
		b.do(chromedp.Navigate(b.url+"/certificates"), chromedp.SetUploadFiles("#file", []string{file}), chromedp.Click("form.editor button.main"),
			chromedp.Text(".problems", &said), chromedp.Evaluate(`document.querySelector("#file").files.length`, &left))
		if !strings.Contains(said, "private key") || left != 0 {
			t.Errorf("%s: the page says %q and keeps %d files", kind, said, left)
		}
	}
	var said string
	b.do(chromedp.Navigate(b.url+"/certificates"), chromedp.SetValue("#pem", string(asPEM("EC PRIVATE KEY", pkcs8))), chromedp.Click("form.editor button.main"), chromedp.Text(".problems", &said))
	if n := b.posted.Load(); n != 0 || !strings.Contains(said, "private key") {
		t.Errorf("%d forms with a private key were sent; of a pasted one the page says %q", n, said)
	}

	for _, content := range [][]byte{cert, asPEM("CERTIFICATE", cert)} { // what the server makes of it is another test
		check(t, os.WriteFile(file, content, 0o600))
		before := b.posted.Load()
		b.do(chromedp.Navigate(b.url+"/certificates"), chromedp.SetUploadFiles("#file", []string{file}))
		_, err := chromedp.RunResponse(b.ctx, chromedp.Click("form.editor button.main"))
		check(t, err)
		if n := b.posted.Load() - before; n != 1 {
			t.Errorf("a certificate is sent %d times, want once", n)
		}
	}
}

func TestADialogAsksBeforeAJobIsDeleted(t *testing.T) {
	b := browse(t, newDesk(t, "ask", 0, 1))
	var focused string
	ask := `form[data-ask] button`
	b.do(chromedp.Navigate(b.url+"/jobs/job-000"), chromedp.Click(ask), chromedp.WaitVisible("dialog"), chromedp.Evaluate(`document.activeElement.textContent`, &focused),
		chromedp.Click("dialog button:first-child"), chromedp.WaitNotPresent("dialog"))
	if n := b.posted.Load(); n != 0 || focused != "Cancel" {
		t.Errorf("cancelled, and %d forms were sent; the focus was on %q", n, focused)
	}
	b.do(chromedp.Click(ask), chromedp.WaitVisible("dialog"))
	_, err := chromedp.RunResponse(b.ctx, chromedp.Click("dialog .danger"))
	check(t, err)
	if n := b.posted.Load(); n != 1 {
		t.Errorf("confirmed, and %d forms were sent, want 1", n)
	}
}

func TestAFormWithAFileSaysWhichButtonWasPressed(t *testing.T) {
	d := newDesk(t, "pressed", 0, 0)
	d.store("ann")
	d.certificate("a")
	b := browse(t, d)
	var rows string
	b.do(chromedp.Navigate(b.url+"/privacy/access"), chromedp.SendKeys("#ids", "ann"), chromedp.SendKeys("#reason", "case 4711"), chromedp.Click("button[value=estimate]"),
		chromedp.WaitVisible("#estimate .figure"), chromedp.Text("#estimate .figure", &rows))
	if n := len(d.asked.exports); n != 0 || rows != "1 row" {
		t.Errorf("an estimate says %q and requests %d exports", rows, n)
	}
	b.do(chromedp.Navigate(b.url + "/certificates"))
	_, err := chromedp.RunResponse(b.ctx, chromedp.Click("form.editor button.main")) // nothing is given: the server says so
	check(t, err)
}

func TestATenantIsFoundByTypingPartOfItAndChosen(t *testing.T) {
	d := newDesk(t, "chosen", 0, 0)
	d.who.Tenant = schemas.AllTenants
	var all []schemas.Export
	for n := range 40 {
		all = append(all, schemas.Export{TenantID: fmt.Sprintf("typed-%02d", n), ExportID: "e", State: schemas.Completed, Events: 1})
	}
	d.save(all...)
	b := browse(t, d)
	var offered, focused, shown string
	b.do(chromedp.Navigate(b.url+"/access"), chromedp.Click("#picker summary"), chromedp.WaitVisible("#found li"), chromedp.Evaluate("document.activeElement.id", &focused),
		chromedp.Evaluate(`document.querySelectorAll("#found li").length + " and " + document.querySelectorAll("#found a").length`, &offered))
	if focused != "tenant" || offered != "9 and 1" { // all tenants, eight, and the next page
		t.Errorf("the menu begins at %q and offers %s", focused, offered)
	}
	b.do(chromedp.SendKeys("#tenant", "D-17"), chromedp.WaitNotPresent(`#found button[value="*"]`), chromedp.Text("#found", &offered))
	if strings.TrimSpace(offered) != "typed-17" {
		t.Errorf("of what contains D-17 the menu offers %q", offered)
	}
	_, err := chromedp.RunResponse(b.ctx, chromedp.Click(`#found button`))
	check(t, err)
	b.do(chromedp.Text("#picker summary .tenant", &shown))
	if shown != "typed-17" {
		t.Errorf("the page is about %q", shown)
	}
}
