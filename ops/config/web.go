package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"cdds/schemas"
)

// DefaultWebListen is where the console and the API listen by default.
const DefaultWebListen = "127.0.0.1:8080"

// Web shapes the web role: the console and the HTTP API.
type Web struct {
	// Listen is host:port; port 0 takes a free one. A port that another process has is
	// an error: people find the console and the API where this says.
	Listen string `yaml:"listen" env:"LISTEN"`
	// URL is how people reach it, such as https://cdds.example.com; empty means as it
	// listens. It is needed behind a proxy and for OpenID Connect.
	URL string `yaml:"url" env:"URL"`
	// CertFile and KeyFile are the server's own, for https.
	CertFile string `yaml:"cert_file" env:"CERT_FILE"`
	KeyFile  string `yaml:"key_file" env:"KEY_FILE"`
	// BehindProxy says that a proxy in front does TLS: without it, plain http is for
	// loopback only. URL is then needed.
	BehindProxy bool `yaml:"behind_proxy" env:"BEHIND_PROXY"`
	// TrustedProxies are the proxies whose X-Forwarded-For is believed: addresses, or
	// networks such as 10.0.0.0/8 from which only proxies reach CDDS. Without the proxy in
	// front, everybody has its address: in the audit, and where guessing is throttled.
	TrustedProxies []string `yaml:"trusted_proxies" env:"TRUSTED_PROXIES"`
	// ProxyHops is how many proxies a request passes, one after the other. What stands in
	// X-Forwarded-For before those is what the client claims, and is not believed.
	ProxyHops int `yaml:"proxy_hops" env:"PROXY_HOPS"`
	// Links sends downloads to short-lived links of the object store.
	Links bool `yaml:"links" env:"LINKS"`
	// SessionKeyFile holds the key that seals sessions, made if it is not there; the
	// same for all processes behind one URL. Empty means one that ends with the process.
	SessionKeyFile string `yaml:"session_key_file" env:"SESSION_KEY_FILE"`
	// SessionIdle and SessionAbsolute end sessions that were not used for so long, or
	// are so old.
	SessionIdle     time.Duration `yaml:"session_idle" env:"SESSION_IDLE"`
	SessionAbsolute time.Duration `yaml:"session_absolute" env:"SESSION_ABSOLUTE"`
	// ShutdownDelay is how long the web role goes on serving after SIGTERM, while /readyz
	// already fails: the time that a load balancer takes to notice.
	ShutdownDelay time.Duration `yaml:"shutdown_delay" env:"SHUTDOWN_DELAY"`
	// FirstUser makes an administrator if there is no user at all. It is on with the
	// embedded stack.
	FirstUser bool `yaml:"first_user" env:"FIRST_USER"`
	OIDC      OIDC `yaml:"oidc" envPrefix:"OIDC_"`
}

// OIDC lets people sign in through an OpenID Connect provider.
type OIDC struct {
	// Issuer is the provider's URL; empty without OpenID Connect.
	Issuer           string   `yaml:"issuer" env:"ISSUER"`
	ClientID         string   `yaml:"client_id" env:"CLIENT_ID"`
	ClientSecret     Secret   `yaml:"client_secret" env:"CLIENT_SECRET"`
	ClientSecretFile string   `yaml:"client_secret_file" env:"CLIENT_SECRET_FILE"`
	Scopes           []string `yaml:"scopes" env:"SCOPES"`
	// Grants give people roles, the first that fits; who has none is refused.
	Grants []Grant `yaml:"grants" env:"-"`
}

// Grant gives those whose claim has the value a role for a tenant.
type Grant struct {
	Claim string `yaml:"claim"`
	Value string `yaml:"value"`
	// Tenant is * for all; empty takes it from TenantClaim.
	Tenant      string `yaml:"tenant"`
	TenantClaim string `yaml:"tenant_claim"`
	Role        string `yaml:"role"`
}

// Secure reports whether people come by https.
func (w Web) Secure() bool { return w.CertFile != "" || strings.HasPrefix(w.URL, "https://") }

// Proxies are the trusted proxies, each a network.
func (w Web) Proxies() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range w.TrustedProxies {
		p, err := netip.ParsePrefix(text)
		if addr, bad := netip.ParseAddr(text); bad == nil {
			p, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("web.trusted_proxies: %q is neither an address such as 10.0.0.1 nor a network such as 10.0.0.0/8", text)
		}
		all = append(all, p)
	}
	return all, nil
}

// check reports every problem.
func (w Web) check(add func(format string, args ...any)) {
	host, _, ok := hostPort(w.Listen)
	if !ok {
		add("web.listen %q is not host:port", w.Listen)
	} else if w.CertFile == "" && !w.BehindProxy && !isLoopback(host) {
		add("web.listen %q is not loopback, and passwords would travel in the clear: set web.cert_file and web.key_file, or web.behind_proxy if a proxy in front does TLS", w.Listen)
	}
	if (w.CertFile == "") != (w.KeyFile == "") {
		add("web.cert_file and web.key_file belong together")
	}
	if w.URL != "" {
		if u, err := url.Parse(w.URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" {
			add("web.url %q is not a URL such as https://cdds.example.com", w.URL)
		}
	}
	if w.BehindProxy && w.URL == "" {
		add("web.behind_proxy needs web.url: how people reach it says whether cookies are for https only, and where download scripts lead")
	}
	if w.SessionIdle <= 0 || w.SessionAbsolute <= 0 {
		add("web.session_idle and web.session_absolute must be positive")
	}
	if _, err := w.Proxies(); err != nil {
		add("%v", err)
	}
	if w.ProxyHops < 0 {
		add("web.proxy_hops %d must be at least 1", w.ProxyHops)
	}
	if w.OIDC.Issuer == "" {
		return
	}
	if w.OIDC.ClientID == "" || w.URL == "" {
		add("web.oidc needs client_id, and web.url to come back to")
	}
	if len(w.OIDC.Grants) == 0 {
		add("web.oidc.grants is empty: nobody could sign in")
	}
	for n, g := range w.OIDC.Grants {
		if g.Claim == "" || g.Value == "" || (g.Tenant == "") == (g.TenantClaim == "") || !slices.Contains(schemas.Roles(), g.Role) {
			add("web.oidc.grants[%d] needs claim, value, role (administrator, viewer, privacy, operator) and either tenant or tenant_claim", n)
		}
		if g.Tenant != "" && g.Tenant != schemas.AllTenants && !schemas.IsTenant(g.Tenant) {
			add("web.oidc.grants[%d]: tenant %q is not a tenant id (1 to 63 of a-z 0-9 . _ -) or *", n, g.Tenant)
		}
	}
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
