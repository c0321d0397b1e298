package connect_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"cdds/ops/config"
	"cdds/ops/connect"
)

// brokers log in who brings a token that they take, and say for how long.
type brokers struct {
	mu     sync.Mutex
	takes  func(token string) bool
	logins []string // the first message of each
	addr   []string
}

func newBrokers(t *testing.T, takes func(token string) bool) *brokers {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	b := &brokers{takes: takes, addr: cluster.ListenAddrs()}
	cluster.ControlKey(int16(kmsg.SASLHandshake), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if mechanism := r.(*kmsg.SASLHandshakeRequest).Mechanism; mechanism != "OAUTHBEARER" {
			t.Errorf("the mechanism is %s", mechanism)
		}
		return r.ResponseKind(), nil, true
	})
	cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		first := string(r.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes)
		answered := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		_, token, _ := strings.Cut(first, "auth=Bearer ")
		token, _, _ = strings.Cut(token, "\x01")
		b.mu.Lock()
		defer b.mu.Unlock()
		b.logins = append(b.logins, first)
		if b.takes(token) {
			answered.SessionLifetimeMillis = 1010 // franz-go logs in again a second before
		} else {
			answered.SASLAuthBytes = []byte(`{"status":"invalid_token"}`)
		}
		return answered, nil, true
	})
	return b
}

func (b *brokers) seen() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.logins
}

