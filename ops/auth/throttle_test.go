package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cdds/ops/auth"
)

func TestGuessingIsThrottledByUserAndByAddress(t *testing.T) {
	h := newHouse(t)
	for n := range 5 {
		if err := h.browser().signIn("ada", "a wrong password"); !errors.Is(err, auth.ErrCredentials) {
			t.Fatalf("guess %d: %v", n, err)
		}
	}
	var wait *auth.ThrottledError
	if err := h.browser().signIn("ada", password); !errors.As(err, &wait) || wait.After <= 0 {
		t.Errorf("the sixth attempt: %v", err)
	}
	elsewhere := h.browser()
	elsewhere.from = "198.51.100.7:1"
	check(t, elsewhere.signIn("ada", password)) // a stranger's guesses keep nobody out
	h.now = h.now.Add(wait.After)
	check(t, h.browser().signIn("ada", password))

	var spread bool
	for n := range 80 {
		other := h.browser()
		other.from = fmt.Sprintf("203.0.113.%d:1", n)
		spread = spread || errors.Is(other.signIn("ada", "a wrong password"), auth.ErrThrottled)
	}
	if !spread {
		t.Error("eighty addresses guessed at one name")
	}
	h.now = h.now.Add(2 * time.Minute)

	var throttled bool
	for n := range 40 {
		err := h.browser().signIn("nobody"+strings.Repeat("x", n), "a wrong password")
		throttled = throttled || errors.Is(err, auth.ErrThrottled)
	}
	if !throttled {
		t.Error("forty names were tried from one address")
	}
	if !strings.Contains(h.topic.audited(), "session.begin refused") {
		t.Error("refused attempts leave no record: ", h.topic.audited())
	}
	for range 50 {
		h.now = h.now.Add(time.Second)
		check(t, elsewhere.signIn("ada", password)) // who knows the password is never throttled
	}
}

func TestAddressesOfOneIPv6NetworkAreThrottledAsOne(t *testing.T) {
	h := newHouse(t)
	guesses, names := 0, 0
	for n := range 320 {
		stranger := h.browser()
		stranger.from = fmt.Sprintf("[2001:db8:0:1::%x]:1", n+1)
		if !errors.Is(stranger.signIn("ada", "a wrong password"), auth.ErrThrottled) {
			guesses++
		}
		if !errors.Is(stranger.signIn(fmt.Sprintf("nobody%d", n), "a wrong password"), auth.ErrThrottled) {
			names++
		}
	}
	if guesses > 5 || guesses+names > 20 {
		t.Errorf("from one /64 a stranger guessed %d times at a name and %d times at others", guesses, names)
	}
	for _, from := range []string{"[2001:db8:0:2::1]:1", "192.0.2.1:1"} {
		b := h.browser()
		b.from = from
		if err := b.signIn("ada", password); err != nil {
			t.Errorf("from %s the user is kept out by a stranger: %v", from, err)
		}
	}
}

// Strangers in many networks use up what a name may be attempted. Whoever knows the
// password signs in all the same, and changes it.
func TestStrangersInManyNetworksCannotKeepAUserOut(t *testing.T) {
	h := newHouse(t)
	signedIn := h.browser()
	signedIn.from = "192.0.2.77:1"
	check(t, signedIn.signIn("ada", password))
	attack := func() (checked int) {
		for n := range 30 {
			stranger := h.browser()
			stranger.from = fmt.Sprintf("10.%d.1.1:1", n)
			for range 4 {
				if err := stranger.signIn("ada", "a wrong password"); errors.Is(err, auth.ErrCredentials) {
					checked++
				}
			}
		}
		return checked
	}
	if checked := attack(); checked > 60 {
		t.Errorf("%d of the strangers' guesses were answered", checked)
	}
	for n := range 5 {
		b := h.browser()
		b.from = fmt.Sprintf("[2001:db8:%x::1]:1", n)
		if err := b.signIn("ada", password); err != nil {
			t.Errorf("from a network of its own the user is kept out: %v", err)
		}
	}
	if err := signedIn.changePassword(password, "another good passphrase"); err != nil {
		t.Errorf("a signed-in user cannot change its password: %v", err)
	}
}

func TestOnlyATrustedProxySaysWhereARequestCameFrom(t *testing.T) {
	h := newHouse(t)
	h.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}
	for _, c := range []struct {
		hops                  int
		peer, forwarded, want string
	}{
		{1, "192.0.2.1:1", "203.0.113.9", "192.0.2.1"},
		{1, "10.1.1.1:1", "203.0.113.9", "203.0.113.9"},
		{1, "10.1.1.1:1", "1.1.1.1, 203.0.113.9", "203.0.113.9"},
		{2, "10.1.1.1:1", "203.0.113.9, 10.2.2.2", "203.0.113.9"},
		{1, "10.1.1.1:1", "nonsense", "10.1.1.1"},
		{1, "10.1.1.1:1", "", "10.1.1.1"},
		// A client in the proxies' network claims to be somebody else.
		{1, "10.1.1.1:1", "203.0.113.9, 10.9.9.9", "10.9.9.9"},
		{2, "10.1.1.1:1", "203.0.113.9, 10.9.9.9, 10.2.2.2", "10.9.9.9"},
		// Proxies that say the port too, and other ways to write an address.
		{1, "10.1.1.1:1", "203.0.113.9:4711", "203.0.113.9"},
		{1, "10.1.1.1:1", "[2001:db8::1]:443", "2001:db8::1"},
		{1, "10.1.1.1:1", "[2001:db8::1]", "2001:db8::1"},
		{1, "10.1.1.1:1", "2001:db8::1", "2001:db8::1"},
		{1, "10.1.1.1:1", "::ffff:203.0.113.9", "203.0.113.9"},
		{2, "[2001:db8:1::7]:1", "203.0.113.9:1, 10.2.2.2:2", "203.0.113.9"},
		{1, "[::ffff:10.1.1.1]:1", "203.0.113.9", "203.0.113.9"},
	} {
		h.ProxyHops = c.hops
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := h.AddressOf(r); got != c.want {
			t.Errorf("%s with %q behind %d proxies: %s, want %s", c.peer, c.forwarded, c.hops, got, c.want)
		}
	}
}
