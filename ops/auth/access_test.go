package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/ops/auth"
	"cdds/schemas"
)

// bob is a user of acme who chose a password and has a session and a token.
func (h *house) bob() (b, token *browser) {
	h.t.Helper()
	once, err := h.CreateUser(h.t.Context(), root, schemas.User{Name: "bob", TenantID: "acme", Role: schemas.RoleAdministrator})
	check(h.t, err)
	b = h.browser()
	check(h.t, b.signIn("bob", once))
	h.now = h.now.Add(time.Second)
	check(h.t, b.changePassword(once, password))
	return b, h.tokenOf(b)
}

// tokenOf is a program with a token that the browser's user made.
func (h *house) tokenOf(b *browser) *browser {
	h.t.Helper()
	p, _, _ := b.who()
	_, secret, err := h.CreateToken(h.t.Context(), p, schemas.APIToken{Name: "t", TenantID: "acme", Role: schemas.RoleViewer, ExpiresAt: schemas.TimeOf(h.now.Add(time.Hour))})
	check(h.t, err)
	token := h.browser()
	token.header.Set("Authorization", "Bearer "+secret)
	return token
}

func TestSessionsAndTokensEndInEveryProcessWhenAUserIsDisabledOrGetsAnotherRole(t *testing.T) {
	for what, change := range map[string]func(*house) error{
		"disabled": func(h *house) error { return h.DisableUser(t.Context(), root, nil, "bob") },
		"disabled and enabled": func(h *house) error {
			return errors.Join(h.DisableUser(t.Context(), root, nil, "bob"), h.EnableUser(t.Context(), root, nil, "bob"))
		},
		"a viewer": func(h *house) error { return h.ChangeUser(t.Context(), root, nil, "bob", "", schemas.RoleViewer) },
	} {
		h := newHouse(t)
		session, token := h.bob()
		p, _, _ := session.who() // a request in hand while the change is made
		if !session.signedIn() || !token.signedIn() {
			t.Fatal("bob is not signed in")
		}
		check(t, change(h.elsewhere()))
		if session.signedIn() || token.signedIn() {
			t.Errorf("bob is %s, and its session or token goes on", what)
		}
		_, secret, err := h.CreateToken(t.Context(), p, schemas.APIToken{Name: "t", TenantID: "acme", Role: schemas.RoleViewer, ExpiresAt: schemas.TimeOf(h.now.Add(time.Hour))})
		check(t, err)
		late := h.browser()
		late.header.Set("Authorization", "Bearer "+secret)
		if late.signedIn() {
			t.Errorf("bob is %s, and a token serves that a request from before made", what)
		}
		err = h.browser().signIn("bob", password)
		if disabled := what == "disabled"; disabled != errors.Is(err, auth.ErrCredentials) {
			t.Errorf("bob is %s and signs in: %v", what, err)
		} else if disabled && !strings.Contains(auth.Refusal(err), "disabled") {
			t.Errorf("bob is %s and reads %q", what, auth.Refusal(err))
		}
		if err := h.browser().signIn("bob", "wrong"); auth.Refusal(err) != auth.ErrCredentials.Error() {
			t.Errorf("a stranger reads %q", auth.Refusal(err))
		}
	}
}

func TestADisplayNameChangesWithoutEndingAnything(t *testing.T) {
	h := newHouse(t)
	session, token := h.bob()
	check(t, h.ChangeUser(t.Context(), root, nil, "bob", "Bob", schemas.RoleAdministrator))
	if !session.signedIn() || !token.signedIn() {
		t.Error("bob's session or token ended")
	}
}

