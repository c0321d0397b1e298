package auth_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cdds/ops/auth"
	"cdds/schemas"
)

// house is a Service with a clock of its own and one user, ada of acme.
type house struct {
	*auth.Service
	t     *testing.T
	topic *topic
	now   time.Time
}

const password = "correct horse battery staple"

func newHouse(t *testing.T, change ...func(*auth.Options)) *house {
	t.Helper()
	h := &house{t: t, topic: &topic{}, now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return h.now }
	o := auth.Options{Directory: h.topic.reader(t, clock), Records: h.topic, Publisher: h.topic, Key: bytes.Repeat([]byte{7}, auth.KeySize), Now: clock}
	for _, c := range change {
		c(&o)
	}
	var err error
	h.Service, err = auth.New(o)
	check(t, err)
	first, err := h.CreateUser(t.Context(), auth.Principal{Name: "test", Tenant: "*"}, schemas.User{Name: "ada", TenantID: "acme", Role: schemas.RoleAdministrator})
	check(t, err)
	b := h.browser()
	check(t, b.signIn("ada", first))
	check(t, b.do(func(w http.ResponseWriter, r *http.Request) error { return h.ChangePassword(w, r, first, password) }))
	return h
}

// browser keeps cookies as one would.
type browser struct {
	h       *house
	from    string
	cookies map[string]*http.Cookie
	header  http.Header
}

func (h *house) browser() *browser {
	return &browser{h: h, from: "192.0.2.1:1234", cookies: map[string]*http.Cookie{}, header: http.Header{}}
}

func (b *browser) do(handle func(http.ResponseWriter, *http.Request) error) error {
	r := httptest.NewRequestWithContext(b.h.t.Context(), http.MethodPost, "http://cdds.test/", nil)
	r.RemoteAddr = b.from
	for name, values := range b.header {
		r.Header[name] = values
	}
	for _, c := range b.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	err := handle(w, r)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c
		}
	}
	return err
}

func (b *browser) signIn(name, password string) error {
	return b.do(func(w http.ResponseWriter, r *http.Request) error {
		_, err := b.h.SignIn(w, r, name, password)
		return err
	})
}

// who makes a request through the middleware; status is what it was answered with.
func (b *browser) who() (p auth.Principal, signedIn bool, status int) {
	_ = b.do(func(w http.ResponseWriter, r *http.Request) error {
		recorder := w.(*httptest.ResponseRecorder)
		b.h.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			p, signedIn = auth.From(r.Context())
		})).ServeHTTP(w, r)
		status = recorder.Code
		return nil
	})
	return p, signedIn, status
}

func (b *browser) signedIn() bool {
	_, ok, _ := b.who()
	return ok
}

func TestAPasswordThatServesOnceOnlyServesToChooseAnother(t *testing.T) {
	h := newHouse(t)
	once, err := h.ResetPassword(t.Context(), auth.Principal{Name: "test", Tenant: "*"}, nil, "ada")
	check(t, err)
	b := h.browser()
	check(t, b.signIn("ada", once))
	if p, ok, _ := b.who(); !ok || !p.MustChangePassword || p.May(auth.Observe) {
		t.Errorf("with a temporary password she is %+v", p)
	}
	for _, bad := range []string{"short", "aaaaaaaaaaaaaaaa", once, strings.Repeat("long", 100)} {
		err := b.do(func(w http.ResponseWriter, r *http.Request) error { return h.ChangePassword(w, r, once, bad) })
		var wrong *auth.PasswordError
		if !errors.As(err, &wrong) {
			t.Errorf("choosing %.20q: %v", bad, err)
		}
	}
	check(t, b.do(func(w http.ResponseWriter, r *http.Request) error {
		return h.ChangePassword(w, r, once, "another good passphrase")
	}))
	if p, ok, _ := b.who(); !ok || p.MustChangePassword || !p.May(auth.Manage) {
		t.Errorf("with one of her own she is %+v", p)
	}
}

func TestSessionsEndWhenTheyAreIdleTooOldSignedOutOrTheUserIsChanged(t *testing.T) {
	h := newHouse(t)
	fresh := func() *browser {
		b := h.browser()
		check(t, b.signIn("ada", password))
		if !b.signedIn() {
			t.Fatal("not signed in")
		}
		return b
	}
	idle := fresh()
	h.now = h.now.Add(61 * time.Minute)
	if idle.signedIn() {
		t.Error("a session lives though it was idle for longer than an hour")
	}
	left := fresh() // and the page in front of nobody renews itself
	left.header.Set("HX-Request", "true")
	for range 6 {
		h.now = h.now.Add(9 * time.Minute)
		if !left.signedIn() {
			t.Fatal("a session ended too soon")
		}
	}
	h.now = h.now.Add(9 * time.Minute)
	if left.signedIn() {
		t.Error("a page that renews itself keeps a session alive")
	}
	used := fresh()
	for range 13 {
		h.now = h.now.Add(50 * time.Minute)
		used.signedIn()
	}
	h.now = h.now.Add(71 * time.Minute) // 12 hours and a minute in all
	old := fresh()
	for hours := 0.0; hours < 12; hours += 0.9 {
		if !old.signedIn() {
			t.Fatalf("a session that is used ended after %v hours", hours)
		}
		h.now = h.now.Add(54 * time.Minute)
	}
	h.now = h.now.Add(10 * time.Minute)
	if old.signedIn() {
		t.Error("a session lives for longer than 12 hours")
	}

	one, other := fresh(), fresh()
	stolen := h.browser()
	for name, c := range one.cookies {
		stolen.cookies[name] = c
	}
	check(t, one.do(h.SignOut))
	if one.signedIn() || stolen.signedIn() {
		t.Error("a session lives after it was signed out")
	}
	if !other.signedIn() {
		t.Error("signing out of one session ended another")
	}
	h.now = h.now.Add(time.Second)
	third := fresh()
	check(t, third.do(h.SignOutEverywhere))
	if third.signedIn() || other.signedIn() {
		t.Error("sessions live after signing out everywhere")
	}
	h.now = h.now.Add(time.Second)
	again := fresh()
	h.now = h.now.Add(time.Second)
	_, err := h.ResetPassword(t.Context(), auth.Principal{Name: "test", Tenant: "*"}, nil, "ada")
	check(t, err)
	if again.signedIn() {
		t.Error("a session lives after its user's password was set")
	}
}

