package schemas_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"cdds/schemas"
)

// An object has a member of its own kind twice, or in capitals as well, in every place
// where a document of any kind can have an object.
func TestAMemberTwiceOrInOtherLetterCaseIsRefusedInEveryDocumentAtEveryDepth(t *testing.T) {
	documents := map[string][]byte{
		"export-request.schema.json": encode(t, validRequest()),
		"export-status.schema.json":  encode(t, validStatus()),
		"manifest.schema.json":       encode(t, validManifest()),
		"job.schema.json":            encode(t, validJob()),
		"removal.schema.json":        encode(t, schemas.Removal{ID: "i-1", Time: at("2026-11-01T00:00:00Z"), Reason: schemas.RemovedFilter}),
		"interaction.schema.json":    []byte(`{` + identity + `,"attributes":{"a":"b"},"attachments":[{"attachment_id":"a"},{"attachment_id":"b","name":"x","content":"QUJD"}]}`),
	}
	for _, d := range schemas.JSONSchemas() {
		if strings.HasPrefix(d.Name, "types.") || strings.HasPrefix(d.Name, "attachment-line.") || documents[d.Name] != nil {
			continue
		}
		documents[d.Name] = exampleOf(t, d.Name)
	}
	tried := 0
	for name, document := range documents {
		if err := decode(name, document); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, m := range membersIn(t, document) {
			if strings.Contains(string(m.at.Parent()), "attributes") { // names of the producer's
				continue
			}
			upper := m.at.Parent().AppendToken(strings.ToUpper(m.at.LastToken()))
			for added, want := range map[string]string{
				fmt.Sprintf("%q:%s,", m.at.LastToken(), m.value): fmt.Sprintf("member %q appears twice", m.at),
				fmt.Sprintf("%q:null,", upper.LastToken()):       fmt.Sprintf("member %q must be written %q", upper, m.at.LastToken()),
			} {
				tried++
				changed := string(document[:m.begins]) + added + string(document[m.begins:])
				if err := decode(name, []byte(changed)); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got %v, want %s", name, err, want)
				}
			}
		}
	}
	if tried < 300 {
		t.Errorf("only %d documents were tried", tried)
	}
}

func validStatus() *schemas.ExportStatus {
	request := validRequest()
	return &schemas.ExportStatus{
		TenantID: "acme", ExportID: "e-1", EventID: "completed", State: schemas.Completed, Time: at("2026-11-01T00:00:00Z"),
		Worker: "w", Request: request, RequestDigest: request.Digest(), Recipients: validManifest().Recipients,
		Snapshot: schemas.Snapshot{1, 2}, Planned: &schemas.Totals{Parts: 1, Rows: 3, JSONLBytes: 9},
		Part: &validManifest().Parts[0], Failure: &schemas.Failure{Stage: "part", Part: 1, Reason: "r", Hint: "h"},
		Completion: &schemas.Completion{ManifestKey: "acme/e-1/manifest.json", ManifestSHA256: digest, SignatureKey: "acme/e-1/manifest.json.p7s", SignatureSHA256: digest, ExpiresAt: at("2026-12-01T00:00:00Z")},
	}
}

// placed is a member of a document and where its object begins.
type placed struct {
	at     jsontext.Pointer
	value  []byte
	begins int
}

