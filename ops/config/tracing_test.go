package config_test

import (
	"fmt"
	"strings"
	"testing"

	"cdds/ops/config"
)

func TestTracingIsOffUntilAnEndpointIsNamed(t *testing.T) {
	if config.Default().Tracing.Enabled() {
		t.Error("it is on")
	}
	c, err := config.Load("", []string{"CDDS_TRACING_ENDPOINT=http://127.0.0.1:4318", "CDDS_TRACING_SAMPLE_RATIO=0.25",
		"CDDS_TRACING_HEADERS_FILE=" + write(t, "authorization=Bearer hunter2=, x-tenant=a\n")})
	if err != nil {
		t.Fatal(err)
	}
	u, err := c.Tracing.URL()
	if err != nil || u.String() != "http://127.0.0.1:4318/v1/traces" || c.Tracing.SampleRatio != 0.25 {
		t.Errorf("%+v, %v, %v", c.Tracing, u, err)
	}
	headers, err := c.Tracing.HeaderMap()
	if err != nil || len(headers) != 2 || headers["authorization"] != "Bearer hunter2=" || headers["x-tenant"] != "a" {
		t.Errorf("the headers are %v, %v", headers, err)
	}
	if text := fmt.Sprintf("%+v", c); strings.Contains(text, "hunter2") {
		t.Error("the header is printed")
	}
}

func TestTracingThatCannotBeOrWouldTellASecretIsRefused(t *testing.T) {
	good := config.Tracing{Endpoint: "https://traces.example.com/otlp/v1/traces", SampleRatio: 1, Headers: "authorization=hunter2"}
	for want, change := range map[string]func(*config.Tracing){
		"":                    func(*config.Tracing) {},
		"sample_ratio":        func(c *config.Tracing) { c.SampleRatio = 1.5 },
		"endpoint":            func(c *config.Tracing) { c.Endpoint = "collector:4318" },
		"headers_file":        func(c *config.Tracing) { c.Endpoint = "https://hunter2:hunter2@traces.example.com" },
		"NAME=VALUE":          func(c *config.Tracing) { c.Headers = "hunter2" },
		"travel in the clear": func(c *config.Tracing) { c.Endpoint = "http://traces.example.com:4318" },
		"write https":         func(c *config.Tracing) { c.Endpoint, c.TLS.CAFile = "http://127.0.0.1:4318", "ca.pem" },
	} {
		c := config.Default()
		c.Kafka.Brokers, c.ClickHouse.Addr, c.S3.Endpoint = []string{"a:1"}, []string{"a:1"}, "a:1"
		c.S3.AccessKey, c.S3.SecretKey = "a", "s"
		c.Tracing = good
		change(&c.Tracing)
		err := c.Check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", want, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}
