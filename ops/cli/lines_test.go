//go:build !receiver

package cli

import (
	"bytes"
	"strings"
	"testing"

	"cdds/schemas"
)

func TestAListAsJSONLinesIsItsThingsWholeEachOnALine(t *testing.T) {
	var out bytes.Buffer
	s := &session{out: terminal{&out}, form: formJSONL}
	at, err := schemas.ParseTime("2026-11-27T12:00:00Z")
	if err != nil {
		t.Fatal(err)
	}
	all := []schemas.AuditRecord{
		{AuditID: "2", Time: at, TenantID: "acme", Actor: "ada (user/ada)", From: "192.0.2.1", Action: "job.run", Subject: "nightly", Outcome: schemas.OutcomeDone, Detail: "two\nlines, and an = sign"},
		{AuditID: "1", Time: at, TenantID: "acme", Actor: "ada (user/ada)", From: "192.0.2.1", Action: "job.create", Subject: "nightly", Outcome: schemas.OutcomeDone},
	}
	if err := s.list(map[string]any{"tenant_id": "acme", "records": all}, [][]string{{"TIME"}, {"not used"}}, ""); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(all) {
		t.Fatalf("two records are %q", out.String())
	}
	for n, line := range lines {
		if got, err := schemas.DecodeAuditRecord([]byte(line)); err != nil || *got != all[n] {
			t.Errorf("line %d is %s: %v", n+1, line, err)
		}
	}
	out.Reset()
	if err := s.list(map[string]any{"tenant_id": "acme", "records": []schemas.AuditRecord(nil)}, nil, "there are none"); err != nil || out.Len() > 0 {
		t.Errorf("no records are %q, %v", out.String(), err)
	}
}
