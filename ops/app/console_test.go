package app_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"cdds/pipeline/receiver"
	"cdds/schemas"
	"cdds/schemas/sample"
)

func TestAnAdministratorSetsUpAJobInABrowserAndOpensWhatItMade(t *testing.T) {
	t.Parallel()
	b := openBrowser(t, "")
	s := newSiteOf(t, []string{"export", "history", "erasure", "web"}) // ingest is run by hand
	b.url = s.url
	var events []schemas.Event
	now := time.Now().UTC()
	for e := range sample.InteractionsBetween(1, 400, now.Add(-23*time.Hour), now) {
		e.TenantID = "acme"
		events = append(events, e)
	}
	s.publish(events[0]) // there is such a tenant
	stop := s.run("ingest")
	for deadline := time.Now().Add(patience); s.count("SELECT count() FROM interactions") == 0; {
		if time.Now().After(deadline) {
			t.Fatal("nothing is ingested")
		}
	}
	stop()
	s.publish(events[1:]...)
	s.root.must(201, "POST", "/tokens?tenant=acme", map[string]any{"name": "nightly", "role": "viewer", "expires_at": now.Add(time.Hour).Format(time.RFC3339)})

	b.open("/jobs") // one is sent to sign in, and back
	b.inspect("sign-in")
	b.do(chromedp.SendKeys("#name", "admin"), chromedp.SendKeys("#password", "wrong"))
	b.submit("form button.main", ".problems")
	b.do(chromedp.SendKeys("#password", s.password))
	b.submit("form button.main", "header nav")
	b.inspect("jobs-empty")
	b.open("/password")
	b.inspect("password")

	b.open("/certificates")
	b.do(chromedp.SendKeys("#name", "Archive team"), chromedp.SetUploadFiles("#file", []string{s.key}))
	b.submit("form.editor button.main", ".problems")
	if said := b.text(".problems"); !strings.Contains(said, "private key") {
		t.Errorf("of a private key it says %q", said)
	}
	b.drop("[data-drop]", s.cert)
	b.submit("form.editor button.main", ".said")
	b.inspect("certificate")
	opened := string(openssl(t, "cms", "-decrypt", "-in", b.download(`a.button[download]`), "-inkey", s.key))
	if !strings.Contains(opened, "It works") {
		t.Errorf("the sample holds %q", opened)
	}

	b.open("/jobs/new")
	b.do(chromedp.SendKeys("#title", "Nightly chats"), chromedp.SetValue("#timeframe", "all"))
	b.submit(`button[value=preview]`, "#next")
	b.inspect("job-editor")
	b.submit(`button[value=save]`, ".said")
	b.inspect("job")
	b.submit(`form[action$="/run"] button`, ".said")
	b.do(chromedp.WaitVisible("progress", chromedp.ByQuery), chromedp.WaitVisible(`//*[@class="progress" and contains(., "waiting for ingest")]`))
	if done := b.attribute("progress", "value"); done != "0" {
		t.Errorf("the export waits, and the bar is at %s", done)
	}
	b.inspect("export-waiting")
	s.run("ingest")
	b.do(chromedp.WaitVisible(".badge.s-completed"), chromedp.WaitNotPresent("progress", chromedp.ByQuery), chromedp.WaitNotPresent(".said", chromedp.ByQuery)) // without reloading: the page keeps itself up to date
	b.inspect("export")
	part := b.download(`//tr[td[2]="part"]//a`)
	zip := filepath.Join(t.TempDir(), "part.zip")
	check(t, os.WriteFile(zip, openssl(t, "cms", "-decrypt", "-in", part, "-inkey", s.key), 0o600))
	lines, err := exec.Command("unzip", "-p", zip).Output()
	check(t, err)
	if n := strings.Count(string(lines), "\n"); n != 400 {
		t.Errorf("the artifact holds %d interactions, want 400", n)
	}
	script, err := os.ReadFile(b.download(`a[href$="download.sh"]`))
	check(t, err)
	if !strings.Contains(string(script), "fetch manifest.json ") {
		t.Errorf("the script is %s", script)
	}
	all, dir := b.download(`a[href$="all.tar"]`), t.TempDir()
	if out, err := exec.Command("tar", "-xf", all, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	exported, err := os.ReadDir(dir)
	check(t, err)
	report, err := receiver.Verify(t.Context(), filepath.Join(dir, exported[0].Name()), receiver.Options{})
	if err != nil || len(exported) != 1 || report.Verified == 0 {
		t.Errorf("what is downloaded at once does not verify: %v, %+v", err, report)
	}
	for name, path := range map[string]string{
		"overview": "/", "jobs": "/jobs", "history": "/history", "export-form": "/exports/new", "privacy": "/privacy", "access-form": "/privacy/access", "erase-form": "/privacy/erase", "artifacts": "/artifacts", "certificates": "/certificates", "audit": "/audit", "health": "/health", "account": "/account", "letters": "/letters", "webhooks": "/webhooks", "access": "/access", "not-found": "/nothing",
	} {
		b.open(path)
		b.inspect(name)
	}
}

func TestTheHealthPageNamesTheRolesThatNobodyRuns(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, []string{"export", "history", "web"})
	var page string
	for deadline := time.Now().Add(patience); !strings.Contains(page, "cdds up --roles schedule") || strings.Contains(page, "cdds up --roles export"); {
		var status int
		if status, _, page = s.root.page("GET", "/health", nil); status != http.StatusOK || time.Now().After(deadline) {
			t.Fatalf("the page of health answers %d:\n%s", status, page)
		}
	}
	for _, want := range []string{"cdds up --roles ingest", "cdds up --roles retention", "both buckets exist", "records behind"} {
		if !strings.Contains(strings.ToLower(page), want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestTheConsoleShowsDeadLettersAndTheAccount(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, []string{"ingest", "history", "web"})
	s.produce(schemas.TopicContacts, []byte("k\x00"), []byte(`{"contact_id": "<b>"`+"\xff"))
	var page string
	for deadline := time.Now().Add(patience); !strings.Contains(page, "cdds.contacts"+"</code>"); {
		var status int
		if status, _, page = s.root.page("GET", "/letters?topic=cdds.contacts", nil); status != http.StatusOK || time.Now().After(deadline) {
			t.Fatalf("the page of dead letters answers %d:\n%s", status, page)
		}
	}
	for _, want := range []string{`{&#34;contact_id&#34;: &#34;&lt;b&gt;&#34;\xff`, `k\x00`, "21 bytes", "offset 0"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if status, _, page := s.root.page("GET", "/account", nil); status != http.StatusOK || !strings.Contains(page, "Nothing is missing.") {
		t.Errorf("the page of the account answers %d:\n%s", status, page)
	}
}

func openssl(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.Command("openssl", args...).Output()
	if err != nil {
		t.Fatalf("openssl %q: %v", args, err)
	}
	return out
}

// page fetches a page of the console with the caller's cookies, or sends a form.
func (c *caller) page(method, path string, form url.Values) (int, string, string) {
	c.site.t.Helper()
	r, err := http.NewRequest(method, c.site.url+"/console"+path, strings.NewReader(form.Encode()))
	check(c.site.t, err)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := c.client.Do(r)
	check(c.site.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	check(c.site.t, err)
	return answer.StatusCode, answer.Header.Get("Location"), string(body)
}

func TestPagesAreKeptFromTheWrongRoleAndTheWrongTenant(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	made := s.furnish(s.as("administrator", "acme"))
	signIn := func(name, role, tenant string) *caller {
		var user struct{ Password string }
		s.root.into(&user, 201, "POST", "/users?tenant="+tenant, map[string]any{"name": name, "role": role})
		own := "correct horse battery staple of " + role
		c := s.browser()
		c.must(200, "POST", "/session", map[string]any{"name": name, "password": user.Password})
		c.must(204, "PUT", "/session/password", map[string]any{"old": user.Password, "new": own})
		s.secrets = append(s.secrets, user.Password, own)
		return c
	}
	viewer, operator, stranger := signIn("vera", "viewer", "acme"), signIn("otto", "operator", "*"), signIn("gus", "administrator", "globex")

	reads := []string{"/jobs", "/history", "/history/done", "/artifacts", "/artifacts/done/download.sh", "/artifacts/done/" + made["part"], "/certificates", "/certificates/" + made["fingerprint"], "/privacy", "/audit"}
	changes := []string{"/exports", "/privacy/access", "/privacy/erase", "/history/done/delete", "/certificates/" + made["fingerprint"] + "/remove", "/jobs"}
	for _, path := range append(reads, "/", "/access", "/jobs/new", "/exports/new", "/privacy/access", "/privacy/erase") {
		if status, to, _ := s.browser().page("GET", path, nil); status != http.StatusSeeOther || !strings.HasPrefix(to, "/console/sign-in") {
			t.Errorf("nobody: %s answers %d and goes to %q", path, status, to)
		}
	}
	for _, path := range reads {
		if status, _, body := viewer.page("GET", path, nil); status != http.StatusOK {
			t.Errorf("viewer: %s answers %d: %.300s", path, status, body)
		}
		if status, _, _ := operator.page("GET", path, nil); status != http.StatusForbidden {
			t.Errorf("operator: %s answers %d, want 403", path, status)
		}
		status, _, body := stranger.page("GET", path, nil)
		if strings.Contains(path, "/done") || strings.Contains(path, made["fingerprint"]) {
			if status != http.StatusNotFound {
				t.Errorf("administrator of another tenant: %s answers %d, want 404", path, status)
			}
		} else if strings.Contains(body, "done") && strings.Contains(body, made["fingerprint"]) {
			t.Errorf("administrator of another tenant sees acme's on %s", path)
		}
	}
	for _, path := range changes {
		if status, _, _ := viewer.page("POST", path, url.Values{"title": {"x"}}); status != http.StatusForbidden {
			t.Errorf("viewer: POST %s answers %d, want 403", path, status)
		}
	}
	for _, path := range []string{"/access", "/jobs/new", "/exports/new", "/privacy/access", "/privacy/erase"} {
		if status, _, body := viewer.page("GET", path, nil); status != http.StatusForbidden || !strings.Contains(body, "Access denied") {
			t.Errorf("viewer: %s answers %d", path, status)
		}
	}
	for name, c := range map[string]*caller{"viewer": viewer, "administrator of a tenant": stranger} {
		for _, path := range []string{"/health", "/account", "/letters"} {
			if status, _, _ := c.page("GET", path, nil); status != http.StatusForbidden {
				t.Errorf("%s: %s answers %d, want 403", name, path, status)
			}
		}
	}
	for _, path := range []string{"/account", "/letters"} { // customer data is not the operator's
		if status, _, _ := operator.page("GET", path, nil); status != http.StatusForbidden {
			t.Errorf("operator: %s answers %d, want 403", path, status)
		}
	}
	if status, _, _ := operator.page("GET", "/health", nil); status != http.StatusOK {
		t.Errorf("operator: the page of health answers %d", status)
	}
	if status, _, _ := operator.page("GET", "/", nil); status != http.StatusOK {
		t.Errorf("operator: the overview answers %d", status)
	}
	if status, _, _ := stranger.page("POST", "/tenant", url.Values{"tenant": {"acme"}}); status < 400 {
		t.Errorf("choosing another's tenant answers %d", status)
	}
	if status, to, _ := s.browser().page("POST", "/sign-in", url.Values{"name": {"vera"}, "password": {"correct horse battery staple of viewer"}, "return": {"//evil.example/"}}); status != http.StatusSeeOther || to != "/console/" {
		t.Errorf("signing in to come back to another site answers %d, %q", status, to)
	}
}
