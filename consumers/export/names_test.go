package export_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// TestNothingHiddenIsInAnExportUnderAnotherName plants personal data under our names and under
// those of Genesys, and exports it with both under policies that hide it.
func TestNothingHiddenIsInAnExportUnderAnotherName(t *testing.T) {
	records := plantedRecords(30, "email")
	for i, r := range records {
		body := strings.TrimSuffix(string(r.Event.Body), "}") + fmt.Sprintf(
			`,"external_id":%[1]q,"thread_hash":%[1]q,"structured_text":%[1]q,"stopped_reason":%[1]q,"web_safe_email_status":%[1]q,"contactId":%[1]q,"OWNERID":%[1]q,"theComment":%[1]q,"allAttributes":{"name":%[1]q},"structuredText":%[1]q}`, planted)
		e, err := schemas.DecodeInteraction([]byte(body))
		check(t, err)
		records[i].Event = e
	}
	for name, p := range map[string]*schemas.FieldPolicy{
		"the preset": {Preset: schemas.PresetPersonal},
		"rules that keep unknown members": {
			Pseudonym: []string{"/interaction_id", "/contact_id", "/agent_id", "/thread_id", "/parent_id", "/external_id"},
			LeaveOut: []string{
				"/subject", "/text", "/notes", "/attributes/name", "/attachments", "/caller", "/text_of_caller", "/structured_text",
				"/stopped_reason", "/web_safe_email_status", "/thread_hash",
			},
			Unknown: schemas.UnknownKeep,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(records...)
			e := s.runUnder(t, s.worker(nil, nil), "both", p, func(r *schemas.ExportRequest) { r.Names = schemas.NamesGenesys })
			if e.State != schemas.Completed || e.Done.Rows != 30 {
				t.Fatalf("%s with %d rows, %+v", e.State, e.Done.Rows, e.Failure)
			}
			dir, m := s.received(t, "both")
			if found := hits(t, dir, planted); len(found) > 0 {
				t.Errorf("planted data is in %v", found)
			}
			if m.Names != schemas.NamesGenesys || m.Chain.FilterDigest != schemas.SelectionDigest(m.Filter, m.FieldPolicy, m.Names) || m.Parts[0].StoredBytes != 0 {
				t.Errorf("the manifest states the names %q, %+v", m.Names, m.Chain)
			}
			for _, row := range rows(t, dir, "interaction") {
				if row["ixnId"] != row["interaction_id"] || row["contactId"] != row["contact_id"] || row["externalId"] != row["external_id"] || row["mediaTypeId"] != "email" {
					t.Errorf("a row whose names differ: %v", row)
				}
			}
		})
	}
}

func TestAChainWhoseRowsGetOtherNamesStartsOver(t *testing.T) {
	s := newScene(plantedRecords(10, "chat")...)
	w := s.worker(nil, nil)
	for n, step := range []struct {
		names string
		over  bool
	}{{"", false}, {schemas.NamesGenesys, true}, {schemas.NamesGenesys, false}, {"", true}} {
		e := s.runUnder(t, w, fmt.Sprint("run-", n), nil, func(r *schemas.ExportRequest) { r.Names = step.names })
		if over := strings.Contains(e.StartsOver, "other field names"); e.State != schemas.Completed || over != step.over || over && e.Done.Rows != 10 {
			t.Errorf("run %d is %s with %d rows and starts over: %q", n, e.State, e.Done.Rows, e.StartsOver)
		}
	}
	since := request("since")
	since.SinceExport, since.Names = "run-3", schemas.NamesGenesys
	check(t, s.handle(t.Context(), w, since))
	if e := schemas.Fold(s.statuses("since")...); e.State != schemas.Completed || e.Done.Rows != 10 || !strings.Contains(e.StartsOver, "other field names") {
		t.Errorf("it is %s with %d rows and starts over: %q", e.State, e.Done.Rows, e.StartsOver)
	}
}

// TestCopiesThatOutgrowTheirRoomGetMore exports a row that its copies make twice as large, and
// finds the part again after a restart.
func TestCopiesThatOutgrowTheirRoomGetMore(t *testing.T) {
	notes := strings.Repeat("a note ", 100_000)
	body := fmt.Sprintf(`{"interaction_id":"i","tenant_id":%q,"media_type":"chat","started_at":%q,"notes":%q}`, pipelinetest.Tenant, pipelinetest.Everything().Filter.From, notes)
	e, err := schemas.DecodeInteraction([]byte(body))
	check(t, err)
	s := newScene(schemas.Record[*schemas.Interaction]{Event: e, Time: e.StartedAt})
	r := request("large")
	r.Names = schemas.NamesGenesys
	check(t, s.handle(t.Context(), s.worker(nil, nil), r))
	if x := schemas.Fold(s.statuses("large")...); x.State != schemas.Completed {
		t.Fatalf("it is %s, %+v", x.State, x.Failure)
	}
	dir, m := s.received(t, "large")
	row := rows(t, dir, "interaction")[0]
	if row["notes"] != notes || row["theComment"] != notes {
		t.Error("the note is not there twice")
	}
	line, err := json.Marshal(row)
	check(t, err)
	if size := m.Parts[0].Bytes; size < int64(2*len(notes)) || m.Totals.JSONLBytes != size {
		t.Errorf("the manifest has %d bytes of a line of about %d", size, len(line))
	}
}
