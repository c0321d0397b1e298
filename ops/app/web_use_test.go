package app_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/api"
	"cdds/ops/connect"
	"cdds/schemas"
)

// trail is what the audit trail says of a subject, as "action outcome", with where from.
func (s *site) trail(c *caller, subject string, until string) []string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for {
		var listing api.Listing[schemas.AuditRecord]
		c.into(&listing, 200, "GET", "/audit?limit=500&subject="+subject, nil)
		var all []string
		for _, a := range listing.Items {
			all = append(all, fmt.Sprintf("%s %s from %s", a.Action, a.Outcome, a.From))
		}
		if slices.Contains(all, until) {
			return all
		}
		select {
		case <-time.After(50 * time.Millisecond): // the trail follows the topic
		case <-ctx.Done():
			s.t.Fatalf("the trail of %s has no %q: %q", subject, until, all)
		}
	}
}

func TestAnExportIsAskedForOnceFollowedFetchedInRangesAndAudited(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	acme, viewer := s.as("administrator", "acme"), s.as("viewer", "acme")
	made := s.furnish(acme)

	body := exportBody(made["fingerprint"], "")
	delete(body, "export_id")
	var first, second schemas.Export
	acme.into(&first, 202, "POST", "/exports", body, "Idempotency-Key", "k1")
	acme.into(&second, 202, "POST", "/exports", body, "Idempotency-Key", "k1")
	if first.ExportID != second.ExportID {
		t.Errorf("one key made %s and %s", first.ExportID, second.ExportID)
	}
	s.await("acme", first.ExportID)
	acme.into(&second, 202, "POST", "/exports", body, "Idempotency-Key", "k1")
	body["to"] = "2029-01-01T00:00:00Z"
	acme.must(409, "POST", "/exports", body, "Idempotency-Key", "k1")
	if second.ExportID != first.ExportID || second.State != schemas.Completed {
		t.Errorf("asked again after its end, the export is %s, %s", second.ExportID, second.State)
	}

	events := string(viewer.must(200, "GET", "/exports/"+first.ExportID+"/events", nil)) // it has ended, so the stream does
	if !strings.Contains(events, "event: export\n") || !strings.Contains(events, `"state":"completed"`) {
		t.Errorf("the stream said %s", events)
	}

	path := "/exports/done/artifacts/" + made["part"]
	_, header, whole := viewer.send("GET", path, nil)
	middle := viewer.must(206, "GET", path, nil, "Range", "bytes=100-199")
	if !bytes.Equal(middle, whole[100:200]) {
		t.Error("a range is not that part of the file")
	}
	viewer.must(304, "GET", path, nil, "If-None-Match", header.Get("ETag"))
	status, header, problem := viewer.send("GET", path, nil, "Range", "bytes=99999999-")
	if status != 416 || header.Get("Content-Range") != fmt.Sprintf("bytes */%d", len(whole)) || header.Get("Content-Disposition") != "" {
		t.Errorf("a range beyond the end: %d, %v", status, header)
	}
	isProblem(t, 416, header.Get("Content-Type"), problem)
	viewer.must(200, "GET", path, nil, "Range", "bytes=0-9", "If-Range", `"another"`)

	viewer.must(403, "DELETE", "/exports/done", nil)
	acme.must(202, "DELETE", "/exports/done", nil)
	s.awaitThat("acme", "done", func(e schemas.Export) bool { return e.State == schemas.Deleted })
	viewer.must(410, "GET", path, nil)
	trail := s.trail(acme, "done", "export.delete done from 127.0.0.1")
	for _, want := range []string{"export.create done from 127.0.0.1", "export.download done from 127.0.0.1", "export.delete refused from 127.0.0.1"} {
		if !slices.Contains(trail, want) {
			t.Errorf("the trail has no %q: %q", want, trail)
		}
	}
}

// TestTheSiteGuardsItself is several tests on one site, which takes its time to start.
func TestTheSiteGuardsItself(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, test := range []struct {
		name string
		of   func(*testing.T, *site)
	}{
		{"WhoAsksTooOftenIsToldWhenToComeBack", asksTooOften},
		{"NothingIsKeptLongerThanTheTenantsTime", keepsTooLong},
		{"APrivateKeySentToTheAPIIsOnNoTopicAndInNoLog", sendsAPrivateKey},
		{"ABrowserIsSignedOutEverywhereAndOtherSitesCannotUseIt", isSignedOut}, // the last: it ends the session
	} {
		t.Run(test.name, func(t *testing.T) {
			whole := s.t
			s.t = t
			defer func() { s.t = whole }()
			test.of(t, s)
		})
	}
}

