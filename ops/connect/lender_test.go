package connect

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2/clientcredentials"
)

func TestNoSecretFollowsARedirectOfWhoLendsTokens(t *testing.T) {
	var followed atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer other.Close()
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, status)
		}))
		defer endpoint.Close()
		p := &provider{client: lender(nil), config: clientcredentials.Config{ClientID: "cdds", ClientSecret: "a secret", TokenURL: endpoint.URL}}
		if token, err := p.token(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("%d gives %q, %v", status, token, err)
		}
	}
	if n := followed.Load(); n > 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// endpoint gives tokens that are numbered, and is away after most of them.
type endpoint struct{ given, most int }

func (e *endpoint) RoundTrip(*http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	if e.given == e.most {
		w.WriteHeader(http.StatusServiceUnavailable)
		return w.Result(), nil
	}
	e.given++
	_, _ = fmt.Fprintf(w, `{"access_token":"token %d","token_type":"bearer","expires_in":100}`, e.given)
	return w.Result(), nil
}

func TestATokenIsRenewedInTimeAndServesWhileTheProviderIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := &endpoint{most: 2}
		p := &provider{client: &http.Client{Transport: at}}
		after := func(pause time.Duration) string {
			time.Sleep(pause)
			token, err := p.token(context.Background())
			if err != nil {
				if temporary, is := err.(interface{ Temporary() bool }); !is || !temporary.Temporary() {
					t.Errorf("it is not worth another try: %v", err)
				}
				return "none"
			}
			p.confirm()
			return token
		}
		for _, step := range []struct {
			pause time.Duration
			want  string
		}{{0, "token 1"}, {70 * time.Second, "token 1"}, {15 * time.Second, "token 2"}, {85 * time.Second, "token 2"}, {20 * time.Second, "none"}} {
			if got := after(step.pause); got != step.want {
				t.Errorf("after %s more it is %s, not %s", step.pause, got, step.want)
			}
		}
	})
}

func TestATokenThatNoBrokerTakesIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &provider{client: &http.Client{Transport: &endpoint{most: 9}}}
		var all []string
		for range 8 {
			token, err := p.token(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, token)
			time.Sleep(6 * time.Second)
		}
		if first, last := all[0], all[7]; first != "token 1" || all[4] != first || last != "token 2" {
			t.Errorf("those tried were %q", all)
		}
	})
}
