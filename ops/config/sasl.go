package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// SASL says how to log in to Kafka.
type SASL struct {
	// Mechanism is PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER; empty means none.
	Mechanism    string `yaml:"mechanism" env:"MECHANISM"`
	Username     string `yaml:"username" env:"USERNAME"`
	Password     Secret `yaml:"password" env:"PASSWORD"`
	PasswordFile string `yaml:"password_file" env:"PASSWORD_FILE"`
	// TokenFile holds the token of OAUTHBEARER, such as one that Kubernetes projects and renews.
	// It is read at each login. OAuth asks a provider for tokens instead.
	TokenFile string `yaml:"token_file" env:"TOKEN_FILE"`
	OAuth     OAuth  `yaml:"oauth" envPrefix:"OAUTH_"`
	// Extensions go with each token to the brokers; in the environment they are
	// logicalCluster:lkc-1,identityPoolId:pool-1.
	Extensions map[string]string `yaml:"extensions" env:"EXTENSIONS"`
}

// OAuth gets tokens for OAUTHBEARER with a client's credentials (RFC 6749, section 4.4). A
// token is used until shortly before it expires.
type OAuth struct {
	// TokenURL is the token endpoint, such as
	// https://login.example.com/realms/kafka/protocol/openid-connect/token.
	TokenURL         string   `yaml:"token_url" env:"TOKEN_URL"`
	ClientID         string   `yaml:"client_id" env:"CLIENT_ID"`
	ClientSecret     Secret   `yaml:"client_secret" env:"CLIENT_SECRET"`
	ClientSecretFile string   `yaml:"client_secret_file" env:"CLIENT_SECRET_FILE"`
	Scopes           []string `yaml:"scopes" env:"SCOPES"`
	// Audience is a parameter that some providers want.
	Audience string `yaml:"audience" env:"AUDIENCE"`
	// CAFile holds the PEM certificates to trust instead of the system's.
	CAFile string `yaml:"ca_file" env:"CA_FILE"`
}

// OAuthBearer is the mechanism that logs in with a token.
const OAuthBearer = "OAUTHBEARER"

// byPassword are the mechanisms that log in with a name and a password.
var byPassword = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

// extensionName is what RFC 7628 lets a name be.
var extensionName = regexp.MustCompile(`^[A-Za-z]+$`)

// Login is the user of PLAIN and SCRAM, or what is missing to log in so.
func (s SASL) Login() (user, password string, err error) {
	if !slices.Contains(byPassword, s.Mechanism) {
		return "", "", nil
	}
	lacks := lacking("kafka.sasl.username", s.Username, "", "")
	lacks = append(lacks, lacking("kafka.sasl.password", s.Password.Reveal(), "kafka.sasl.password_file", s.PasswordFile)...)
	if len(lacks) > 0 {
		return "", "", fmt.Errorf("kafka.sasl.mechanism: %s needs %s", s.Mechanism, strings.Join(lacks, " and "))
	}
	return s.Username, s.Password.Reveal(), nil
}

// lacking says what is missing where a setting is empty, which may be in a file.
func lacking(key, value, fileKey, file string) []string {
	switch {
	case value != "":
		return nil
	case file != "":
		return []string{"more than blanks in " + fileKey + " (" + file + ")"}
	case fileKey != "":
		return []string{fileKey + " (or " + key + ")"}
	}
	return []string{key}
}

// check reports every problem of how to log in, but what Login lacks.
func (s SASL) check(tls bool, add func(format string, args ...any)) {
	if s.Mechanism != "" && s.Mechanism != OAuthBearer && !slices.Contains(byPassword, s.Mechanism) {
		add("kafka.sasl.mechanism %q is unknown; it must be %s or %s", s.Mechanism, strings.Join(byPassword, ", "), OAuthBearer)
		return
	}
	byFile, byProvider := s.TokenFile != "", s.OAuth.TokenURL != ""
	if s.Mechanism != OAuthBearer {
		if byFile || byProvider {
			add("kafka.sasl.token_file and kafka.sasl.oauth are for kafka.sasl.mechanism: OAUTHBEARER")
		}
		return
	}
	switch {
	case byFile == byProvider:
		add("kafka.sasl.mechanism: OAUTHBEARER needs either kafka.sasl.token_file or kafka.sasl.oauth.token_url")
	case byProvider && (s.OAuth.ClientID == "" || s.OAuth.ClientSecret == ""):
		add("kafka.sasl.oauth needs client_id and client_secret_file (or client_secret)")
	}
	if u, err := url.Parse(s.OAuth.TokenURL); byProvider && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname()))) {
		add("kafka.sasl.oauth.token_url %q is not an https URL without a user: the client's secret would travel in the clear", s.OAuth.TokenURL)
	}
	if !tls {
		add("kafka.sasl.mechanism: OAUTHBEARER needs kafka.tls.enabled: without TLS, others could read the token and use it")
	}
	for name, value := range s.Extensions {
		if !extensionName.MatchString(name) || strings.ContainsAny(value, "\x01=") || name == "auth" {
			add("kafka.sasl.extensions: %q cannot be sent", name)
		}
	}
}
