package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"cdds/ops/api"
	"cdds/schemas"
)

// through is the same caller, with the same token and cookies, at another process. Cookies
// are of a host and not of its port.
func (c *caller) through(s *site) *caller { return &caller{site: s, token: c.token, client: c.client} }

// at is the path below the API's prefix of an answer's Location.
func at(t *testing.T, location string) string {
	t.Helper()
	path, ok := strings.CutPrefix(location, api.Prefix)
	if !ok {
		t.Fatalf("the Location is %q", location)
	}
	return path
}

// TestWhatOneProcessAcknowledgedAnotherOneHasAtOnce has two web processes and nothing
// else: no worker takes a request, and history learns of none.
func TestWhatOneProcessAcknowledgedAnotherOneHasAtOnce(t *testing.T) {
	t.Parallel()
	a := newSiteOf(t, []string{"web"})
	b := a.replica()
	onA := a.as("administrator", "acme")
	onB := onA.through(b) // with a token that was made through A just now
	pem, err := os.ReadFile(a.cert)
	check(t, err)
	var c schemas.Certificate
	onA.into(&c, 201, "POST", "/certificates", pem)
	onB.must(200, "GET", "/certificates/"+c.Fingerprint, nil)

	// post sends to one process and reads the Location from the other, at once.
	post := func(from, to *caller, path string, body map[string]any) (location string, answer map[string]any) {
		t.Helper()
		status, header, b := from.send("POST", path, body)
		if status >= 300 {
			t.Fatalf("POST %s: %d %s", path, status, b)
		}
		location = at(t, header.Get("Location"))
		check(t, json.Unmarshal(to.must(200, "GET", location, nil), &answer))
		return location, answer
	}
	for n := range 20 {
		onA = a.as("administrator", "acme") // who asks too often is throttled
		onB = onA.through(b)
		from, to := onA, onB
		if n%2 == 1 {
			from, to = onB, onA
		}
		id := fmt.Sprintf("e-%d", n)
		location, answer := post(from, to, "/exports", exportBody(c.Fingerprint, id))
		if answer["state"] != "requested" {
			t.Errorf("%s is %v", location, answer["state"])
		}
		to.must(202, "POST", "/exports", exportBody(c.Fingerprint, id)) // the same again
		other := exportBody(c.Fingerprint, id)
		other["to"] = "2029-01-01T00:00:00Z"
		to.must(409, "POST", "/exports", other)
		to.must(202, "POST", location+"/cancel", nil)
		post(to, from, location+"/clone", nil)
		post(from, to, "/erasures", map[string]any{"contact_id": "c", "erasure_id": id})
		to.must(409, "POST", "/erasures", map[string]any{"contact_id": "another", "erasure_id": id})

		job := fmt.Sprintf("j-%d", n)
		made := jobBody(job, c.Fingerprint)
		made["timeframe"] = map[string]any{"kind": "since_last_run"}
		from.must(201, "POST", "/jobs", made)
		to.must(200, "GET", "/jobs/"+job, nil)
		changed := maps.Clone(made)
		delete(changed, "job_id")
		changed["revision"], changed["title"] = 1, "Changed"
		to.must(200, "PUT", "/jobs/"+job, changed)
		var read schemas.Job
		from.into(&read, 200, "GET", "/jobs/"+job, nil)
		if read.Title != "Changed" {
			t.Errorf("the job is read as %q after it was changed", read.Title)
		}
		if !strings.Contains(string(from.must(200, "GET", "/jobs", nil)), job) {
			t.Errorf("job %s is not listed", job)
		}
		post(from, to, "/jobs/"+job+"/run", nil)
		from.must(200, "DELETE", "/jobs/"+job, nil)
		to.must(404, "GET", "/jobs/"+job, nil)

		name := fmt.Sprintf("user-%d", n)
		var p api.Password
		from.into(&p, 201, "POST", "/users", map[string]any{"name": name, "role": "viewer"})
		a.secrets = append(a.secrets, p.Password)
		if !strings.Contains(string(to.must(200, "GET", "/users", nil)), `"`+name+`"`) {
			t.Errorf("user %s is not listed", name)
		}
		if n < 3 { // hashing takes its time, and signing in is throttled
			person := to.site.browser()
			person.must(200, "POST", "/session", map[string]any{"name": name, "password": p.Password})
			person.must(204, "PUT", "/session/password", map[string]any{"old": p.Password, "new": a.password})
			person.through(from.site).must(200, "GET", "/jobs", nil) // no need to change it there
		}
		from.must(204, "DELETE", "/users/"+name, nil)
		to.must(404, "DELETE", "/users/"+name, nil)
	}
	var spare api.NewToken
	onA.into(&spare, 201, "POST", "/tokens", map[string]any{"name": "spare", "role": "viewer", "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)})
	a.secrets = append(a.secrets, spare.Secret)
	onB.must(204, "DELETE", "/tokens/"+spare.TokenID, nil)
	revoked := &caller{site: a, token: spare.Secret, client: a.browser().client}
	revoked.must(401, "GET", "/jobs", nil)

	// A process that starts later has no memory of its own, and knows them all the same.
	later := onA.through(a.replica())
	later.must(200, "GET", "/exports/e-0", nil)
	later.must(200, "GET", "/erasures/e-19", nil)
	later.must(404, "GET", "/exports/nobody-asked-for", nil)
}

// TestWhoLosesAccessThroughOneProcessHasLostItAtOnceInAnother has two web processes: an
// administrator acts through one, and the others through the other.
func TestWhoLosesAccessThroughOneProcessHasLostItAtOnceInAnother(t *testing.T) {
	t.Parallel()
	a := newSiteOf(t, []string{"web"})
	b := a.replica()
	onA := a.as("administrator", "acme")
	pem, err := os.ReadFile(a.cert)
	check(t, err)
	var c schemas.Certificate
	onA.into(&c, 201, "POST", "/certificates", pem)
	onA.must(202, "POST", "/exports", exportBody(c.Fingerprint, "e-1")) // nobody runs it, so it does not end

	for what, change := range map[string]func(name string){
		"disabled": func(name string) { onA.must(204, "POST", "/users/"+name+"/disable", nil) },
		"changed":  func(name string) { onA.must(204, "PUT", "/users/"+name, map[string]any{"role": "viewer"}) },
		"deleted":  func(name string) { onA.must(204, "DELETE", "/users/"+name, nil) },
		"signed-out": func(name string) {
			var list api.Listing[api.SessionView]
			onA.into(&list, 200, "GET", "/sessions", nil)
			for _, s := range list.Items {
				if s.Name == name {
					onA.must(204, "DELETE", "/sessions/"+s.SessionID, nil)
				}
			}
		},
	} {
		name := "user-" + what
		var p api.Password
		onA.into(&p, 201, "POST", "/users", map[string]any{"name": name, "role": "administrator"})
		a.secrets = append(a.secrets, p.Password)
		person := b.browser()
		person.must(200, "POST", "/session", map[string]any{"name": name, "password": p.Password})
		person.must(204, "PUT", "/session/password", map[string]any{"old": p.Password, "new": a.password})
		ends := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		var made api.NewToken
		person.into(&made, 201, "POST", "/tokens", map[string]any{"name": "t", "role": "viewer", "expires_at": ends})
		a.secrets = append(a.secrets, made.Secret)
		program := &caller{site: b, token: made.Secret, client: b.browser().client}
		program.must(200, "GET", "/jobs", nil)
		stream := person.follow("e-1")
		if first := stream.event(); !strings.Contains(first, `"export_id":"e-1"`) {
			t.Fatalf("the stream begins with %q", first)
		}

		change(name)
		person.must(401, "GET", "/jobs", nil)
		stream.ends()
		if what == "signed-out" {
			program.must(200, "GET", "/jobs", nil) // the user is still there
		} else {
			program.must(401, "GET", "/jobs", nil)
		}
	}
}

// stream is an answer of server-sent events.
type stream struct {
	t    *testing.T
	body io.ReadCloser
	read *bufio.Reader
}

// follow opens the stream of an export.
func (c *caller) follow(id string) *stream {
	c.site.t.Helper()
	r, err := http.NewRequestWithContext(c.site.t.Context(), http.MethodGet, c.site.url+api.Prefix+"/exports/"+id+"/events", nil)
	check(c.site.t, err)
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.client.Do(r)
	check(c.site.t, err)
	c.site.t.Cleanup(func() { _ = answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		c.site.t.Fatalf("following export %s: %s", id, answer.Status)
	}
	return &stream{c.site.t, answer.Body, bufio.NewReader(answer.Body)}
}

// event is the data of the next event.
func (s *stream) event() string {
	s.t.Helper()
	for {
		line, err := s.read.ReadString('\n')
		check(s.t, err)
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			return data
		}
	}
}

// ends fails the test if the stream goes on for long.
func (s *stream) ends() {
	s.t.Helper()
	defer time.AfterFunc(patience, func() { s.t.Error("the stream goes on"); _ = s.body.Close() }).Stop()
	_, _ = io.Copy(io.Discard, s.read)
}

// last is the data of the last event before the stream ends.
func (s *stream) last() (data string) {
	s.t.Helper()
	defer time.AfterFunc(patience, func() { s.t.Error("the stream goes on"); _ = s.body.Close() }).Stop()
	lines := bufio.NewScanner(s.read)
	for lines.Scan() {
		if of, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			data = of
		}
	}
	return data
}
