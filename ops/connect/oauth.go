package connect

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"cdds/ops/config"
	"cdds/pipeline/answer"
)

// tokenTimeout bounds one request for a token or for keys.
const tokenTimeout = 10 * time.Second

// bearer logs in to Kafka with a token (OAUTHBEARER, RFC 7628). franz-go logs in with each
// connection, and again before the time is over that the broker gives a login.
type bearer struct {
	token      func(context.Context) (string, error)
	taken      func() // the brokers took the token
	refused    func() // forgets the token that the brokers refuse
	extensions map[string]string
}

var _ sasl.Mechanism = (*bearer)(nil)

func newBearer(c config.SASL) (*bearer, error) {
	b := &bearer{extensions: c.Extensions, taken: func() {}, refused: func() {}}
	if c.TokenFile != "" {
		b.token = func(context.Context) (string, error) { return readToken("kafka.sasl.token_file", c.TokenFile) }
		return b, nil
	}
	trust, err := TLS(config.TLS{CAFile: c.OAuth.CAFile})
	if err != nil {
		return nil, fmt.Errorf("kafka.sasl.oauth.ca_file: %w", err)
	}
	p := &provider{client: lender(trust), config: clientcredentials.Config{
		ClientID: c.OAuth.ClientID, ClientSecret: c.OAuth.ClientSecret.Reveal(), TokenURL: c.OAuth.TokenURL, Scopes: c.OAuth.Scopes,
		// RFC 6749, 2.3.1: every server must support it. Trying both would send the secret twice.
		AuthStyle: oauth2.AuthStyleInHeader,
	}}
	if c.OAuth.Audience != "" {
		p.config.EndpointParams = map[string][]string{"audience": {c.OAuth.Audience}}
	}
	b.token, b.taken, b.refused = p.token, p.confirm, p.forget
	return b, nil
}

func (b *bearer) Name() string { return config.OAuthBearer }

// Authenticate begins a login.
func (b *bearer) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	token, err := b.token(ctx)
	if err != nil {
		return nil, nil, err
	}
	session, first, err := oauth.Auth{Token: token, Extensions: b.extensions}.AsMechanism().Authenticate(ctx, host)
	return login{session, b}, first, err
}

// login is one login. A broker answers a token that it does not take with JSON, which
// franz-go's own session reports as unexpected data.
type login struct {
	sasl.Session
	of *bearer
}

// Challenge reads what the broker answers: nothing, or why it refuses the token.
func (l login) Challenge(answered []byte) (bool, []byte, error) {
	if len(answered) == 0 {
		l.of.taken()
		return l.Session.Challenge(answered)
	}
	l.of.refused()
	return false, nil, &answer.Error{Service: "Kafka", Meaning: answer.Mendable, Err: fmt.Errorf(
		"the brokers refuse the token (%s); see that they trust its issuer and its audience, and that it has not expired", strings.ToValidUTF8(string(answered), "?"))}
}

// readToken reads a token from a file, which somebody else renews.
func readToken(key, file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	token := strings.TrimSpace(string(content))
	if token == "" {
		return "", fmt.Errorf("%s: %s is empty; it must hold a token", key, file)
	}
	return token, nil
}

// lender is a client for those who lend tokens and keys. It follows no redirect: that would carry
// the secret on to whoever is named there.
func lender(trust *tls.Config) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = trust
	return &http.Client{
		Transport: bounded{transport}, Timeout: tokenTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded reads no more of an answer than a token or keys can have.
type bounded struct{ http.RoundTripper }

const maxLent = 1 << 20

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answered, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answered.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answered.Body, maxLent), answered.Body}
	}
	return answered, err
}

// provider asks an authorization server for tokens. It keeps the last until most of its time
// is over, and after that while there is no other.
type provider struct {
	config clientcredentials.Config
	client *http.Client
	mu     sync.Mutex
	last   *oauth2.Token
	// asked is when the last was given, doubted when it was used first since brokers took it: those
	// that refuse it by a code alone do not say so to a login.
	asked, doubted time.Time
}

// doubtFor is for how long a token is used that no broker takes.
const doubtFor = 30 * time.Second

// token returns a token that is valid for a while.
func (p *provider) token(ctx context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.doubted.IsZero() {
		p.doubted = now
	}
	if p.last != nil && now.Sub(p.doubted) > doubtFor && now.Sub(p.asked) > doubtFor {
		p.last = nil
	}
	if p.last.Valid() && (p.last.Expiry.IsZero() || now.Before(p.asked.Add(p.last.Expiry.Sub(p.asked)*4/5))) {
		return p.last.AccessToken, nil
	}
	token, err := p.config.Token(context.WithValue(ctx, oauth2.HTTPClient, p.client))
	switch {
	case err == nil:
		p.last, p.asked, p.doubted = token, now, now
	case !p.last.Valid():
		return "", p.explain(err)
	}
	return p.last.AccessToken, nil
}

// confirm notes that brokers took a token.
func (p *provider) confirm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubted = time.Time{}
}

func (p *provider) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = nil
}

// passing is an error that franz-go tries again after.
type passing struct{ error }

// Temporary reports that it is worth another try.
func (passing) Temporary() bool { return true }

func (e passing) Unwrap() error { return e.error }

// explain says what a token endpoint's refusal means; its body may be anything, and is
// left out.
func (p *provider) explain(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response == nil {
		return passing{fmt.Errorf("no token for Kafka from %s: %w", p.config.TokenURL, err)}
	}
	why := refused.Response.Status
	if refused.ErrorCode != "" {
		why = strings.Join(strings.Fields(refused.ErrorCode+" "+refused.ErrorDescription), " ")
	}
	advice := map[string]string{
		"invalid_client":      "see kafka.sasl.oauth.client_id and client_secret",
		"unauthorized_client": "allow the client the grant client_credentials at the provider",
		"invalid_scope":       "see kafka.sasl.oauth.scopes",
	}[refused.ErrorCode]
	if advice == "" {
		advice = "see kafka.sasl.oauth"
	}
	explained := fmt.Errorf("%s gives the client %q no token for Kafka: %s; %s", p.config.TokenURL, p.config.ClientID, why, advice)
	if s := refused.Response.StatusCode; s < 400 || s >= 500 || s == http.StatusTooManyRequests || s == http.StatusRequestTimeout {
		return passing{explained}
	}
	return &answer.Error{Service: "the token endpoint", Meaning: answer.Mendable, Err: explained}
}
