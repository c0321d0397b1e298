package app_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/ops/app"
	"cdds/ops/config"
	"cdds/schemas"
)

// canaries are texts that may be where they belong and nowhere else.
const (
	canaryPayload  = "canary-payload-4b1d"
	canaryMangled  = "canary-mangled-77ce"
	canaryPassword = "canary-password-9e02"
	canaryS3       = "canary-s3-secret-51aa"
	canaryHeader   = "canary-header-c3f8"
)

func TestNoSecretAndNoPayloadIsInLogsEventsMetricsOrTraces(t *testing.T) {
	t.Parallel()
	var collector *collector
	var s *site
	t.Cleanup(func() { // when all roles have ended and sent the last spans
		if len(collector.named("", "export")) == 0 {
			t.Error("no export was traced: the test looks at nothing")
		}
		for _, secret := range s.secrets {
			if bytes.Contains(collector.bodies, []byte(secret)) {
				t.Errorf("a span holds %.24s...", secret)
			}
		}
	})
	s = newSiteOf(t, app.Roles(), func(c *config.Config) {
		collector = newCollector(t)
		c.Tracing = config.Tracing{Endpoint: collector.URL, SampleRatio: 1, Headers: "authorization=" + canaryHeader}
	})
	key, err := os.ReadFile(s.key)
	check(t, err)
	s.secrets = append(s.secrets, canaryPayload, canaryMangled, canaryPassword, canaryS3, canaryHeader,
		"PRIVATE KEY-----", string(key[100:160]), s.config.S3.SecretKey.Reveal(), s.config.Webhooks.Secret.Reveal(), s.config.Export.PseudonymSecret.Reveal())

	secret := interaction("acme", 1)
	secret.Text, secret.Queue, secret.Attributes = canaryPayload, canaryPayload, map[string]string{canaryPayload: canaryPayload}
	s.publish(secret)
	s.produce(schemas.TopicInteractions, []byte(canaryPayload), []byte(`{"interaction_id":"i","text":"`+canaryMangled+`"`))
	s.produce(schemas.TopicInteractions, []byte(canaryPayload), []byte(`{"interaction_id":"i","tenant_id":"acme","text":"`+canaryMangled+`"}`))

	acme := s.as("administrator", "acme") // notes the token
	var fingerprint struct{ Fingerprint string }
	pem, err := os.ReadFile(s.cert)
	check(t, err)
	acme.into(&fingerprint, 201, "POST", "/certificates", pem)
	acme.must(422, "POST", "/certificates", key)
	acme.must(202, "POST", "/exports", exportBody(fingerprint.Fingerprint, "e1"))
	if e := s.await("acme", "e1"); e.State != schemas.Completed || e.Done.Rows != 1 {
		t.Fatalf("%s with %d rows: %+v", e.State, e.Done.Rows, e.Failure)
	}
	r := s.request("acme", "with-a-key")
	r.Recipients = []schemas.Recipient{{Certificate: string(pem) + string(key)}}
	s.publish(r)
	if e := s.await("acme", "with-a-key"); e.State != schemas.Refused {
		t.Fatalf("a request with a private key is %s", e.State)
	}
	told := s.failing(t)

	for what, text := range map[string]string{"the log": s.log.String() + told.String(), "the page of metrics": s.openMetrics()} {
		for _, secret := range s.secrets {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s holds %.24s...: ...%s", what, secret, text[max(0, at-200):at])
			}
		}
	}
	if !strings.Contains(s.log.String(), "level=DEBUG") && !strings.Contains(s.log.String(), "level=INFO") {
		t.Error("nothing was logged")
	}
	// Where payloads belong, and requests as whoever made them sent them.
	theirs := []schemas.Topic{schemas.TopicInteractions, schemas.TopicInteractions.DeadLetter(), schemas.TopicExportRequests}
	for _, record := range s.records() {
		if slices.Contains(theirs, schemas.Topic(record.Topic)) {
			continue
		}
		all := fmt.Sprintf("%s %s %s", record.Key, record.Value, record.Headers)
		for _, secret := range s.secrets {
			if strings.Contains(all, secret) {
				t.Errorf("a record of %s holds %.24s...", record.Topic, secret)
			}
		}
	}
}

// failing is what a process says that has wrong credentials for everything, until it
// was asked whether it is ready.
func (s *site) failing(t *testing.T) *syncBuffer {
	t.Helper()
	told := new(syncBuffer)
	c := s.config
	c.Kafka.SASL = config.SASL{Mechanism: "PLAIN", Username: "cdds", Password: canaryPassword}
	c.S3.SecretKey, c.ClickHouse.Password = canaryS3, canaryPassword
	a, err := app.New(app.Options{
		Config: c, Roles: []string{"export", "history"}, Name: "failing", Registry: prometheus.NewRegistry(),
		Logger: slog.New(slog.NewJSONHandler(told, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	check(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	go func() { ended <- a.Run(running) }()
	problems := map[string]string{}
	for problems["kafka"] == "" || problems["s3"] == "" {
		problems = a.Ready(ctx)
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("wrong credentials are not noticed: %v", problems)
		}
	}
	stop()
	fmt.Fprintln(told, <-ended, problems)
	return told
}
