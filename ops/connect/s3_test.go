package connect_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cdds/ops/config"
	"cdds/ops/connect"
)

// lender lends keys, each time others: as STS does, and as the agent of a pod.
type lender struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string
	lasts  time.Duration
	refuse func(w http.ResponseWriter)
}

func newLender(t *testing.T, lasts time.Duration) *lender {
	l := &lender{lasts: lasts}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		l.asked = append(l.asked, strings.Join([]string{r.Method, r.Form.Get("Action"), r.Form.Get("RoleArn"), r.Form.Get("WebIdentityToken"), r.Header.Get("Authorization")}, " "))
		if l.refuse != nil {
			l.refuse(w)
			return
		}
		n, until := len(l.asked), time.Now().Add(l.lasts).UTC().Format(time.RFC3339Nano)
		if r.Method == http.MethodGet {
			fmt.Fprintf(w, `{"AccessKeyId":"key-%d","SecretAccessKey":"s","Token":"session-%d","Expiration":%q}`, n, n, until)
			return
		}
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>`+
			`<AccessKeyId>key-%d</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>session-%d</SessionToken><Expiration>%s</Expiration>`+
			`</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, n, n, until)
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *lender) refuses(how func(w http.ResponseWriter)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = how
}

func (l *lender) seen() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// store says by which keys a bucket is asked for.
func store(t *testing.T, c config.S3) (ask func() (keys string, err error)) {
	t.Helper()
	var by string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		key, _, _ := strings.Cut(credential, "/")
		by = key + " " + r.Header.Get("X-Amz-Security-Token")
	}))
	t.Cleanup(server.Close)
	c.Endpoint, c.Bucket, c.Region = server.Listener.Addr().String(), "cdds", "eu-central-1"
	b, err := connect.Bucket(c)
	if err != nil {
		t.Fatal(err)
	}
	return func() (string, error) {
		_, err := b.Exists(t.Context())
		return by, err
	}
}

func (l *lender) webIdentity(t *testing.T) (c config.S3, token string) {
	t.Helper()
	token = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("pod-monday\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.S3{Credentials: config.S3WebIdentity, WebIdentityTokenFile: token, RoleARN: "arn:aws:iam::1:role/cdds", STSEndpoint: l.URL}, token
}

func TestKeysOfS3ComeFromSTSAndAreUsedUntilTheyExpire(t *testing.T) {
	l := newLender(t, time.Hour)
	c, _ := l.webIdentity(t)
	ask := store(t, c)
	for range 3 {
		if by, err := ask(); err != nil || by != "key-1 session-1" {
			t.Errorf("asked by %q, %v", by, err)
		}
	}
	if want := "[POST AssumeRoleWithWebIdentity arn:aws:iam::1:role/cdds pod-monday ]"; fmt.Sprint(l.seen()) != want {
		t.Errorf("STS was asked %q, want %q", l.seen(), want)
	}
}

func TestKeysOfS3AreRenewedWithTheTokenThatIsThenInTheFile(t *testing.T) {
	l := newLender(t, -time.Second) // expired at once
	c, token := l.webIdentity(t)
	ask := store(t, c)
	if by, err := ask(); err != nil || by != "key-1 session-1" {
		t.Fatalf("asked by %q, %v", by, err)
	}
	if err := os.WriteFile(token, []byte("pod-tuesday"), 0o600); err != nil {
		t.Fatal(err)
	}
	if by, err := ask(); err != nil || by != "key-2 session-2" || !strings.Contains(l.seen()[1], " pod-tuesday ") {
		t.Errorf("asked by %q, %v; STS was asked %q", by, err, l.seen())
	}
}

func TestSTSThatGivesNoKeysIsReportedWithWhatToDo(t *testing.T) {
	refusal := func(status int, code, message string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>`, code, message)
		}
	}
	for _, r := range []struct {
		how     func(http.ResponseWriter)
		says    string
		refuses bool
	}{
		{refusal(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"), "Not authorized to perform sts:AssumeRoleWithWebIdentity", true},
		{refusal(400, "InvalidIdentityToken", "No OpenIDConnect provider found"), "No OpenIDConnect provider found", true},
		{refusal(400, "ExpiredTokenException", "Token expired"), "Token expired", false}, // it is renewed
		{refusal(503, "ServiceUnavailable", "later"), "later", false},
	} {
		l := newLender(t, time.Hour)
		c, _ := l.webIdentity(t)
		l.refuses(r.how)
		_, err := store(t, c)()
		if err == nil || !strings.Contains(err.Error(), r.says) || !strings.Contains(err.Error(), "see s3.role_arn") || connect.Refuses(err) != r.refuses {
			t.Errorf("%s: refuses %t, %v", r.says, connect.Refuses(err), err)
		}
	}
	c, token := newLender(t, time.Hour).webIdentity(t)
	if err := os.Remove(token); err != nil {
		t.Fatal(err)
	}
	if _, err := store(t, c)(); err == nil || !strings.Contains(err.Error(), "s3.web_identity_token_file: open "+token) {
		t.Errorf("without a token: %v", err)
	}
}

// TestKeysOfS3AreThoseOfTheRoleOfThePod as EKS Pod Identity and ECS give them; IRSA is the
// same request to STS as web_identity, from AWS's own variables.
func TestKeysOfS3AreThoseOfTheRoleOfThePod(t *testing.T) {
	l := newLender(t, time.Hour)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", l.URL+"/v1/credentials")
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of-the-pod")
	ask := store(t, config.S3{Credentials: config.S3IAM})
	if by, err := ask(); err != nil || by != "key-1 session-1" || fmt.Sprint(l.seen()) != "[GET    of-the-pod]" {
		t.Errorf("asked by %q, %v; the agent was asked %q", by, err, l.seen())
	}
	l.refuses(func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) })
	if _, err := store(t, config.S3{Credentials: config.S3IAM})(); err == nil || !strings.Contains(err.Error(), "finds no role of this pod, task or machine") || !strings.Contains(err.Error(), "403") {
		t.Errorf("without a role: %v", err)
	}
}

func TestLinksLeadToThePublicURLAndAreSignedForIt(t *testing.T) {
	c := config.S3{Endpoint: "minio:9000", AccessKey: "a", SecretKey: "s", Bucket: "cdds", Region: "eu-central-1"}
	link := func() string {
		t.Helper()
		b, err := connect.Bucket(c)
		if err != nil {
			t.Fatal(err)
		}
		u, err := b.Sibling("other").Link(t.Context(), "acme/e1/part", "part.p7m", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return u.String()
	}
	if got := link(); !strings.HasPrefix(got, "http://minio:9000/other/acme/e1/part?") {
		t.Errorf("the link is %s", got)
	}
	c.PublicURL = "https://files.example.com"
	if got := link(); !strings.HasPrefix(got, "https://files.example.com/other/acme/e1/part?") {
		t.Errorf("the link is %s", got)
	}
	c.Region = "" // nobody is asked which it is
	if got := link(); !strings.Contains(got, "us-east-1") {
		t.Errorf("the link is %s", got)
	}
}
