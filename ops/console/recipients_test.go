package console_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"cdds/schemas"
)

// certificates registers many certificates, all of one key: Team 0000, Team 0001 and so on.
func (d *desk) certificates(n int) (fingerprints []string) {
	d.t.Helper()
	now := schemas.TimeOf(time.Date(2026, 11, 1, 11, 59, 0, 0, time.UTC))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(d.t, err)
	for n := range n {
		issued := &x509.Certificate{SerialNumber: big.NewInt(int64(n)), Subject: pkix.Name{CommonName: fmt.Sprintf("%06d-%s", n, strings.Repeat("x", 40))}, NotBefore: now.Time, NotAfter: now.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageKeyEncipherment}
		der, err := x509.CreateCertificate(rand.Reader, issued, issued, &key.PublicKey, key)
		check(d.t, err)
		parsed, err := x509.ParseCertificate(der)
		check(d.t, err)
		certificate := schemas.NewCertificate(d.who.Tenant, parsed, "ada", now)
		certificate.Name = fmt.Sprintf("Team %04d", n)
		d.define(certificate)
		fingerprints = append(fingerprints, certificate.Fingerprint)
	}
	return fingerprints
}

// offered are the recipients that a form offers, and how many of them are ticked.
func offered(page string) (all, ticked int) {
	return strings.Count(page, `name="recipients"`), strings.Count(page, `" checked> <span>Team`)
}

func TestARecipientIsFoundAmongAThousandWithoutJavaScript(t *testing.T) {
	d := newDesk(t, "thousand", 0, 0)
	fingerprints := d.certificates(1000)
	for path, post := range map[string]string{"/jobs/new": "/jobs", "/exports/new": "/exports", "/privacy/access": "/privacy/access"} {
		page := d.get(path)
		if all, ticked := offered(page); all != 20 || ticked != 0 || !strings.Contains(page, "980 more certificates") {
			t.Errorf("%s offers %d certificates, %d ticked:\n%s", path, all, ticked, page)
		}
		form := d.fields(page)
		form.Set("title", "Half filled in") // of the forms that have one
		form.Set("retention_days", "12")
		form.Set("recipients", fingerprints[42])
		form.Set("then", "find")
		form.Set("find", "team 0777")
		page = d.send(post, form)
		all, ticked := offered(page)
		if all != 2 || ticked != 1 || !strings.Contains(page, "Team 0042") || !strings.Contains(page, "Team 0777") {
			t.Errorf("%s offers %d certificates, %d ticked, for a search:\n%s", post, all, ticked, page)
		}
		if kept := d.fields(page); kept.Get("retention_days") != "12" || kept.Get("find") != "team 0777" || kept.Get("recipients") != fingerprints[42] {
			t.Errorf("after a search %s holds %v", post, kept)
		}
		if len(d.asked.exports) != 0 || strings.Contains(page, "Please fix") {
			t.Errorf("%s does something, or complains, when somebody only searches:\n%s", post, page)
		}
		form.Set("find", "nobody of that name")
		if all, _ := offered(d.send(post, form)); all != 1 {
			t.Errorf("%s offers %d certificates where none fits but the one that is chosen", post, all)
		}
	}

	d.define(schemas.Job{
		TenantID: "thousand", JobID: "two", Title: "For two", Entity: schemas.EntityInteraction, State: schemas.JobActive, Schedule: schemas.Schedule{Run: schemas.RunDaily},
		Timeframe: schemas.Timeframe{Kind: schemas.TimeframeAll}, Recipients: []string{fingerprints[42], fingerprints[777]},
	}.Revised(nil, "ada", schemas.TimeOf(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC))))
	if all, ticked := offered(d.get("/jobs/two/edit")); all != 22 || ticked != 2 {
		t.Errorf("the editor of a job for two offers %d certificates, %d ticked", all, ticked)
	}
}

func TestCertificatesAreSearchedByNameSubjectAndFingerprint(t *testing.T) {
	d := newDesk(t, "searched", 0, 0)
	fingerprints := d.certificates(60)
	asOpenssl := strings.ToUpper(fingerprints[7][:2] + ":" + fingerprints[7][2:4] + ":" + fingerprints[7][4:8])
	for search, want := range map[string]int{"TEAM 0007": 1, "000007-xx": 1, fingerprints[7]: 1, asOpenssl: 1, "no such": 0, "": 50} {
		page := d.get("/certificates?q=" + url.QueryEscape(search))
		if got := strings.Count(page, "Team 0"); got != want || want == 1 && !strings.Contains(page, "Team 0007") {
			t.Errorf("the search for %q finds %d certificates, want %d", search, got, want)
		}
	}
}

func TestWhatIsTickedStaysWhileAnotherRecipientIsSearched(t *testing.T) {
	d := newDesk(t, "ticked", 0, 0)
	fingerprints := d.certificates(60)
	b := browse(t, d)
	var chosen []string
	box := func(n int) string { return fmt.Sprintf(`#offered input[value="%s"]`, fingerprints[n]) }
	b.do(chromedp.Navigate(b.url+"/exports/new"), chromedp.Evaluate(`document.querySelector("#days").value = "9"`, nil), chromedp.SendKeys("#find", "team 0042"), chromedp.WaitVisible(box(42)), chromedp.Click(box(42)),
		chromedp.Evaluate(`document.querySelector("#find").value = ""`, nil), chromedp.SendKeys("#find", "team 0057"), chromedp.WaitVisible(box(57)), chromedp.Click(box(57)),
		chromedp.Evaluate(`[...document.querySelectorAll("#offered input:checked")].map((e) => e.value)`, &chosen))
	if !slices.Equal(chosen, []string{fingerprints[42], fingerprints[57]}) {
		t.Errorf("chosen are %v", chosen)
	}
	var days string
	b.do(chromedp.Value("#days", &days))
	if days != "9" || len(d.asked.exports) != 0 {
		t.Errorf("after a search the days are %q, and %d exports were requested", days, len(d.asked.exports))
	}
}