func TestAOneTimePasswordServesForOneSignInAndExpires(t *testing.T) {
	h := newHouse(t)
	reset := func() string {
		once, err := h.ResetPassword(t.Context(), root, nil, "ada")
		check(t, err)
		return once
	}
	once := reset()
	check(t, h.browser().signIn("ada", once))
	if err := h.elsewhere().browser().signIn("ada", once); !errors.Is(err, auth.ErrSpent) {
		t.Errorf("the second sign-in with a one-time password: %v", err)
	}

	once = reset()
	h.now = h.now.Add(auth.OneTimeLife + time.Second)
	if err := h.browser().signIn("ada", once); !errors.Is(err, auth.ErrSpent) {
		t.Errorf("a sign-in with a one-time password after %s: %v", auth.OneTimeLife, err)
	}

	once = reset()
	var meanwhile error
	h.topic.before = func() { meanwhile = h.elsewhere().browser().signIn("ada", once) }
	if err := h.browser().signIn("ada", once); meanwhile != nil || !errors.Is(err, auth.ErrSpent) {
		t.Errorf("two sign-ins at once with a one-time password: %v and %v", meanwhile, err)
	}
	if got := h.topic.audited(); !strings.HasSuffix(got, "session.begin refused") {
		t.Errorf("the audit trail is %s", got)
	}
}

func TestSessionsAreListedAndEndedByAnAdministrator(t *testing.T) {
	h := newHouse(t)
	session, _ := h.bob()
	other := h.browser()
	check(t, other.signIn("bob", password))
	elsewhere := h.elsewhere()
	bobs := func() []schemas.Session {
		return slices.DeleteFunc(h.Directory.Sessions("acme"), func(s schemas.Session) bool { return s.Name != "bob" })
	}
	list := bobs()
	if len(list) != 2 {
		t.Fatalf("bob's sessions are %+v", list)
	}
	if got := elsewhere.Directory.Sessions("globex"); len(got) != 0 {
		t.Errorf("another tenant has the sessions %+v", got)
	}
	for _, s := range list {
		check(t, elsewhere.EndSession(t.Context(), root, s.SessionID))
	}
	if session.signedIn() || other.signedIn() {
		t.Error("a session goes on after an administrator ended it")
	}
	if list := bobs(); len(list) != 0 {
		t.Errorf("bob's sessions are %+v after they were ended", list)
	}
	if err := h.EndSession(t.Context(), root, "nobody"); !errors.Is(err, auth.ErrUnknown) {
		t.Errorf("a session that does not exist is ended: %v", err)
	}
}

func TestRecordsOfSessionsAreRemovedAfterTheirEnd(t *testing.T) {
	h := newHouse(t)
	for n := range 100 {
		id := fmt.Sprintf("s-%d", n)
		began := schemas.TimeOf(h.now)
		check(t, h.topic.Publish(t.Context(), &schemas.AccessRecord{RecordID: schemas.SessionRecordID(id), Revision: 1, UpdatedAt: began, Session: &schemas.Session{
			SessionID: id, Subject: "oidc/x", Name: "x", TenantID: "acme", Role: schemas.RoleViewer, Via: auth.ViaOIDC, From: "192.0.2.1",
			BeganAt: began, Until: schemas.TimeOf(h.now.Add(12 * time.Hour)),
		}}))
	}
	h.now = h.now.Add(24 * time.Hour)
	for range 8 {
		check(t, h.browser().signIn("ada", password))
	}
	if left := 100 - len(h.topic.removed); left > 8 || len(h.Directory.Sessions("acme")) != 8 {
		t.Errorf("after 8 sign-ins the topic keeps %d records of 100 sessions that ended; %d go on", left, len(h.Directory.Sessions("acme")))
	}
}

func TestWhileKafkaDoesNotAnswerOneRequestInAWhileWaits(t *testing.T) {
	asked := 0
	h := newHouse(t)
	b := h.browser()
	check(t, b.signIn("ada", password))
	var err error
	h.Service, err = auth.New(auth.Options{
		Directory: h.Directory, Records: h.topic, Publisher: h.topic, Key: h.Key, Now: h.Now,
		Sync: func(context.Context) error {
			asked++
			return errors.New("Kafka does not answer")
		},
	})
	check(t, err)
	for range 20 {
		if !b.signedIn() {
			t.Fatal("nobody is signed in while Kafka does not answer")
		}
	}
	if asked != 1 {
		t.Errorf("%d of 20 requests waited for Kafka", asked)
	}
}
