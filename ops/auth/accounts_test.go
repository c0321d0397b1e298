package auth_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"cdds/ops/auth"
	"cdds/schemas"
)

var root = auth.Principal{Subject: "user/root", Name: "root", Tenant: "*"}

// elsewhere is the same service in another process.
func (h *house) elsewhere() *house {
	h.t.Helper()
	other := *h
	var err error
	other.Service, err = auth.New(auth.Options{
		Directory: h.topic.reader(h.t, h.Now), Records: h.topic, Publisher: h.topic, Key: h.Key, Now: h.Now,
	})
	check(h.t, err)
	return &other
}

func (b *browser) changePassword(before, after string) error {
	return b.do(func(w http.ResponseWriter, r *http.Request) error { return b.h.ChangePassword(w, r, before, after) })
}

func TestADeletedUserStaysDeletedWhileItChangesItsPassword(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	check(t, b.signIn("ada", password))
	// The change of the password is made from what is known before the deletion, and
	// published after it.
	h.topic.before = func() { check(t, h.elsewhere().DeleteUser(t.Context(), root, nil, "ada")) }
	if err := b.changePassword(password, "another good passphrase"); !errors.Is(err, auth.ErrSession) {
		t.Errorf("a user that was deleted meanwhile changes its password: %v", err)
	}
	for where, d := range map[string]*auth.Directory{"here": h.Directory, "in a process that starts later": h.topic.reader(t, h.Now)} {
		if _, _, ok := d.User("ada"); ok {
			t.Errorf("%s the deleted user is back", where)
		}
	}
	if b.signedIn() {
		t.Error("a session of a deleted user lives")
	}
}

func TestDeletingAUserSucceedsAlthoughItChangesItsPasswordMeanwhile(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	check(t, b.signIn("ada", password))
	h.topic.before = func() { check(t, b.changePassword(password, "another good passphrase")) }
	check(t, h.elsewhere().DeleteUser(t.Context(), root, nil, "ada"))
	if _, _, ok := h.Directory.User("ada"); ok || b.signedIn() {
		t.Error("the user is still there")
	}
}

func TestWhatTwoAdministratorsChangeAtOnceIsBothChanged(t *testing.T) {
	h := newHouse(t)
	h.topic.before = func() {
		check(t, h.elsewhere().ChangeUser(t.Context(), root, nil, "ada", "Ada", schemas.RoleViewer))
	}
	_, err := h.ResetPassword(t.Context(), root, nil, "ada")
	check(t, err)
	if u, _, _ := h.Directory.User("ada"); u.DisplayName != "Ada" || u.Role != schemas.RoleViewer || !u.MustChange {
		t.Errorf("the user is %+v", u)
	}
}

func TestOfTwoCreationsOfANameOneSucceeds(t *testing.T) {
	h := newHouse(t)
	bob := func(tenant string) schemas.User {
		return schemas.User{Name: "bob", TenantID: tenant, Role: schemas.RoleViewer}
	}
	var first string
	h.topic.before = func() {
		var err error
		first, err = h.elsewhere().CreateUser(t.Context(), root, bob("globex"))
		check(t, err)
	}
	if _, err := h.CreateUser(t.Context(), root, bob("acme")); !errors.Is(err, auth.ErrTaken) {
		t.Errorf("the second creation of the name: %v", err)
	}
	check(t, h.browser().signIn("bob", first))
	if u, _, _ := h.Directory.User("bob"); u.TenantID != "globex" {
		t.Errorf("bob is of tenant %s", u.TenantID)
	}
}

func TestTokensEndWithTheUserThatOwnsThem(t *testing.T) {
	h := newHouse(t)
	_, err := h.CreateUser(t.Context(), root, schemas.User{Name: "bob", TenantID: "acme", Role: schemas.RoleAdministrator})
	check(t, err)
	ends := schemas.TimeOf(h.now.Add(time.Hour))
	makeToken := func(by auth.Principal) *browser {
		t.Helper()
		_, secret, err := h.CreateToken(t.Context(), by, schemas.APIToken{Name: "t", TenantID: "acme", Role: schemas.RoleAdministrator, ExpiresAt: ends})
		check(t, err)
		b := h.browser()
		b.header.Set("Authorization", "Bearer "+secret)
		if !b.signedIn() {
			t.Fatal("a new token does not serve")
		}
		return b
	}
	bob := makeToken(auth.Principal{Subject: "user/bob", Name: "bob", Tenant: "acme"})
	p, _, _ := bob.who()
	of := map[string]*browser{"bob's token": bob, "a token made with bob's token": makeToken(p)}
	old, secret, err := h.CreateToken(t.Context(), root, schemas.APIToken{Name: "t", TenantID: "acme", Role: schemas.RoleViewer, ExpiresAt: ends})
	check(t, err)
	old.Owner, old.CreatedBy = "", "bob" // as earlier releases made them
	check(t, h.topic.Change(t.Context(), &schemas.AccessRecord{RecordID: schemas.TokenRecordID(old.TokenID), Revision: 2, UpdatedAt: old.CreatedAt, Token: &old}))
	of["a token of an earlier release"] = h.browser()
	of["a token of an earlier release"].header.Set("Authorization", "Bearer "+secret)
	others := makeToken(auth.Principal{Subject: "user/ada", Name: "ada", Tenant: "acme"})
	named := makeToken(auth.Principal{Subject: "oidc/https://idp.test#7", Name: "bob", Tenant: "acme"})

	check(t, h.DeleteUser(t.Context(), root, nil, "bob"))
	for what, b := range of {
		if b.signedIn() {
			t.Errorf("%s serves after bob was deleted", what)
		}
	}
	if !others.signedIn() || !named.signedIn() {
		t.Error("tokens of others ended with bob's")
	}
	for _, token := range h.Directory.Tokens("acme") {
		if ended := !token.RevokedAt.IsZero(); ended != (token.Owner == "user/bob" || token.Owner == "") {
			t.Errorf("the list says of a token of %s that it was revoked: %v", token.Owner, ended)
		}
	}
}

func TestTheNextStartAfterTheLastUserWasDeletedMakesNone(t *testing.T) {
	h := newHouse(t)
	check(t, h.DeleteUser(t.Context(), root, nil, "ada"))
	made, err := h.elsewhere().Bootstrap(t.Context())
	if made != "" || err != nil {
		t.Errorf("the next start: %q, %v", made, err)
	}
}

func TestOfTwoFirstStartsAtOnceOneMakesTheFirstUser(t *testing.T) {
	topic := &topic{}
	start := func() *auth.Service {
		s, err := auth.New(auth.Options{Directory: topic.reader(t, nil), Records: topic, Publisher: topic, Key: make([]byte, auth.KeySize)})
		check(t, err)
		return s
	}
	one, other := start(), start()
	var first string
	topic.before = func() {
		var err error
		first, err = one.Bootstrap(t.Context())
		check(t, err)
	}
	second, err := other.Bootstrap(t.Context())
	if first == "" || second != "" || err != nil {
		t.Errorf("the first users' passwords are %q and %q, %v", first, second, err)
	}
}
