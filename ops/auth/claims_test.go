package auth_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"cdds/ops/auth"
	"cdds/schemas"
)

// idp is a provider that says what a test wants it to say.
type idp struct {
	*httptest.Server
	key   *rsa.PrivateKey
	nonce string
	now   func() time.Time
	// claims of the ID token beside the usual ones; nil leaves a claim out.
	claims map[string]any
	// userinfo is what it says beside the token.
	userinfo map[string]any
	// methods are token_endpoint_auth_methods_supported; with client_secret_post alone, a
	// code that comes any other way is spent.
	methods []string
	spent   bool
}

func newIDP(t *testing.T, now func() time.Time) *idp {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	p := &idp{key: key, now: now}
	mux := http.NewServeMux()
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		d := map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"userinfo_endpoint": p.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"RS256"},
		}
		if p.methods != nil {
			d["token_endpoint_auth_methods_supported"] = p.methods
		}
		answer(w, d)
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1",
			"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if _, _, basic := r.BasicAuth(); p.spent || len(p.methods) == 1 && p.methods[0] == "client_secret_post" && basic {
			p.spent = true
			w.WriteHeader(http.StatusUnauthorized)
			answer(w, map[string]any{"error": "invalid_client"})
			return
		}
		answer(w, map[string]any{"access_token": "at", "token_type": "Bearer", "id_token": p.idToken()})
	})
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, _ *http.Request) { answer(w, p.userinfo) })
	return p
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (p *idp) idToken() string {
	claims := map[string]any{"iss": p.URL, "aud": "cdds", "sub": "u1", "nonce": p.nonce, "iat": p.now().Unix(), "exp": p.now().Add(5 * time.Minute).Unix()}
	maps.Copy(claims, p.claims)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	header, _ := json.Marshal(map[string]any{"alg": "RS256", "kid": "1", "typ": "JWT"})
	payload, _ := json.Marshal(claims)
	signed := encode(header) + "." + encode(payload)
	sum := sha256.Sum256([]byte(signed))
	signature, _ := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, sum[:])
	return signed + "." + encode(signature)
}

// signIn goes to the provider and comes back.
func (p *idp) signIn(h *house) (b *browser, err error) {
	h.t.Helper()
	b = h.browser()
	var sent *url.URL
	check(h.t, b.do(func(w http.ResponseWriter, r *http.Request) error {
		err := h.StartOIDC(w, r)
		sent, _ = url.Parse(w.Header().Get("Location"))
		return err
	}))
	p.nonce = sent.Query().Get("nonce")
	return b, b.do(func(w http.ResponseWriter, r *http.Request) error {
		r.URL.RawQuery = url.Values{"code": {"c"}, "state": {sent.Query().Get("state")}}.Encode()
		return h.FinishOIDC(w, r)
	})
}

func TestWhatAProviderSaysOfPeople(t *testing.T) {
	for name, c := range map[string]struct {
		claims, userinfo map[string]any
		methods          []string
		tenant           string // where one is signed in to; empty: refused
		says             string
		audited          string
	}{
		"the tenant is in the ID token": {
			claims: map[string]any{"groups": []string{"viewers"}, "org": "kt", "preferred_username": "bob"}, tenant: "kt",
		},
		"the tenant is in the user info only": {
			claims:   map[string]any{"groups": []string{"viewers"}, "preferred_username": "bob"},
			userinfo: map[string]any{"sub": "u1", "org": "kt"}, tenant: "kt",
		},
		"the tenant is no tenant id": {
			claims: map[string]any{"groups": []string{"viewers"}, "org": "KT", "preferred_username": "bob"},
			says:   `"KT", which your provider says in the claim org, is not a tenant id`, audited: "session.begin refused",
		},
		"the tenant is everybody": {
			claims: map[string]any{"groups": []string{"viewers"}, "org": "*", "preferred_username": "bob"},
			says:   "is not a tenant id", audited: "session.begin refused",
		},
		"there is no tenant": {
			claims:   map[string]any{"groups": []string{"viewers"}, "preferred_username": "bob"},
			userinfo: map[string]any{"sub": "u1"}, says: "does not say for which tenant (claim org)", audited: "session.begin refused",
		},
		"there is no subject": {
			claims: map[string]any{"groups": []string{"admins"}, "org": "kt", "sub": nil, "preferred_username": "ann"},
			says:   "does not say who signed in", audited: "session.begin refused",
		},
		"the user info is of somebody else": {
			claims:   map[string]any{"groups": []string{"viewers"}, "preferred_username": "bob"},
			userinfo: map[string]any{"sub": "u2", "org": "kt"}, says: "about somebody else",
		},
		"the client's secret goes in the body, and a code counts once": {
			claims: map[string]any{"groups": []string{"viewers"}, "org": "kt", "preferred_username": "bob"}, methods: []string{"client_secret_post"}, tenant: "kt",
		},
		"the token expired a minute ago by our clock": {
			claims: map[string]any{"groups": []string{"viewers"}, "org": "kt", "preferred_username": "bob", "exp": int64(-60)}, tenant: "kt",
		},
		"the token expired long ago": {
			claims: map[string]any{"groups": []string{"viewers"}, "org": "kt", "preferred_username": "bob", "exp": int64(-600)}, says: "expired",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			p := newIDP(t, h.Now)
			p.claims, p.userinfo, p.methods = c.claims, c.userinfo, c.methods
			if exp, ok := p.claims["exp"].(int64); ok {
				p.claims["exp"] = h.now.Unix() + exp
			}
			h.OIDC = &auth.OIDC{
				Issuer: p.URL, ClientID: "cdds", ClientSecret: "s3cr%t+&=", RedirectURL: "http://cdds.test" + auth.CallbackPath,
				Grants: []auth.Grant{
					{Claim: "groups", Value: "admins", Tenant: "*", Role: schemas.RoleAdministrator},
					{Claim: "groups", Value: "viewers", TenantClaim: "org", Role: schemas.RoleViewer},
				},
			}
			before := h.topic.audited()
			b, err := p.signIn(h)
			who, signedIn, _ := b.who()
			if signedIn != (c.tenant != "") || who.Tenant != c.tenant {
				t.Fatalf("signed in: %v, of tenant %q, %v", signedIn, who.Tenant, err)
			}
			if c.tenant == "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("refused with %v; want %q", err, c.says)
			}
			if strings.Contains(c.says, "tenant") && !errors.Is(err, auth.ErrGrant) {
				t.Errorf("%v is no ErrGrant", err)
			}
			if c.audited != "" && !strings.HasSuffix(h.topic.audited(), c.audited) || h.topic.audited() == before && c.audited != "" {
				t.Errorf("audited: %s", h.topic.audited())
			}
		})
	}
}
