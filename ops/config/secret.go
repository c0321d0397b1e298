package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Secret is a value that prints as stars.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the value as it is.
func (s *Secret) UnmarshalText(b []byte) error {
	*s = Secret(b)
	return nil
}

// Reveal returns the secret itself, for the client that needs it.
func (s Secret) Reveal() string { return string(s) }

// secret is a secret of a configuration and the file that may hold it instead.
type secret struct {
	key   string
	value *Secret
	file  *string
}

func (c *Config) secrets() []secret {
	return []secret{
		{"kafka.sasl.password", &c.Kafka.SASL.Password, &c.Kafka.SASL.PasswordFile},
		{"kafka.sasl.oauth.client_secret", &c.Kafka.SASL.OAuth.ClientSecret, &c.Kafka.SASL.OAuth.ClientSecretFile},
		{"clickhouse.password", &c.ClickHouse.Password, &c.ClickHouse.PasswordFile},
		{"s3.secret_key", &c.S3.SecretKey, &c.S3.SecretKeyFile},
		{"export.pseudonym_secret", &c.Export.PseudonymSecret, &c.Export.PseudonymSecretFile},
		{"webhooks.secret", &c.Webhooks.Secret, &c.Webhooks.SecretFile},
		{"web.oidc.client_secret", &c.Web.OIDC.ClientSecret, &c.Web.OIDC.ClientSecretFile},
		{"tracing.headers", &c.Tracing.Headers, &c.Tracing.HeadersFile},
	}
}

// over sets in c what a source says that counts more than those before. A secret and its
// file are one setting: whichever the source gives takes the place of both, or a file
// named in the YAML would win over a secret in the environment.
func (c *Config) over(source string, read func() []error) (problems []error) {
	before := *c
	for _, s := range c.secrets() {
		*s.value, *s.file = "", ""
	}
	problems = read()
	old := before.secrets()
	for n, s := range c.secrets() {
		switch {
		case *s.value != "" && *s.file != "":
			problems = append(problems, fmt.Errorf("%s: %s and %s_file are both set; set one of them", source, s.key, s.key))
		case *s.value == "" && *s.file == "":
			*s.value, *s.file = *old[n].value, *old[n].file
		}
	}
	return problems
}

// Printable is c as a file that says the same: a secret that is in a file of its own is
// left out, since the two are one setting. Other secrets print as stars.
func (c Config) Printable() Config {
	for _, s := range c.secrets() {
		if *s.file != "" {
			*s.value = ""
		}
	}
	return c
}

// readSecrets reads the secrets that are in files.
func (c *Config) readSecrets() error {
	var problems []error
	for _, s := range c.secrets() {
		if *s.file == "" {
			continue
		}
		content, err := os.ReadFile(*s.file)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s_file: %w", s.key, err))
			continue
		}
		*s.value = Secret(strings.TrimSpace(string(content)))
	}
	return errors.Join(problems...)
}
