package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"cdds/schemas"
)

// OIDC lets people sign in through an OpenID Connect provider: authorization code
// flow with PKCE (RFC 7636), state and nonce.
type OIDC struct {
	// Issuer is the provider's, as its discovery document says.
	Issuer string
	// ClientID and ClientSecret are what the provider gave; public clients have no secret.
	ClientID, ClientSecret string
	// RedirectURL is the absolute URL of CallbackPath here.
	RedirectURL string
	// Scopes beside openid; empty means profile and email.
	Scopes []string
	// Grants say who may do what; the first whose claim has the value counts. Who
	// has none is refused.
	Grants []Grant
	// Client makes the calls to the provider; nil means one with a timeout.
	Client *http.Client

	mu       sync.Mutex
	provider *oidc.Provider
}

// Grant gives people of a provider a role.
type Grant struct {
	// Claim of the ID token, such as groups; a text or a list of texts that Value is among.
	Claim string `yaml:"claim" json:"claim"`
	Value string `yaml:"value" json:"value"`
	// Tenant is whose data they see; * is all tenants'.
	Tenant string `yaml:"tenant" json:"tenant"`
	// TenantClaim is the claim that says the tenant, if Tenant is empty.
	TenantClaim string `yaml:"tenant_claim" json:"tenant_claim"`
	Role        string `yaml:"role" json:"role"`
}

// Paths of signing in through a provider.
const (
	StartPath    = "/auth/oidc/start"
	CallbackPath = "/auth/oidc/callback"
)

// oidcTimeout bounds each call to the provider; oidcFlow the time to sign in there.
const (
	oidcTimeout = 10 * time.Second
	oidcFlow    = 10 * time.Minute
)

// ErrGrant says that the provider knows somebody we have no role for.
var ErrGrant = errors.New("your account has no role here; ask an administrator for one")

// GrantError is an ErrGrant with the reason.
type GrantError struct{ Reason string }

func (e *GrantError) Error() string { return e.Reason }

// Is makes it an ErrGrant.
func (e *GrantError) Is(target error) bool { return target == ErrGrant }

// clockSkew is how far the provider's clock may be behind ours: for that long an ID token
// still counts after it expired.
const clockSkew = 2 * time.Minute

// flow is what the browser keeps, sealed, while it is at the provider.
type flow struct {
	State, Nonce, Verifier, Return string
	Until                          time.Time
}

// connect discovers the provider on first use, so that one that is down does not
// keep the service from starting, and is asked again the next time.
func (o *OIDC) connect(ctx context.Context) (*oidc.Provider, *oauth2.Config, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.provider == nil {
		p, err := oidc.NewProvider(ctx, o.Issuer)
		if err != nil {
			return nil, nil, fmt.Errorf("the OpenID provider %s: %w", o.Issuer, err)
		}
		o.provider = p
	}
	scopes := o.Scopes
	if len(scopes) == 0 {
		scopes = []string{"profile", "email"}
	}
	endpoint := o.provider.Endpoint()
	endpoint.AuthStyle = o.authStyle()
	return o.provider, &oauth2.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret, Endpoint: endpoint,
		RedirectURL: o.RedirectURL, Scopes: append([]string{oidc.ScopeOpenID}, scopes...),
	}, nil
}

// authStyle is how the client proves who it is: as the provider's discovery document says,
// because a provider may take a code only once, and a second attempt in another style
// comes too late.
func (o *OIDC) authStyle() oauth2.AuthStyle {
	var says struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	switch err := o.provider.Claims(&says); {
	case o.ClientSecret == "":
		return oauth2.AuthStyleInParams
	case err != nil:
	case slices.Contains(says.Methods, "client_secret_basic"):
		return oauth2.AuthStyleInHeader
	case slices.Contains(says.Methods, "client_secret_post"):
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleAutoDetect
}

// client is a context whose calls to the provider have a timeout. The provider keeps
// it for its keys, so it does not end with the request.
func (o *OIDC) client(ctx context.Context) context.Context {
	c := o.Client
	if c == nil {
		c = &http.Client{Timeout: oidcTimeout}
	}
	return oidc.ClientContext(context.WithoutCancel(ctx), c)
}

// StartOIDC sends the browser to the provider. ?return= is the local path to come
// back to.
func (s *Service) StartOIDC(w http.ResponseWriter, r *http.Request) error {
	if s.OIDC == nil {
		return fmt.Errorf("%w: no OpenID provider is configured", ErrForbidden)
	}
	if _, err := s.byNetwork.Take("oidc/"+s.NetworkOf(r), s.Now()); err != nil {
		return err
	}
	_, config, err := s.OIDC.connect(s.OIDC.client(r.Context()))
	if err != nil {
		return err
	}
	f := flow{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Return: localPath(r.FormValue("return")), Until: s.Now().Add(oidcFlow)}
	sealed, err := s.sealer.seal(oidcCookie, f)
	if err != nil {
		return err
	}
	http.SetCookie(w, s.cookie(oidcCookie, sealed, oidcFlow))
	http.Redirect(w, r, config.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), http.StatusFound)
	return nil
}

// FinishOIDC takes what the provider sent the browser back with, begins a session
// and sends the browser to where it came from.
func (s *Service) FinishOIDC(w http.ResponseWriter, r *http.Request) error {
	if s.OIDC == nil {
		return fmt.Errorf("%w: no OpenID provider is configured", ErrForbidden)
	}
	p, back, err := s.finish(r)
	http.SetCookie(w, s.cookie(oidcCookie, "", 0))
	if err != nil {
		s.signIns.WithLabelValues(ViaOIDC, schemas.OutcomeRefused).Inc()
		if p.Subject != "" {
			err = errors.Join(err, s.audit(r.Context(), p, "session.begin", schemas.OutcomeRefused, err.Error()))
		}
		return err
	}
	s.signIns.WithLabelValues(ViaOIDC, schemas.OutcomeDone).Inc()
	err = s.begin(w, r, p, session{Tenant: p.Tenant, Role: p.Role, Began: schemas.TimeOf(s.Now()).Time},
		s.record(p, "session.begin", schemas.OutcomeDone, "through "+s.OIDC.Issuer))
	if err != nil {
		return err
	}
	http.Redirect(w, r, back, http.StatusSeeOther) //nolint:gosec // a path of this site; see finish
	return nil
}