// client logs in as c says.
func (b *brokers) client(t *testing.T, c config.SASL) *kgo.Client {
	t.Helper()
	c.Mechanism = "OAUTHBEARER"
	opts, err := connect.Kafka(config.Kafka{Brokers: b.addr, SASL: c, SessionTimeout: time.Minute}, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(append(opts, kgo.RetryTimeout(time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// untilLogins uses the client until it has logged in n times.
func (b *brokers) untilLogins(t *testing.T, client *kgo.Client, n int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); len(b.seen()) < n; {
		if err := client.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("only %d logins", len(b.seen()))
		}
	}
}

// tokens is a token endpoint. Each token it gives is another.
type tokens struct {
	*httptest.Server
	mu      sync.Mutex
	given   int
	asked   []string
	expires int
	refuse  func(w http.ResponseWriter)
}

func newTokens(t *testing.T, expires int) *tokens {
	e := &tokens{expires: expires}
	e.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		user, password, _ := r.BasicAuth()
		e.asked = append(e.asked, fmt.Sprint(user, " ", password, " ", r.FormValue("grant_type"), " ", r.FormValue("scope"), " ", r.FormValue("audience")))
		w.Header().Set("Content-Type", "application/json")
		if e.refuse != nil {
			e.refuse(w)
			return
		}
		e.given++
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":%d}`, e.given, e.expires)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *tokens) client(t *testing.T) config.SASL {
	t.Helper()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.SASL{OAuth: config.OAuth{TokenURL: e.URL + "/token", ClientID: "cdds", ClientSecret: "s3cret", Scopes: []string{"kafka", "cdds"}, Audience: "brokers", CAFile: authority}}
}

func TestATokenOfAProviderLogsInAndIsUsedUntilItExpires(t *testing.T) {
	b, e := newBrokers(t, func(token string) bool { return strings.HasPrefix(token, "token-") }), newTokens(t, 3600)
	c := e.client(t)
	c.Extensions = map[string]string{"logicalCluster": "lkc-1", "a": "b"}
	b.untilLogins(t, b.client(t, c), 4)
	if got := b.seen()[3]; got != "n,,\x01auth=Bearer token-1\x01a=b\x01logicalCluster=lkc-1\x01\x01" {
		t.Errorf("a login is %q", got)
	}
	if want := "[cdds s3cret client_credentials kafka cdds brokers]"; fmt.Sprint(e.asked) != want {
		t.Errorf("asked for tokens: %v, want %s", e.asked, want)
	}
}

func TestATokenThatExpiresIsRenewed(t *testing.T) {
	b, e := newBrokers(t, func(string) bool { return true }), newTokens(t, 5) // within what is left for clocks that differ
	b.untilLogins(t, b.client(t, e.client(t)), 3)
	for n, login := range b.seen()[:3] {
		if want := fmt.Sprintf("Bearer token-%d\x01", n+1); !strings.Contains(login, want) {
			t.Errorf("login %d is %q, want %q", n, login, want)
		}
	}
}

// TestATokenThatTheBrokersRefuseIsNotUsedAgain: keys of the provider were replaced, say.
func TestATokenThatTheBrokersRefuseIsNotUsedAgain(t *testing.T) {
	b, e := newBrokers(t, func(token string) bool { return token != "token-1" }), newTokens(t, 3600)
	client := b.client(t, e.client(t))
	err := client.Ping(t.Context())
	for range 3 { // franz-go may have tried again already
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "the brokers refuse the token") || !strings.Contains(err.Error(), "invalid_token") || !connect.Refuses(err) {
			t.Fatalf("refused with %v", err)
		}
		err = client.Ping(t.Context())
	}
	if err != nil || !strings.Contains(b.seen()[len(b.seen())-1], "token-2") {
		t.Errorf("%v after the logins %q", err, b.seen())
	}
}

func TestATokenInAFileIsReadAtEachLogin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	put := func(content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := newBrokers(t, func(string) bool { return true })
	put("monday\n")
	client := b.client(t, config.SASL{TokenFile: file})
	b.untilLogins(t, client, 1)
	put("tuesday\n")
	n := len(b.seen())
	b.untilLogins(t, client, n+1)
	if got := b.seen(); !strings.Contains(got[0], "Bearer monday\x01") || !strings.Contains(got[n], "Bearer tuesday\x01") {
		t.Errorf("logins %q", got)
	}
	for content, want := range map[string]string{" \n": "is empty; it must hold a token", "": "is empty"} {
		put(content)
		if err := b.client(t, config.SASL{TokenFile: file}).Ping(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with %q in the file: %v", content, err)
		}
	}
	if err := b.client(t, config.SASL{TokenFile: file + ".none"}).Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "kafka.sasl.token_file: open "+file+".none") {
		t.Errorf("without a file: %v", err)
	}
}

func TestAProviderThatGivesNoTokenIsReportedWithWhatToDo(t *testing.T) {
	for _, c := range []struct {
		status  int
		body    string
		says    string
		refuses bool
	}{
		{401, `{"error":"invalid_client","error_description":"Invalid client\n or secret"}`, `gives the client "cdds" no token for Kafka: invalid_client Invalid client or secret; see kafka.sasl.oauth.client_id and client_secret`, true},
		{400, `{"error":"unauthorized_client"}`, "allow the client the grant client_credentials at the provider", true},
		{400, `{"error":"invalid_scope"}`, "see kafka.sasl.oauth.scopes", true},
		{404, `<html>secret page</html>`, "no token for Kafka: 404 Not Found; see kafka.sasl.oauth", true},
		{503, `{}`, "503 Service Unavailable", false},
		{429, `{}`, "429 Too Many Requests", false},
		{200, `{"token_type":"Bearer"}`, "server response missing access_token", false},
		{200, `no JSON`, "no token for Kafka from", false},
	} {
		b, e := newBrokers(t, func(string) bool { return true }), newTokens(t, 60)
		e.refuse = func(w http.ResponseWriter) { w.WriteHeader(c.status); fmt.Fprint(w, c.body) }
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := b.client(t, e.client(t)).Ping(ctx)
		cancel()
		if err == nil || !strings.Contains(err.Error(), c.says) || connect.Refuses(err) != c.refuses || strings.Contains(err.Error(), "secret page") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%d %s: refuses %t, %v", c.status, c.body, connect.Refuses(err), err)
		}
	}
	b, e := newBrokers(t, func(string) bool { return true }), newTokens(t, 60)
	untrusted := e.client(t)
	untrusted.OAuth.CAFile = ""
	if err := b.client(t, untrusted).Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") || !connect.Refuses(err) {
		t.Errorf("of a provider that nobody trusts: %v", err)
	}
	e.Close()
	if err := b.client(t, e.client(t)).Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") || connect.Refuses(err) {
		t.Errorf("of a provider that is away: %v", err)
	}
}