func membersIn(t *testing.T, document []byte) (all []placed) {
	t.Helper()
	d := jsontext.NewDecoder(bytes.NewReader(document))
	var walk func()
	read := func(_ any, err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	walk = func() {
		switch d.PeekKind() {
		case '{':
			read(d.ReadToken())
			begins := int(d.InputOffset())
			for d.PeekKind() != '}' {
				read(d.ReadToken())
				m := placed{at: d.StackPointer(), begins: begins}
				from := int(d.InputOffset())
				walk()
				m.value = bytes.TrimLeft(document[from:d.InputOffset()], " :")
				all = append(all, m)
			}
			read(d.ReadToken())
		case '[':
			read(d.ReadToken())
			for d.PeekKind() != ']' {
				walk()
			}
			read(d.ReadToken())
		default:
			read(d.ReadToken())
		}
	}
	walk()
	return all
}

func TestWhatTheNextReleaseAddsIsIgnoredButInRequestsAndDefinitions(t *testing.T) {
	for name, document := range map[string][]byte{
		"export-status.schema.json": encode(t, validStatus()), "manifest.schema.json": encode(t, validManifest()),
		"interaction.schema.json": []byte(`{` + identity + `,"attachments":[{"attachment_id":"a"}]}`),
	} {
		for _, m := range membersIn(t, document) {
			if err := decode(name, append(append(bytes.Clone(document[:m.begins]), `"x_new":{"Part":1},`...), document[m.begins:]...)); err != nil {
				t.Errorf("%s with a new member beside %s: %v", name, m.at, err)
			}
		}
	}
	for name, document := range map[string][]byte{
		"job.schema.json": encode(t, validJob()), "certificate.schema.json": exampleOf(t, "certificate.schema.json"), "hold.schema.json": exampleOf(t, "hold.schema.json"),
		"erasure-request.schema.json": exampleOf(t, "erasure-request.schema.json"), "export-request.schema.json": encode(t, validRequest()),
	} {
		for _, m := range membersIn(t, document) {
			if strings.Contains(string(m.at.Parent()), "attributes") {
				continue
			}
			want := fmt.Sprintf("member %q is unknown", m.at.Parent().AppendToken("x_new"))
			if err := decode(name, append(append(bytes.Clone(document[:m.begins]), `"x_new":1,`...), document[m.begins:]...)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %s", name, err, want)
			}
		}
	}
}

func TestARequestThatIsReadTwoWaysIsAnsweredIfItsIDsAreBeyondDoubt(t *testing.T) {
	const ids = `"tenant_id":"acme","export_id":"e-1"`
	for document, reason := range map[string]string{
		`{` + ids + `,"entity":"interaction","entity":"contact"}`:                          `request: member "/entity" appears twice`,
		`{` + ids + `,"entity":"interaction","Entity":"contact"}`:                          `request: member "/Entity" must be written "entity"`,
		`{` + ids + `,"media_type":["chat"]}`:                                              `request: member "/media_type" is unknown`,
		`{` + ids + `,"recipients":[{"fingerprint":"a"},{"finger_print":"b"}]}`:            `request: member "/recipients/1/finger_print" is unknown`,
		`{` + ids + `,"attributes":{"region":"north\ud83d"}}`:                              `request: member "/attributes/region" is not Unicode text`,
		`{` + ids + `,"to":7}`:                                                             `request: member "/to" is wrong: a time must be a string`,
		`{` + ids + `,"split_size":1e400}`:                                                 `request: member "/split_size" is wrong`,
		`{"entity":"contact","entity":"contact","tenant\u005fid":"acme",` + ids[19:] + `}`: `request: member "/entity" appears twice`,
		`{"action":"cancel","action":"delete",` + ids + `}`:                                `request: member "/action" appears twice`,
	} {
		r, err := schemas.DecodeExportRequest([]byte(document))
		if err != nil || r.TenantID != "acme" || r.ExportID != "e-1" {
			t.Errorf("%s: %v", document, err)
			continue
		}
		if err := r.Validate(); err == nil || !strings.HasPrefix(err.Error(), reason) {
			t.Errorf("%s: got %v, want %s", document, err, reason)
		}
	}
	for _, document := range []string{
		`{` + ids + `,"tenant_id":"globex"}`, `{"tenant_id":"","tenant_id":"acme","export_id":"e-1"}`, `{` + ids + `,"Tenant_ID":"globex"}`,
		`{` + ids + `,"export\u005fid":"e-2"}`, `{` + ids + `,"x":1}{}`, `{` + ids + `,"x":1,`, `{"tenant_id":7,"export_id":"e-1","x":1}`,
		`{"tenant_id":"acme","export_id":"e\ud83d","x":1}`,
	} {
		var malformed *schemas.MalformedError
		if r, err := schemas.DecodeExportRequest([]byte(document)); !errors.As(err, &malformed) {
			t.Errorf("%s was read as a request of %s/%s", document, r.TenantID, r.ExportID)
		}
	}
}

// Every reader that replaces what is not Unicode reads these alike, as U+FFFD.
const half, other = `\ud83d`, `\ud83c`

func TestIDsMustBeUnicodeText(t *testing.T) {
	for _, field := range []string{"interaction_id", "tenant_id", "contact_id", "agent_id", "parent_id", "thread_id"} {
		message := `{"media_type":"chat","started_at":"2026-10-05T07:13:35.364Z"`
		for _, name := range []string{"interaction_id", "tenant_id", "contact_id", "agent_id", "parent_id", "thread_id"} {
			value := "acme"
			if name == field {
				value += half
			}
			message += fmt.Sprintf(`,"%s":"%s"`, name, value)
		}
		if _, err := schemas.DecodeInteraction([]byte(message + `}`)); err == nil || !strings.HasPrefix(err.Error(), field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, attachment := range []string{`{"attachment_id":"a` + half + `"}`, `{"attachment_id":"a","object":"acme/k` + half + `","size":1,"sha256":"` + digest + `"}`} {
		if _, err := schemas.DecodeInteraction([]byte(`{` + identity + `,"attachments":[` + attachment + `]}`)); err == nil || !strings.Contains(err.Error(), "Unicode") {
			t.Errorf("%s: %v", attachment, err)
		}
	}
	for _, message := range []string{
		`{"contact_id":"p` + half + `","tenant_id":"acme","created_at":"2026-10-05T07:13:35.364Z"}`,
		`{"contact_id":"p","tenant_id":"acme","created_at":"2026-10-05T07:13:35.364Z","phones":["` + half + `"]}`,
	} {
		if _, err := schemas.DecodeContact([]byte(message)); err == nil || !strings.Contains(err.Error(), "Unicode") {
			t.Errorf("%s: %v", message, err)
		}
	}
	erasure := `{"erasure_id":"e-1","tenant_id":"acme","contact_id":"p` + half + `"}`
	if _, err := schemas.DecodeErasureRequest([]byte(erasure)); err == nil || !strings.Contains(err.Error(), `member "/contact_id" is not Unicode text`) {
		t.Errorf("%s: %v", erasure, err)
	}
}

func TestOtherTextMayBeCutWithinAnEmojiAndStaysApart(t *testing.T) {
	read := func(cut string) *schemas.Interaction {
		t.Helper()
		message := `{` + identity + `,"text":"` + cut + `","queue":"é` + cut + `\n\ud83d\ude00","attributes":{"` + cut + `":"x","region":"north` + cut + `"},"x":"` + cut + `"}`
		e, err := schemas.DecodeInteraction([]byte(message))
		if err != nil {
			t.Fatalf("%s: %v", message, err)
		}
		if string(e.Body) != message {
			t.Errorf("the body of %s is %s", message, e.Body)
		}
		return e
	}
	one, two, replaced := read(half), read(other), read("\ufffd")
	for _, pair := range [][2]*schemas.Interaction{{one, two}, {one, replaced}} {
		a, b := pair[0], pair[1]
		if a.Queue == b.Queue || a.Attributes["region"] == b.Attributes["region"] {
			t.Errorf("%q and %q, %q and %q are read alike", a.Queue, b.Queue, a.Attributes, b.Attributes)
		}
	}
	if want := "é\xed\xa0\xbd\n😀"; one.Queue != want || one.Attributes["\xed\xa0\xbd"] != "x" {
		t.Errorf("the queue is %q, want %q; the attributes are %q", one.Queue, want, one.Attributes)
	}
}

func TestAttachmentsOfAStoredInteractionAreThoseThatIngestRead(t *testing.T) {
	for _, attachments := range []string{
		`[{"attachment_id":"a","CONTENT":"QUJD"}]`, // stored before it was refused
		`[{"attachment_id":"a","name":"x` + half + `","x":{"y":[1e400]}},{"attachment_id":"b","content":"QUJD","size":3}]`,
		`[{"attachment_id":"a","object":"acme/k","size":3,"sha256":"` + digest + `"}]`,
		`null`, `[]`,
	} {
		body := `{` + identity + `,"text":"` + half + `","crm_id":18446744073709551616,"Attachments":[],"attachments":` + attachments + `}`
		key, got, err := schemas.StoredAttachments([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if key.ID != "i-1" || key.Time != at("2026-10-05T07:13:35.364Z") {
			t.Errorf("%s: its key is %+v", body, key)
		}
		ingested, err := schemas.DecodeInteraction([]byte(strings.NewReplacer(`"Attachments":[],`, "", `"CONTENT"`, `"x"`).Replace(body)))
		if err != nil {
			t.Fatal(err)
		}
		if a, b := fmt.Sprintf("%+q", fmt.Sprint(got)), fmt.Sprintf("%+q", fmt.Sprint(ingested.Attachments)); a != b {
			t.Errorf("%s: %s, and ingest read %s", body, a, b)
		}
	}
	if _, _, err := schemas.StoredAttachments([]byte(`{"attachments":[`)); err == nil {
		t.Error("half a body is readable")
	}
}

func TestNoTwoDocumentsAreReadAlike(t *testing.T) {
	type document struct {
		Name string         `json:"name"`
		List []string       `json:"list"`
		Free map[string]any `json:"free"`
	}
	for _, b := range []string{
		``, `{`, `{}{}`, `null`, `[]`, `"x"`, `{"name":7}`, "{\"name\":\"\xff\"}", `{"name":"\ud83d"}`, `{"free":{"a":1,"a":1}}`, `{"x":{"a":1,"a":1}}`,
		`{"NAME":"x"}`, `{"name":"x","name":"x"}`, `{"n\u0061me":"x","name":"x"}`,
	} {
		var malformed *schemas.MalformedError
		if err := schemas.Read([]byte(b), new(document)); !errors.As(err, &malformed) {
			t.Errorf("%s was read: %v", b, err)
		}
	}
	got := document{Name: "of before", List: []string{"x"}}
	if err := schemas.Read([]byte(` {"list":null,"free":{"A":1,"a":2},"other":1} `), &got); err != nil || got.Name != "" || got.List != nil || len(got.Free) != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	var anything any
	if err := schemas.ReadKnown([]byte(`{"a":[1,null,{"B":"c"}]}`), &anything); err != nil {
		t.Error(err)
	}
	if again, err := json.Marshal(anything); err != nil || string(again) != `{"a":[1,null,{"B":"c"}]}` {
		t.Errorf("read as %s, %v", again, err)
	}
}

func TestWhatWasAcceptedOnceIsReadForTablesWhateverItHas(t *testing.T) {
	i, err := schemas.StoredInteraction([]byte(`{"interaction_id":"i","started_at":"2026-11-01T00:00:00.000Z","media_type":"hologram","later":{"x":[1]},"text":"cut \ud83d"}`))
	if err != nil || i.InteractionID != "i" || i.MediaType != "hologram" || i.Text != "cut \ufffd" || i.StartedAt != at("2026-11-01T00:00:00Z") {
		t.Errorf("read %+v: %v", i, err)
	}
	c, err := schemas.StoredContact([]byte(`{"contact_id":"c","created_at":"2026-11-01T00:00:00.000Z","emails":["a@b"],"later":1}`))
	if err != nil || c.ContactID != "c" || len(c.Emails) != 1 {
		t.Errorf("read %+v: %v", c, err)
	}
	for _, cut := range []string{`{"interaction_id":`, `{"contact_id":1}`, `[]`} {
		if _, err := schemas.StoredInteraction([]byte(cut)); err == nil {
			if _, err := schemas.StoredContact([]byte(cut)); err == nil {
				t.Errorf("%s is read", cut)
			}
		}
	}
}
