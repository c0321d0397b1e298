package schemas_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cdds/schemas"
)

// copied is the line that an export with the names of Genesys shows of a row.
func copied(t testing.TB, entity, line string) string {
	t.Helper()
	out, err := schemas.FieldNamesOf(schemas.NamesGenesys, entity).Copies().Append(nil, []byte(line))
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return string(out)
}

func TestARowHasItsMembersUnderOtherNamesToo(t *testing.T) {
	for row, want := range map[string]string{
		`{}`: `{}`,
		`{"interaction_id":"i","direction":"inbound"}`: `{"interaction_id":"i","direction":"inbound","ixnId":"i","typeId":"Inbound"}`,
		` { "agent_id" : "a" , "x" : [1, 2] } `:        `{"agent_id":"a","x":[1, 2],"ownerId":"a"}`,
		`{"attributes":{"a":"b"},"notes":null}`:        `{"attributes":{"a":"b"},"notes":null,"theComment":null,"allAttributes":{"a":"b"}}`,
		`{"is_spam":true,"time_shift":-60}`:            `{"is_spam":true,"time_shift":-60,"timeShift":-60,"isSpam":true}`,
		`{"contact\u005fid":"c","contactId":"other"}`:  `{"contact\u005fid":"c","contactId":"c"}`,
		`{"CONTACTID":"hidden","queue":""}`:            `{"queue":"","queueName":""}`,
		`{"direction":"sideways","subject":"s"}`:       `{"direction":"sideways","subject":"s","typeId":"Sideways"}`,
	} {
		if got := copied(t, schemas.EntityInteraction, row); got != want {
			t.Errorf("%s: got %s, want %s", row, got, want)
		}
	}
	if got, want := copied(t, schemas.EntityContact, `{"contact_id":"c","tenant_id":"acme"}`), `{"contact_id":"c","tenant_id":"acme","ContactId":"c","tenantid":"acme"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhatIsNoRowHasNoCopies(t *testing.T) {
	copies := schemas.FieldNamesOf(schemas.NamesGenesys, schemas.EntityInteraction).Copies()
	for _, line := range []string{``, `[]`, `{`, `{"text`, `{"text":`, `{"queue":"secret"`, `{"queue":"secret"]`, `{"a":1}secret`, `{"a" 1}`, `{"a":1,}`} {
		out, err := copies.Append([]byte("before"), []byte(line))
		if err == nil || strings.Contains(err.Error(), "secret") || string(out) != "before" {
			t.Errorf("%q: got %s, %v", line, out, err)
		}
	}
}

// TestEveryNameIsOfAMemberOfTheSchema holds the table to the schema: no name stands for nothing,
// none twice, and none that a strict reader would take for another member.
func TestEveryNameIsOfAMemberOfTheSchema(t *testing.T) {
	for entity, v := range map[string]any{schemas.EntityInteraction: schemas.Interaction{}, schemas.EntityContact: schemas.Contact{}} {
		var ours, theirs []string
		for _, f := range fieldsOf(reflect.TypeOf(v)) {
			ours = append(ours, f.name)
		}
		for _, name := range schemas.FieldNamesOf(schemas.NamesGenesys, entity).All() {
			if !slices.Contains(ours, name.Ours) {
				t.Errorf("%s: there is no member %s", entity, name.Ours)
			}
			for _, other := range append(slices.Clone(ours), theirs...) {
				if strings.EqualFold(other, name.Theirs) {
					t.Errorf("%s: %s is also %s", entity, name.Theirs, other)
				}
			}
			theirs = append(theirs, name.Theirs)
		}
	}
	if schemas.FieldNamesOf("", schemas.EntityInteraction) != nil {
		t.Error("there are other names without another product")
	}
}

// TestWhatAPolicyHidesHasNoOtherName hides each member in each way that it can be hidden, in rows
// that have it under both names.
func TestWhatAPolicyHidesHasNoOtherName(t *testing.T) {
	const secretText = "PLANTED"
	tried := 0
	for _, entity := range schemas.Entities() {
		names := schemas.FieldNamesOf(schemas.NamesGenesys, entity)
		for _, name := range names.All() {
			value := `"` + secretText + `"`
			if name.Ours == "attributes" {
				value = `{"a":"` + secretText + `"}`
			}
			row := fmt.Sprintf(`{%q:%s,"x":1,%q:%s,%q:%s}`, name.Theirs, value, name.Ours, value, strings.ToUpper(name.Theirs), value)
			for _, unknown := range []string{schemas.UnknownKeep, schemas.UnknownLeaveOut} {
				for _, p := range []*schemas.FieldPolicy{
					{LeaveOut: []string{"/" + name.Ours}, Unknown: unknown},
					{Pseudonym: []string{"/" + name.Ours}, Unknown: unknown},
					{Truncate: map[string]int{"/" + name.Ours: 3}, Unknown: unknown},
					{LeaveOut: []string{"/" + name.Ours + "/a"}, Unknown: unknown},
				} {
					redaction, err := p.Redact(entity, pseudonymKey(t, "acme"))
					if err != nil {
						continue // not a way to hide it
					}
					tried++
					shown, err := redaction.Line().Append(nil, []byte(row))
					if err != nil {
						t.Fatal(err)
					}
					if got := copied(t, entity, string(shown)); strings.Contains(got, secretText) {
						t.Errorf("%+v: %s shows %s", p, row, got)
					}
				}
			}
		}
	}
	if tried < 60 {
		t.Errorf("only %d ways to hide a member were tried", tried)
	}
}

func TestAPolicyDoesNotNameACopy(t *testing.T) {
	r := validRequest()
	r.Names, r.FieldPolicy = schemas.NamesGenesys, &schemas.FieldPolicy{LeaveOut: []string{"/ContactID", "/allAttributes/a"}, Unknown: schemas.UnknownKeep}
	err := r.Validate()
	if err == nil || !strings.Contains(err.Error(), `"/ContactID" is the copy of "/contact_id"`) || !strings.Contains(err.Error(), `"/allAttributes/a" is the copy of "/attributes"`) {
		t.Errorf("it says %v", err)
	}
	r.Names = ""
	if err := r.Validate(); err != nil {
		t.Errorf("without copies: %v", err)
	}
	r.Names = "other"
	if err := r.Validate(); err == nil || !strings.Contains(err.Error(), "genesys") {
		t.Errorf("it says %v", err)
	}
	j := validJob()
	j.Names, j.FieldPolicy = schemas.NamesGenesys, r.FieldPolicy
	if err := j.Validate(); err == nil || !strings.Contains(err.Error(), "is the copy of") {
		t.Errorf("of a job it says %v", err)
	}
}

func TestNamesArePartOfWhatARunSelects(t *testing.T) {
	f := validRequest().Filter()
	policy := (&schemas.FieldPolicy{LeaveOut: []string{"/text"}}).Applied(f.Entity, "")
	all := map[string]bool{}
	for _, names := range []string{"", schemas.NamesGenesys} {
		all[schemas.SelectionDigest(f, nil, names)], all[schemas.SelectionDigest(f, policy, names)] = true, true
	}
	if len(all) != 4 || !all[schemas.FilterDigest(f)] {
		t.Errorf("digests: %v", all)
	}
	r := validRequest()
	before := r.Digest()
	if r.Names = schemas.NamesGenesys; r.Digest() == before || !r.Strict() {
		t.Error("a request with other names is like one without")
	}
}

func ours(line string) (string, error) {
	out, err := schemas.FieldNamesOf(schemas.NamesGenesys, schemas.EntityInteraction).Ours([]byte(line))
	return string(out), err
}

func TestALineWithOtherNamesGetsOurs(t *testing.T) {
	for line, want := range map[string]string{
		`{"ixnId":"i","tenantId":101,"mediaTypeId":"Email","typeId":"Outbound","startDate":"2026-10-05T09:13:35+02:00"}`: `{"interaction_id":"i","tenant_id":"101","media_type":"email","direction":"outbound","started_at":"2026-10-05T09:13:35+02:00"}`,
		`{"IXNID":"i"}`:                                       `{"interaction_id":"i"}`,
		`{"ownerId":17,"isSpam":"False"}`:                     `{"agent_id":"17","is_spam":false}`,
		`{"timeShift":"-60","externalId":"m"}`:                `{"time_shift":-60,"external_id":"m"}`,
		`{"timeShift":"007"}`:                                 `{"time_shift":7}`,
		`{"allAttributes":{"a":1,"b":true,"c":null,"d":"x"}}`: `{"attributes":{"a":"1","b":"true","d":"x"}}`,
		`{"allAttributes":{"a":{}}}`:                          `{"attributes":{"a":{}}}`,
		`{"status":3,"subject":"s"}`:                          `{"status":"status-3","subject":"s"}`,
		`{"status":"closed","unknown":{"ixnId":"i"}}`:         `{"status":"closed","unknown":{"ixnId":"i"}}`,
		`{"contact_id":"\u0063","contactId":"c"}`:             `{"contact_id":"\u0063"}`,
		`{"contactId":"c","contact_id":"c"}`:                  `{"contact_id":"c"}`,
		`{"started_at":"2026-10-05T07:13:35.000Z","startDate":"2026-10-05T09:13:35+02:00"}`: `{"started_at":"2026-10-05T07:13:35.000Z"}`,
		`{"agent_id":"17","ownerId":17}`: `{"agent_id":"17"}`,
		`[{"ixnId":"i"}]`:                `[{"ixnId":"i"}]`,
		`{"ixnId":"i"`:                   `{"ixnId":"i"`,
	} {
		if got, err := ours(line); got != want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", line, got, err, want)
		}
	}
	for line, want := range map[string]string{
		`{"contact_id":"c","contactId":"d"}`:          `"contactId" and "contact_id" are one field and differ`,
		`{"contact_id":"c","contactId":null}`:         `differ`,
		`{"attributes":{},"allAttributes":{"a":"b"}}`: `"allAttributes"`,
		"{\"ixnId\":\"\xff\"}":                        `UTF-8`,
	} {
		var malformed *schemas.MalformedError
		if _, err := ours(line); !errors.As(err, &malformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}

// TestRowsWithOtherNamesAreReadBack makes rows of drawn interactions, adds the copies, reads them,
// and compares.
func TestRowsWithOtherNamesAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := mustEncode(interactions().Draw(t, "interaction"))
		shown, err := schemas.FieldNamesOf(schemas.NamesGenesys, schemas.EntityInteraction).Copies().Append(nil, []byte(line))
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal(shown, &members); err != nil || members["ixnId"] != members["interaction_id"] || members["startDate"] != members["started_at"] {
			t.Fatalf("%s: %v", shown, err)
		}
		if got, err := ours(string(shown)); got != line || err != nil {
			t.Fatalf("%s became %s, %v", shown, got, err)
		}
	})
}

func FuzzOtherNames(f *testing.F) {
	if files, err := os.ReadDir("testdata/fuzz/FuzzOtherNames"); err != nil || len(files) == 0 {
		f.Fatal("the seeds are missing: ", err)
	}
	names := schemas.FieldNamesOf(schemas.NamesGenesys, schemas.EntityInteraction)
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		read, err := names.Ours(line)
		if !bytes.Equal(line, before) {
			t.Fatalf("the line became %q", line)
		}
		if err != nil {
			checkMalformed(t, err)
			return
		}
		e, err := schemas.DecodeInteraction(bytes.Clone(read))
		if err != nil {
			checkMalformed(t, err)
			return
		}
		shown, err := names.Copies().Append(nil, e.Body)
		if err != nil || !json.Valid(shown) {
			t.Fatalf("%s has the copies %s: %v", e.Body, shown, err)
		}
		again, err := names.Ours(shown)
		if err != nil {
			t.Fatalf("%s is not read back: %v", shown, err)
		}
		if once := copied(t, schemas.EntityInteraction, string(again)); once != string(shown) {
			t.Fatalf("%s was exported as %s, read back and exported as %s", e.Body, shown, once)
		}
	})
}