func keepsTooLong(t *testing.T, s *site) {
	acme := s.as("administrator", "acme")
	pem, err := os.ReadFile(s.cert)
	check(t, err)
	var c schemas.Certificate
	acme.into(&c, 201, "POST", "/certificates", pem)
	for path, body := range map[string]map[string]any{"/jobs": jobBody("", c.Fingerprint), "/exports": exportBody(c.Fingerprint, "")} {
		body["retention_days"] = 31
		if status, _, answer := acme.send("POST", path, body); status != 422 || !strings.Contains(string(answer), "more than the 30 days") {
			t.Errorf("%s for 31 days: %d %s", path, status, answer)
		}
		body["retention_days"] = 30
		if status, _, answer := acme.send("POST", path, body); status >= 300 {
			t.Errorf("%s for 30 days: %d %s", path, status, answer)
		}
	}
}

func isSignedOut(t *testing.T, s *site) {
	elsewhere := s.browser()
	elsewhere.must(200, "POST", "/session", map[string]any{"name": "admin", "password": s.password})
	elsewhere.must(403, "DELETE", "/sessions", nil, "Sec-Fetch-Site", "cross-site")
	elsewhere.must(403, "POST", "/users?tenant=acme", map[string]any{"name": "eve", "role": "administrator"}, "Origin", "https://evil.test")
	s.root.must(204, "DELETE", "/sessions", nil)
	elsewhere.must(401, "GET", "/session", nil)
	s.root.must(401, "GET", "/session", nil)

	guesser := s.browser()
	var last int
	var header http.Header
	for range 8 {
		last, header, _ = guesser.send("POST", "/session", map[string]any{"name": "admin", "password": "a wrong guess"})
	}
	if last != 429 || header.Get("Retry-After") == "" {
		t.Errorf("the eighth guess is answered with %d, Retry-After %q", last, header.Get("Retry-After"))
	}
}

func asksTooOften(t *testing.T, s *site) {
	busy, other := s.as("viewer", "acme"), s.as("viewer", "acme")
	for n := range 1000 {
		status, header, _ := busy.send("GET", "/session", nil)
		if status == 429 {
			if header.Get("Retry-After") == "" {
				t.Error("there is no Retry-After")
			}
			other.must(200, "GET", "/session", nil)
			return
		}
		if status != 200 {
			t.Fatalf("request %d: %d", n, status)
		}
	}
	t.Error("a thousand requests in a row were all answered")
}

func sendsAPrivateKey(t *testing.T, s *site) {
	acme := s.as("administrator", "acme")
	key, err := os.ReadFile(s.key)
	check(t, err)
	canary := string(key[100:160])
	s.secrets = append(s.secrets, canary)
	acme.must(422, "POST", "/certificates", key)
	body := exportBody("", "e")
	body["recipients"] = []map[string]any{{"certificate": string(key)}}
	acme.must(422, "POST", "/exports", body)
	body["recipients"] = []map[string]any{{"fingerprint": string(key)}}
	acme.must(422, "POST", "/exports", body)
	acme.must(422, "POST", "/users", map[string]any{"name": string(key), "role": "viewer"})
	s.trail(acme, "certificate", "certificate.add refused from 127.0.0.1")

	opts, err := connect.Kafka(s.config.Kafka, "test", nil)
	check(t, err)
	ends, err := s.admin.ListEndOffsets(t.Context())
	check(t, err)
	var topics []string
	var left int64
	for topic, partitions := range ends {
		topics = append(topics, topic)
		for _, p := range partitions {
			left += p.Offset
		}
	}
	starts, err := s.admin.ListStartOffsets(t.Context())
	check(t, err)
	for _, partitions := range starts {
		for _, p := range partitions {
			left -= p.Offset
		}
	}
	reader, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	check(t, err)
	defer reader.Close()
	for left > 0 {
		fetches := reader.PollFetches(t.Context())
		check(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			left--
			for _, secret := range s.secrets {
				if bytes.Contains(r.Value, []byte(secret)) {
					t.Errorf("%s holds a secret: %.12s...", r.Topic, secret)
				}
			}
		})
	}
}