func TestAnotherDirectoryKnowsTheSameFromTheTopic(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	check(t, b.signIn("ada", password))
	check(t, b.do(h.SignOutEverywhere))
	elsewhere := h.topic.reader(t, h.Now)
	h.Service, _ = auth.New(auth.Options{Directory: elsewhere, Records: h.topic, Publisher: h.topic, Key: h.Key, Now: h.Now})
	if b.signedIn() {
		t.Error("another process believes a session that was signed out everywhere")
	}
	h.now = h.now.Add(time.Second)
	check(t, b.signIn("ada", password))
	if !b.signedIn() {
		t.Error("another process does not know the user")
	}
}

func TestATokenServesUntilItExpiresOrIsRevoked(t *testing.T) {
	h := newHouse(t)
	by := auth.Principal{Name: "test", Tenant: "*"}
	token, secret, err := h.CreateToken(t.Context(), by, schemas.APIToken{
		Name: "nightly", TenantID: "acme", Role: schemas.RoleViewer, ExpiresAt: schemas.TimeOf(h.now.Add(time.Hour)),
	})
	check(t, err)
	if !strings.HasPrefix(secret, "cdds_") || len(secret) < 60 {
		t.Errorf("the token is %q", secret)
	}
	for _, e := range h.topic.events {
		if b, _ := schemas.Encode(e); bytes.Contains(b, []byte(secret)) || bytes.Contains(b, []byte(password)) {
			t.Errorf("a secret was published: %T", e)
		}
	}
	b := h.browser()
	b.header.Set("Authorization", "Bearer "+secret)
	if p, ok, _ := b.who(); !ok || p.Tenant != "acme" || p.Role != schemas.RoleViewer || p.Via != auth.ViaToken || p.From != "192.0.2.1" {
		t.Fatalf("with the token one is %+v", p)
	}
	refused := func(why, header string) {
		t.Helper()
		b.header.Set("Authorization", header)
		if _, ok, status := b.who(); ok || status != http.StatusUnauthorized {
			t.Errorf("%s: %v, %d", why, ok, status)
		}
	}
	last := "A"
	if strings.HasSuffix(secret, "A") {
		last = "Q"
	}
	refused("another secret", "Bearer "+secret[:len(secret)-1]+last)
	refused("no token", "Bearer cdds_")
	refused("another scheme", "Basic YWRhOmFkYQ==")
	h.now = h.now.Add(time.Hour)
	refused("an expired token", "Bearer "+secret)
	h.now = h.now.Add(-time.Minute)
	check(t, h.RevokeToken(t.Context(), by, nil, token.TokenID))
	refused("a revoked token", "Bearer "+secret)
	if _, _, err := h.CreateToken(t.Context(), by, schemas.APIToken{Name: "x", TenantID: "acme", Role: schemas.RoleViewer, ExpiresAt: schemas.TimeOf(h.now.Add(2 * auth.MaxTokenLife))}); err == nil {
		t.Error("a token may live for two years")
	}
}

func TestWithHTTPSCookiesAreForThisOriginOnly(t *testing.T) {
	h := newHouse(t, func(o *auth.Options) { o.Secure = true })
	b := h.browser()
	check(t, b.signIn("ada", password))
	c := b.cookies["__Host-cdds_session"]
	if c == nil || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Fatalf("the cookie is %+v", c)
	}
	changed := *c
	changed.Value = c.Value[:len(c.Value)-2] + "AA"
	b.cookies[c.Name] = &changed
	if b.signedIn() {
		t.Error("a cookie that was changed is believed")
	}
}

func TestWhatAnotherSiteSendsIsRefused(t *testing.T) {
	served := false
	protected := auth.Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true }))
	for _, c := range []struct {
		name, header, value string
		served              bool
	}{
		{"another site, by Sec-Fetch-Site", "Sec-Fetch-Site", "cross-site", false},
		{"a neighbour, by Sec-Fetch-Site", "Sec-Fetch-Site", "same-site", false},
		{"another site, by Origin", "Origin", "https://evil.test", false},
		{"this site", "Sec-Fetch-Site", "same-origin", true},
		{"a program", "Accept", "*/*", true},
	} {
		served = false
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://cdds.test/api/v1/exports", nil)
		r.Header.Set(c.header, c.value)
		protected.ServeHTTP(httptest.NewRecorder(), r)
		if served != c.served {
			t.Errorf("%s: served is %v", c.name, served)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
