package config

import (
	"fmt"
	"net/url"
	"strings"
)

// Tracing says where OpenTelemetry traces go.
type Tracing struct {
	// Endpoint is the URL of an OTLP/HTTP receiver, such as http://127.0.0.1:4318; empty
	// means that nothing is traced. Without a path it is /v1/traces.
	Endpoint string `yaml:"endpoint" env:"ENDPOINT"`
	// SampleRatio is the share, from 0 to 1, of the traces that begin here that are
	// kept. Those that others began are kept if these keep them.
	SampleRatio float64 `yaml:"sample_ratio" env:"SAMPLE_RATIO"`
	// Headers go with what is sent, such as a token: NAME=VALUE,NAME=VALUE.
	Headers     Secret `yaml:"headers" env:"HEADERS"`
	HeadersFile string `yaml:"headers_file" env:"HEADERS_FILE"`
	// TLS is for an endpoint that begins with https, which enables it.
	TLS TLS `yaml:"tls" envPrefix:"TLS_"`
}

// Enabled reports whether anything is traced.
func (t Tracing) Enabled() bool { return t.Endpoint != "" }

// URL is the endpoint with its path.
func (t Tracing) URL() (*url.URL, error) {
	u, err := url.Parse(t.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("tracing.endpoint is not a URL such as http://127.0.0.1:4318; tokens go into tracing.headers_file")
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces"
	}
	return u, nil
}

// HeaderMap is Headers by name.
func (t Tracing) HeaderMap() (map[string]string, error) {
	headers := map[string]string{}
	for pair := range strings.SplitSeq(t.Headers.Reveal(), ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(pair, "\r\n") {
			return nil, fmt.Errorf("tracing.headers must be NAME=VALUE,NAME=VALUE") // never what it is instead
		}
		headers[name] = strings.TrimSpace(value)
	}
	return headers, nil
}

// check reports every problem.
func (t Tracing) check(add func(format string, args ...any)) {
	if !(t.SampleRatio >= 0 && t.SampleRatio <= 1) {
		add("tracing.sample_ratio must be from 0 to 1")
	}
	if !t.Enabled() {
		return
	}
	if _, err := t.HeaderMap(); err != nil {
		add("%v", err)
	}
	u, err := t.URL()
	if err != nil {
		add("%v", err)
		return
	}
	if u.Scheme == "http" && t.TLS != (TLS{}) {
		add("tracing.tls is set, and tracing.endpoint begins with http: write https")
	}
	if u.Scheme == "http" && t.Headers != "" && !isLoopback(u.Hostname()) {
		add("tracing.headers would travel in the clear: write https in tracing.endpoint")
	}
}
