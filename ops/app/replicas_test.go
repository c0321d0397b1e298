package app_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"cdds/ops/api"
	"cdds/schemas"
)

// both sends two requests at once and returns the statuses.
func both(one, other func() int) (statuses map[int]int) {
	var wg sync.WaitGroup
	results := make([]int, 2)
	for n, send := range []func() int{one, other} {
		wg.Go(func() { results[n] = send() })
	}
	wg.Wait()
	statuses = map[int]int{}
	for _, status := range results {
		statuses[status]++
	}
	return statuses
}

func TestADeletedUserStaysDeletedWhileItChangesItsPasswordInALoop(t *testing.T) {
	here := newSiteOf(t, []string{"web"})
	there := here.replica()
	for n := range 6 {
		name := fmt.Sprintf("looper-%d", n)
		var made api.Password
		here.root.into(&made, 201, "POST", "/users?tenant=acme", map[string]any{"name": name, "role": "administrator"})
		old := made.Password
		loop := there.browser()
		there.eventually(func() bool {
			status, _, _ := loop.send("POST", "/session", map[string]any{"name": name, "password": old})
			return status == http.StatusOK
		})
		var ended sync.WaitGroup
		changed := make(chan struct{}, 1)
		ended.Go(func() {
			for round := range 200 {
				next := fmt.Sprintf("a good passphrase, number %d", round)
				status, _, body := loop.send("PUT", "/session/password", map[string]any{"old": old, "new": next})
				switch status {
				case http.StatusNoContent:
					old = next
					select {
					case changed <- struct{}{}:
					default:
					}
				case http.StatusUnauthorized:
					return
				default:
					t.Errorf("round %d of the loop: %d %s", round, status, body)
					return
				}
			}
			t.Error("a deleted user goes on changing its password")
		})
		<-changed
		<-changed
		here.root.must(204, "DELETE", "/users/"+name+"?tenant=acme", nil)
		ended.Wait()
		for where, s := range map[string]*site{"the process that deleted it": here, "the process it changed it at": there} {
			if status, _, _ := s.browser().send("POST", "/session", map[string]any{"name": name, "password": old}); status != http.StatusUnauthorized {
				t.Errorf("%s: a deleted user signs in: %d", where, status)
			}
			if status, _, _ := s.root.send("POST", "/users/"+name+"/password?tenant=acme", nil); status != http.StatusNotFound {
				t.Errorf("%s: a deleted user is there: %d", where, status)
			}
		}
	}
	later := here.replica()
	var users api.Listing[api.UserView]
	later.root.into(&users, 200, "GET", "/users?tenant=acme", nil)
	if len(users.Items) != 0 {
		t.Errorf("a process that starts later has the users %+v", users.Items)
	}
}

func TestOneUsernameIsCreatedOnceHoweverManyProcessesAreAsked(t *testing.T) {
	here := newSiteOf(t, []string{"web"})
	there := here.replica()
	for n := range 10 {
		body := map[string]any{"name": fmt.Sprintf("new-%d", n), "role": "viewer"}
		create := func(c *caller, tenant string) func() int {
			return func() int { status, _, _ := c.send("POST", "/users?tenant="+tenant, body); return status }
		}
		if got := both(create(here.root, "acme"), create(there.root, "globex")); got[201] != 1 || got[409] != 1 {
			t.Errorf("two tenants in two processes made %s at once: %v", body["name"], got)
		}
		body = map[string]any{"name": fmt.Sprintf("here-%d", n), "role": "viewer"}
		if got := both(create(here.root, "acme"), create(here.root, "globex")); got[201] != 1 || got[409] != 1 {
			t.Errorf("two tenants in one process made %s at once: %v", body["name"], got)
		}
	}
}

func TestOfTwoChangesOfOneRevisionOneSucceeds(t *testing.T) {
	here := newSiteOf(t, []string{"web"})
	there := here.replica()
	pem, err := os.ReadFile(here.cert)
	check(t, err)
	var c schemas.Certificate
	here.root.into(&c, 201, "POST", "/certificates?tenant=acme", pem)
	here.root.must(201, "POST", "/jobs?tenant=acme", jobBody("nightly", c.Fingerprint))
	there.eventually(func() bool {
		status, _, _ := there.root.send("GET", "/jobs/nightly?tenant=acme", nil)
		return status == http.StatusOK
	})
	for revision := 1; revision <= 20; revision++ {
		change := func(s *site, title string) func() int {
			return func() int {
				body := jobBody("", c.Fingerprint)
				body["revision"], body["title"] = revision, title
				status, _, _ := s.root.send("PUT", "/jobs/nightly?tenant=acme", body)
				return status
			}
		}
		other := there
		if revision%2 == 0 {
			other = here
		}
		if got := both(change(here, "here"), change(other, "there")); got[200] != 1 || got[412] != 1 {
			t.Fatalf("two changes of revision %d: %v", revision, got)
		}
		for _, s := range []*site{here, there} {
			s.eventually(func() bool {
				var j schemas.Job
				s.root.into(&j, 200, "GET", "/jobs/nightly?tenant=acme", nil)
				return j.Revision == revision+1
			})
		}
	}
}

func TestAProcessStartsAlthoughTheLastUserWasDeleted(t *testing.T) {
	s := newSiteOf(t, []string{"web"})
	token := s.as("administrator", "*")
	token.must(204, "DELETE", "/users/admin", nil)
	w := *s.world
	next := &site{world: &w}
	first := next.start([]string{"web"})
	next.awaitReady(200)
	select {
	case <-first:
		t.Error("the next start made a first user again")
	default:
	}
}

func TestAStreamEndsWithTheTokenItWasOpenedWith(t *testing.T) {
	s := newSiteOf(t, []string{"history", "web"}) // nobody exports, so the stream has no end of its own
	pem, err := os.ReadFile(s.cert)
	check(t, err)
	var c schemas.Certificate
	s.root.into(&c, 201, "POST", "/certificates?tenant=acme", pem)
	s.root.must(202, "POST", "/exports?tenant=acme", exportBody(c.Fingerprint, "waiting"))
	viewer := s.as("viewer", "acme")
	var tokens api.Listing[api.TokenView]
	s.root.into(&tokens, 200, "GET", "/tokens?tenant=acme", nil)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+api.Prefix+"/exports/waiting/events", nil)
	check(t, err)
	r.Header.Set("Authorization", "Bearer "+viewer.token)
	answer, err := viewer.client.Do(r)
	check(t, err)
	defer answer.Body.Close()
	first := make([]byte, len("event: export"))
	if _, err := io.ReadFull(answer.Body, first); err != nil || string(first) != "event: export" {
		t.Fatalf("the stream begins with %q, %v", first, err)
	}
	s.root.must(204, "DELETE", "/tokens/"+tokens.Items[0].TokenID+"?tenant=acme", nil)
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Errorf("the stream goes on after the token was revoked: %v", err)
	}
}
