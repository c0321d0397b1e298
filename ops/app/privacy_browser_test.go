package app_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"cdds/ops/api"
	"cdds/ops/config"
	"cdds/schemas"
)

// user makes a user of a tenant, who has chosen the site's password.
func (s *site) user(name, role, tenant string) {
	s.t.Helper()
	var p api.Password
	s.root.into(&p, 201, "POST", "/users?tenant="+tenant, map[string]any{"name": name, "role": role})
	s.secrets = append(s.secrets, p.Password)
	c := s.browser()
	c.must(200, "POST", "/session", map[string]any{"name": name, "password": p.Password})
	c.must(204, "PUT", "/session/password", map[string]any{"old": p.Password, "new": s.password})
}

// signIn has another user at the browser.
func (b *tab) signIn(s *site, name string) {
	b.t.Helper()
	b.do(network.ClearBrowserCookies())
	b.open("/")
	b.do(chromedp.SendKeys("#name", name), chromedp.SendKeys("#password", s.password))
	b.submit("form button.main", "header nav")
}

// denied are pages that whoever is signed in may not see.
func (b *tab) denied(paths ...string) {
	b.t.Helper()
	for _, path := range paths {
		b.open(path)
		if title := b.text("h1"); title != "Access denied" {
			b.t.Errorf("%s shows %q", path, title)
		}
	}
}

// posts sends a form from the page as it is, and returns the status of what comes of it.
func (b *tab) posts(path string) (status int) {
	b.t.Helper()
	b.do(chromedp.Evaluate(fmt.Sprintf(`fetch("/console%s", {method: "POST"}).then((answer) => answer.status)`, path), &status, awaited))
	return status
}

// agree clicks a button that asks first, agrees, and waits for what comes of it.
func (b *tab) agree(button, until string) {
	b.t.Helper()
	b.do(chromedp.Click(button), chromedp.WaitVisible("dialog"), chromedp.Click("dialog .actions button:last-child"), chromedp.WaitVisible(until))
}

// lacks reports whether a page has nothing that a selector names.
func (b *tab) lacks(selector string) (is bool) {
	b.t.Helper()
	b.do(chromedp.Evaluate(fmt.Sprintf(`!document.querySelector(%q)`, selector), &is))
	return is
}

func TestAccessErasureHoldAndReleaseAreForTheRightRolesInABrowser(t *testing.T) {
	b := openBrowser(t, "")
	s := newSite(t, func(c *config.Config) { c.Hold.TwoPeople = true })
	b.url = s.url
	s.publish(of("eve", 1), of("eve", 2), of("bob", 3))
	pem, err := os.ReadFile(s.cert)
	check(t, err)
	s.root.must(201, "POST", "/certificates?tenant=acme&name=receiver", pem)
	s.user("pia", schemas.RolePrivacy, "acme")
	s.user("ada", schemas.RoleAdministrator, "acme")
	s.user("vic", schemas.RoleViewer, "acme")
	s.user("opal", schemas.RoleOperator, schemas.AllTenants)
	s.eventually(func() bool { return s.count("SELECT count() FROM interactions") == 3 })

	b.signIn(s, "pia")
	b.open("/privacy/access")
	b.do(chromedp.SendKeys("#ids", "eve"), chromedp.SendKeys("#reason", "Case 4711"))
	b.submit(`button[value=estimate]`, "#estimate .figure")
	if rows := b.text("#estimate .figure"); rows != "2 rows" {
		t.Errorf("the estimate is %q", rows)
	}
	b.submit(`button[value=request]`, ".said")
	b.do(chromedp.WaitVisible(".badge.s-completed"))
	if said := b.text("main"); !strings.Contains(said, "Case 4711") || !strings.Contains(said, "of 1 contact") {
		t.Errorf("the access request shows %s", said)
	}

	b.open("/privacy/hold")
	b.inspect("hold-form")
	b.do(chromedp.SendKeys("#name", "Smith v. Acme"), chromedp.SendKeys("#reason", "Counsel, 1 November"), chromedp.SendKeys("#ids", "eve"))
	b.submit("form.editor button.main", ".said")
	b.inspect("hold")
	var hold string
	b.do(chromedp.Evaluate("location.pathname", &hold))
	hold = strings.TrimPrefix(hold, "/console")

	b.open("/privacy/erase")
	b.do(chromedp.SendKeys("#id", "eve"))
	b.submit(`button[value=check]`, `button[value=erase]`)
	if said := b.text("main"); !strings.Contains(said, "waits until the hold Smith v. Acme is released") {
		t.Errorf("before an erasure of what is held the page says %s", said)
	}
	b.inspect("erase-held")
	b.submit(`button[value=erase]`, ".badge.s-held")
	b.inspect("erasure-held")
	var erasure string
	b.do(chromedp.Evaluate("location.pathname", &erasure))
	erasure = strings.TrimPrefix(erasure, "/console")
	b.open("/privacy")
	b.inspect("privacy-held")

	const release = `form[action$="/release"] button`
	b.open(hold)
	b.agree(release, ".badge.s-waiting")
	if said := b.text("main"); !b.lacks(release) || !strings.Contains(said, "You requested the release.") {
		t.Errorf("who requested the release may release it, too: %s", said)
	}
	if status := b.posts(hold + "/release"); status != 409 {
		t.Errorf("the same person releases it: %d", status)
	}

	b.signIn(s, "vic")
	b.open("/privacy")
	if !b.lacks(`a[href$="/privacy/access"], a[href$="/privacy/erase"], a[href$="/privacy/hold"]`) {
		t.Error("a viewer is led to forms that are not for viewers")
	}
	b.open(hold)
	if !b.lacks(release) {
		t.Error("a viewer is offered the release")
	}
	b.denied("/privacy/access", "/privacy/erase", "/privacy/hold")
	for _, path := range []string{"/privacy/access", "/privacy/erase", "/privacy/hold", hold + "/release"} {
		if status := b.posts(path); status != 403 {
			t.Errorf("to a viewer %s answers %d", path, status)
		}
	}
	b.signIn(s, "opal")
	b.do(chromedp.Navigate(s.url + "/console/"))
	b.denied("/privacy", "/privacy/holds", hold, erasure, "/privacy/access", "/privacy/erase", "/privacy/hold")
	if status := b.posts(hold + "/release"); status != 403 {
		t.Errorf("to an operator the release answers %d", status)
	}
	if n := s.count("SELECT count() FROM interactions"); n != 3 {
		t.Errorf("%d interactions are left of 3 under the hold", n)
	}

	b.signIn(s, "ada")
	b.open(hold)
	if said := b.text("main"); !strings.Contains(said, "pia requested the release.") {
		t.Errorf("a second person reads %s", said)
	}
	b.agree(release, ".badge.s-expired")
	b.open(erasure)
	b.do(chromedp.WaitVisible(".badge.s-done"))
	if n := s.count("SELECT count() FROM interactions"); n != 1 {
		t.Errorf("%d interactions are left, want bob's", n)
	}
	b.open("/audit?subject=" + strings.TrimPrefix(hold, "/privacy/holds/"))
	for _, want := range []string{"pia (user/pia) created hold", "pia (user/pia) requested the release of hold", "vic (user/vic) tried to release hold", "ada (user/ada) released hold"} {
		if said := b.text("main"); !strings.Contains(said, want) {
			t.Errorf("the audit trail lacks %q: %s", want, said)
		}
	}
}
