package auth_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"cdds/ops/auth"
	"cdds/schemas"
)

// provider runs a certified OpenID provider with its sign-in page; people sign in as
// test-user@127.0.0.1 and test-user2.
func provider(t *testing.T, callback string) (issuer string) {
	t.Helper()
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	clients := map[string]*storage.Client{"cdds": storage.WebClient("cdds", "a client secret", callback)}
	handler = exampleop.SetupServer(server.URL, storage.NewStorageWithClients(storage.NewUserStore(server.URL), clients), nil, false)
	return server.URL
}

// signInThrough goes where a browser would be sent, fills in the provider's form, and
// returns the client with its cookies, where it came back to, and what it read there.
func signInThrough(t *testing.T, at, user string) (client *http.Client, back *url.URL, status int, body string) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	check(t, err)
	client = &http.Client{Jar: jar}
	form, err := client.Get(at + auth.StartPath + "?return=/after") //nolint:noctx // a browser in a test
	check(t, err)
	_ = form.Body.Close()
	if form.Request.URL.Query().Get("authRequestID") == "" {
		t.Fatalf("the browser was sent to %s", form.Request.URL)
	}
	answer, err := client.PostForm(form.Request.URL.String(), url.Values{ //nolint:noctx // as above
		"username": {user}, "password": {"verysecure"}, "id": {form.Request.URL.Query().Get("authRequestID")},
	})
	check(t, err)
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	check(t, err)
	return client, answer.Request.URL, answer.StatusCode, string(content)
}

func TestPeopleSignInThroughAProviderWithTheRoleTheirClaimsGive(t *testing.T) {
	var h *house
	mux := http.NewServeMux()
	site := httptest.NewServer(mux)
	defer site.Close()
	issuer := provider(t, site.URL+auth.CallbackPath)
	h = newHouse(t, func(o *auth.Options) {
		o.Now = time.Now
		o.Directory = o.Publisher.(*topic).reader(t, time.Now)
		o.OIDC = &auth.OIDC{
			Issuer: issuer, ClientID: "cdds", ClientSecret: "a client secret", RedirectURL: site.URL + auth.CallbackPath,
			Grants: []auth.Grant{{Claim: "email", Value: "test-user@zitadel.ch", Tenant: "acme", Role: schemas.RoleViewer}},
		}
	})
	serve := func(do func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if err := do(w, r); err != nil {
				status := http.StatusForbidden
				if !errors.Is(err, auth.ErrForbidden) && !errors.Is(err, auth.ErrSession) && !errors.Is(err, auth.ErrCredentials) {
					status = http.StatusInternalServerError
				}
				http.Error(w, err.Error(), status)
			}
		}
	}
	mux.HandleFunc(auth.StartPath, serve(h.StartOIDC))
	mux.HandleFunc(auth.CallbackPath, serve(h.FinishOIDC))
	mux.Handle("/", h.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := auth.From(r.Context())
		if !ok {
			http.Error(w, "nobody", http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, p.Name+" "+p.Tenant+" "+p.Role+" "+p.Via)
	})))
	mux.HandleFunc("/out", serve(h.SignOutEverywhere))

	client, back, status, body := signInThrough(t, site.URL, "test-user@127.0.0.1")
	if back.Path != "/after" || body != "test-user@127.0.0.1 acme viewer oidc" {
		t.Fatalf("signed in, the browser is at %s and reads %d %q", back, status, body)
	}
	if !strings.Contains(h.topic.audited(), "session.begin done") {
		t.Error("the sign-in left no record")
	}

	_, back, status, body = signInThrough(t, site.URL, "test-user2")
	if status != http.StatusForbidden || !strings.Contains(body, "no role") {
		t.Errorf("a user without a role from any claim gets %d %q", status, body)
	}

	// A code that another browser was given does not sign this one in.
	again, err := http.Get(back.String()) //nolint:noctx // a browser in a test
	check(t, err)
	_ = again.Body.Close()
	if again.StatusCode != http.StatusForbidden {
		t.Errorf("a way back that began elsewhere: %d", again.StatusCode)
	}

	// Nor does one that this browser did not ask for (login CSRF).
	stranger, err := cookiejar.New(nil)
	check(t, err)
	began := &http.Client{Jar: stranger}
	form, err := began.Get(site.URL + auth.StartPath) //nolint:noctx // as above
	check(t, err)
	_ = form.Body.Close()
	forged, err := began.Get(site.URL + auth.CallbackPath + "?code=theirs&state=theirs") //nolint:noctx // as above
	check(t, err)
	said, err := io.ReadAll(forged.Body)
	check(t, err)
	_ = forged.Body.Close()
	if forged.StatusCode != http.StatusForbidden || !strings.Contains(string(said), "not the one that was begun here") {
		t.Errorf("a way back with another's state: %d %s", forged.StatusCode, said)
	}

	out, err := client.Get(site.URL + "/out") //nolint:noctx // as above
	check(t, err)
	_ = out.Body.Close()
	after, err := client.Get(site.URL + "/after") //nolint:noctx // as above
	check(t, err)
	_ = after.Body.Close()
	if after.StatusCode != http.StatusUnauthorized {
		t.Errorf("after signing out everywhere: %d", after.StatusCode)
	}
}