func (s *Service) finish(r *http.Request) (p Principal, back string, err error) {
	var f flow
	c, err := r.Cookie(s.cookieName(oidcCookie))
	if err != nil || s.sealer.open(oidcCookie, c.Value, &f) != nil || s.Now().After(f.Until) || f.State == "" || r.FormValue("state") != f.State {
		return p, "", fmt.Errorf("%w: the way back from the provider is not the one that was begun here; sign in again", ErrSession)
	}
	if e := r.FormValue("error"); e != "" {
		return p, "", fmt.Errorf("%w: the provider said %q", ErrCredentials, bounded(e))
	}
	ctx := s.OIDC.client(r.Context())
	provider, config, err := s.OIDC.connect(ctx)
	if err != nil {
		return p, "", err
	}
	token, err := config.Exchange(ctx, r.FormValue("code"), oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return p, "", fmt.Errorf("%w: the provider did not take its code back: %w", ErrCredentials, err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: s.OIDC.ClientID, Now: func() time.Time { return s.Now().Add(-clockSkew) }}).Verify(ctx, raw)
	if err != nil {
		return p, "", fmt.Errorf("%w: the provider's ID token: %w", ErrCredentials, err)
	}
	if id.Nonce != f.Nonce {
		return p, "", fmt.Errorf("%w: the provider's ID token is not for this sign-in", ErrCredentials)
	}
	p = Principal{Subject: "oidc/unknown", Name: "unknown", Tenant: schemas.AllTenants, Via: ViaOIDC, From: s.AddressOf(r)}
	if id.Subject == "" { // or all people without one would be the same
		return p, "", fmt.Errorf("%w: the provider's ID token does not say who signed in (sub)", ErrCredentials)
	}
	p.Subject = oidcSubject(id.Issuer, id.Subject)
	claims, err := s.OIDC.claims(ctx, provider, id, token)
	if err != nil {
		return p, "", err
	}
	p.Name = bounded(nameIn(claims, id.Subject))
	tenant, role, err := grantOf(s.OIDC.Grants, claims)
	if err != nil {
		return p, "", fmt.Errorf("%w: %w", ErrForbidden, err)
	}
	p.Tenant, p.Role = tenant, role
	return p, f.Return, nil
}

// claims are those of the ID token and, where it lacks one that grants look at or a name,
// what the provider says of the user beside it.
func (o *OIDC) claims(ctx context.Context, provider *oidc.Provider, id *oidc.IDToken, token *oauth2.Token) (map[string]any, error) {
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return nil, err
	}
	complete := claims["preferred_username"] != nil
	for _, g := range o.Grants {
		complete = complete && claims[g.Claim] != nil && (g.TenantClaim == "" || claims[g.TenantClaim] != nil)
	}
	if complete || provider.UserInfoEndpoint() == "" {
		return claims, nil
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, fmt.Errorf("%w: the provider's user info: %w", ErrCredentials, err)
	}
	if info.Subject != id.Subject {
		return nil, fmt.Errorf("%w: the provider's user info is about somebody else", ErrCredentials)
	}
	beside := map[string]any{}
	if err := info.Claims(&beside); err != nil {
		return nil, err
	}
	for name, value := range beside {
		if claims[name] == nil { // what is signed counts
			claims[name] = value
		}
	}
	return claims, nil
}

// oidcSubject is unique, printable and short enough for a key, whatever the provider's
// subject looks like.
func oidcSubject(issuer, subject string) string {
	s := "oidc/" + issuer + "#" + subject
	if s == bounded(s) {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "oidc/sha256:" + hex.EncodeToString(sum[:])
}

// grantOf finds the first grant the claims have. The error is an ErrGrant.
func grantOf(grants []Grant, claims map[string]any) (tenant, role string, err error) {
	err = ErrGrant
	for _, g := range grants {
		if !has(claims[g.Claim], g.Value) {
			continue
		}
		if g.Tenant != "" {
			return g.Tenant, g.Role, nil
		}
		// * is no tenant id: a provider's text must not be everybody's data.
		tenant, _ := claims[g.TenantClaim].(string)
		if schemas.IsTenant(tenant) {
			return tenant, g.Role, nil
		}
		if tenant == "" {
			err = &GrantError{fmt.Sprintf("your account has a role here, but your provider does not say for which tenant (claim %s); ask its administrator", g.TenantClaim)}
		} else {
			err = &GrantError{fmt.Sprintf("your account has a role here, but %q, which your provider says in the claim %s, is not a tenant id: 1 to 63 of a-z 0-9 . _ -; ask its administrator", bounded(tenant), g.TenantClaim)}
		}
	}
	return "", "", err
}

func has(claim any, value string) bool {
	switch c := claim.(type) {
	case string:
		return c == value
	case bool:
		return fmt.Sprint(c) == value
	case []any:
		for _, v := range c {
			if v == value {
				return true
			}
		}
	}
	return false
}

func nameIn(claims map[string]any, subject string) string {
	for _, claim := range []string{"preferred_username", "email", "name"} {
		if v, _ := claims[claim].(string); v != "" {
			return v
		}
	}
	return subject
}

// localPath keeps what comes back from a sign-in on this site.
func localPath(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}
