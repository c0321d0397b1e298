package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"cdds/ops/cli"
	"cdds/schemas"
)

// TestAnEstimateIsWhatTheExportThenHoldsAndRequestsNothing compares an estimate of each face
// with the export that is then requested, beside the data of another tenant.
func TestAnEstimateIsWhatTheExportThenHoldsAndRequestsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	acme, viewer, privacy := s.as("administrator", "acme"), s.as("viewer", "acme"), s.as("privacy", "acme")
	for n := range 9 {
		i := of([]string{"eve", "ada"}[n%2], n)
		i.MediaType = []string{"chat", "voice", "email"}[n%3]
		i.Text = "planted-" + strings.Repeat("secret ", n)
		if n%3 == 0 {
			i.Attachments = []schemas.Attachment{{AttachmentID: "a", Content: base64.StdEncoding.EncodeToString(make([]byte, 100*n+1))}}
		}
		s.publish(i, interaction("globex", n))
	}
	corrected := of("eve", 4) // its newest version is another medium
	corrected.MediaType = "sms"
	s.publish(corrected)
	s.stored(schemas.TopicInteractions)
	pem, err := os.ReadFile(s.cert)
	check(t, err)
	var c schemas.Certificate
	acme.into(&c, 201, "POST", "/certificates?name=receiver", pem)

	ask := exportBody(c.Fingerprint, "")
	delete(ask, "recipients")
	var before schemas.Estimate
	answer := acme.must(200, "POST", "/estimates", ask)
	check(t, json.Unmarshal(answer, &before))
	if before.Expected != nil || strings.Contains(string(answer), "planted") {
		t.Errorf("before any export the estimate is %s", answer)
	}
	var all struct{ Items []schemas.Export }
	if acme.into(&all, 200, "GET", "/exports", nil); len(all.Items) != 0 {
		t.Errorf("the estimate requested %+v", all.Items)
	}
	acme.must(202, "POST", "/exports", exportBody(c.Fingerprint, "real"))
	e := s.await("acme", "real")
	want := schemas.Totals{Parts: before.Parts, Rows: before.Rows, JSONLBytes: before.JSONLBytes, Attachments: before.Attachments, AttachmentBytes: before.AttachmentBytes}
	if e.Planned != want || want.Rows != 9 || want.Attachments != 3 {
		t.Errorf("the export holds %+v, and the estimate was %+v", e.Planned, want)
	}
	if first, last := interaction("acme", 0).StartedAt, interaction("acme", 8).StartedAt; !before.First.Equal(first.Time) || !before.Last.Equal(last.Time) {
		t.Errorf("its rows are from %s to %s, want %s to %s", before.First, before.Last, first, last)
	}
	if m := before.MediaTypes; m["chat"] != 3 || m["voice"] != 2 || m["sms"] != 1 || m["email"] != 3 || len(m) != 4 {
		t.Errorf("its media types are %v", m)
	}
	var after schemas.Estimate
	acme.into(&after, 200, "POST", "/estimates", ask)
	if x := after.Expected; x == nil || x.Exports != 1 || x.SealedBytes != e.Done.SealedBytes || x.Seconds <= 0 {
		t.Errorf("after an export of %d bytes the estimate expects %+v", e.Done.SealedBytes, x)
	}

	viewer.must(403, "POST", "/estimates", ask)
	privacy.must(403, "POST", "/estimates", ask)
	ask["contacts"], ask["reason"] = []string{"ada"}, "case 1"
	var one schemas.Estimate
	if privacy.into(&one, 200, "POST", "/estimates", ask); one.Rows != 4 {
		t.Errorf("the estimate of one person has %d rows", one.Rows)
	}
	ask["contacts"] = []string{"nobody"}
	privacy.must(422, "POST", "/estimates", ask)
	s.awaitAudit("acme", "export.estimate")
	status := 0
	for range 6 {
		if status, _, _ = acme.send("POST", "/estimates", ask); status == 429 {
			break
		}
	}
	if status != 429 {
		t.Errorf("the last of many estimates is answered with %d, want 429", status)
	}
}

func TestADryRunOfTheCommandSaysWhatTheExportWouldHold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorldIn(t, dir)
	w.run("ingest", "export", "history")
	w.publish(of("eve", 1), of("ada", 2), of("eve", 3))
	w.stored(schemas.TopicInteractions)
	run := func(code int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		args = append([]string{"--data-dir", dir, "export", "create", "--tenant", "acme", "--from", "2020-01-01", "--to", "2030-01-01", "--dry-run"}, args...)
		if got := cli.Main(args, strings.NewReader(""), &out, &out); got != code {
			t.Errorf("%q ends with code %d, want %d: %s", args, got, code, out.String())
		}
		return out.String()
	}
	var of schemas.Estimate
	if check(t, json.Unmarshal([]byte(run(0, "--json", "--contact", "eve", "--reason", "case 1")), &of)); of.Rows != 2 || of.Parts != 1 || of.Behind != 0 {
		t.Errorf("the estimate is %+v", of)
	}
	if out := run(0); !strings.Contains(out, "rows") || !strings.Contains(out, "3") || !strings.Contains(out, "no export of this kind completed lately") {
		t.Errorf("the estimate is shown as %s", out)
	}
	run(2, "--wait")
	run(3, "--contact", "nobody", "--reason", "case 1")
}
