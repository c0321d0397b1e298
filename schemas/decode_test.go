package schemas_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"cdds/schemas"
)

const identity = `"interaction_id":"i-1","tenant_id":"acme","media_type":"chat","started_at":"2026-10-05T07:13:35.364Z"`

func TestUnreadableMessagesAreMalformedWithACodeAndAReason(t *testing.T) {
	for name, c := range map[string]struct{ message, code, reason string }{
		"nothing":                  {"", schemas.CodeJSON, "not valid JSON"},
		"half a message":           {`{` + identity, schemas.CodeJSON, "not valid JSON"},
		"two messages":             {`{` + identity + `}{}`, schemas.CodeJSON, "after top-level value"},
		"a trailing comma":         {`{` + identity + `,}`, schemas.CodeJSON, "not valid JSON"},
		"not a number":             {`{` + identity + `,"x":NaN}`, schemas.CodeJSON, "not valid JSON"},
		"a raw line feed in text":  {`{` + identity + ",\"text\":\"a\nb\"}", schemas.CodeJSON, "not valid JSON"},
		"deep nesting":             {`{` + identity + `,"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, schemas.CodeJSON, "depth"},
		"a list":                   {`[]`, schemas.CodeEvent, "must be a JSON object"},
		"null":                     {`null`, schemas.CodeEvent, "must be a JSON object"},
		"text":                     {`"{}"`, schemas.CodeEvent, "must be a JSON object"},
		"a number of a megabyte":   {strings.Repeat("7", 1<<20), schemas.CodeEvent, "must be a JSON object"},
		"a large number as text":   {`{` + identity + `,"text":` + strings.Repeat("7", 1<<20) + `}`, schemas.CodeEvent, `member "/text"`},
		"a list as a time":         {`{"started_at":[` + strings.Repeat(`"日本",`, 1000) + `1]}`, schemas.CodeEvent, "RFC 3339"},
		"a time in lower case":     {`{"started_at":"2026-09-01t10:00:00z"}`, schemas.CodeEvent, "T and Z as capitals"},
		"a leap second":            {`{"started_at":"2026-06-30T23:59:60.5+02:00"}`, schemas.CodeEvent, "no leap second"},
		"a time without an offset": {`{"started_at":"2026-09-01T10:00:00"}`, schemas.CodeEvent, "add Z for UTC"},
		"a long text as a time":    {`{"started_at":"` + strings.Repeat(`日本`, 1000) + `"}`, schemas.CodeEvent, "RFC 3339"},
		"Latin-1":                  {"{" + identity + ",\"text\":\"Gr\xfc\xdfe\"}", schemas.CodeUTF8, "UTF-8"},
		"a surrogate in UTF-8":     {"{" + identity + ",\"text\":\"\xed\xa0\x80\"}", schemas.CodeUTF8, "UTF-8"},
		"over 4 MiB":               {`{` + identity + `,"text":"` + strings.Repeat("x", schemas.MaxEventBytes) + `"}`, schemas.CodeTooLarge, "4194304"},
		"a name twice":             {`{` + identity + `,"tenant_id":"globex"}`, schemas.CodeEvent, `member "/tenant_id" appears twice`},
		"a name twice, escaped":    {`{` + identity + `,"tenant\u005fid":"globex"}`, schemas.CodeEvent, `member "/tenant_id" appears twice`},
		"an unknown name twice":    {`{` + identity + `,"x":1,"x":1}`, schemas.CodeEvent, `"/x" appears twice`},
		"a name late and twice":    {`{` + identity + manyNames(100) + `,"n7":1}`, schemas.CodeEvent, `"/n7" appears twice`},
		"a name in capitals":       {`{` + identity + `,"Text":"x"}`, schemas.CodeEvent, `member "/Text" must be written "text"`},
		"a name in Unicode's case": {`{` + identity + `,"ſubject":"x"}`, schemas.CodeEvent, `must be written "subject"`},
		"two times of year 0":      {`{"interaction_id":"i","tenant_id":"acme","media_type":"chat","started_at":"0000-01-01T00:00:00Z"}`, schemas.CodeEvent, "0000"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := schemas.DecodeInteraction([]byte(c.message))
			var malformed *schemas.MalformedError
			if !errors.As(err, &malformed) {
				t.Fatalf("got %v, want a *MalformedError", err)
			}
			if malformed.Code != c.code || !strings.Contains(malformed.Reason, c.reason) {
				t.Errorf("%s: %s; want %s: ... %s ...", malformed.Code, malformed.Reason, c.code, c.reason)
			}
			if len(malformed.Reason) > 500 || !utf8.ValidString(malformed.Reason) {
				t.Errorf("the reason has %d bytes, valid UTF-8 = %t; it becomes a header", len(malformed.Reason), utf8.ValidString(malformed.Reason))
			}
		})
	}
}

func TestMessageOfExactlyTheLimitIsRead(t *testing.T) {
	message := `{` + identity + `,"text":""}`
	message = strings.Replace(message, `"text":"`, `"text":"`+strings.Repeat("x", schemas.MaxEventBytes-len(message)), 1)
	if len(message) != schemas.MaxEventBytes {
		t.Fatalf("the message has %d bytes", len(message))
	}
	if _, err := schemas.DecodeInteraction([]byte(message)); err != nil {
		t.Error(err)
	}
}

func TestEveryBrokenRuleIsReportedAtOnce(t *testing.T) {
	_, err := schemas.DecodeInteraction([]byte(`{"tenant_id":"A","media_type":"fax","direction":"up","status":"Not One","started_at":"9999-12-31T23:59:59Z"}`))
	for _, field := range []string{"interaction_id", "tenant_id", "media_type", "direction", "status", "started_at"} {
		if err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("nothing said about %s: %v", field, err)
		}
	}
}

func TestHostileAttributeKeysAreDataAndNothingElse(t *testing.T) {
	for _, key := range []string{
		`"`, `\`, `\"`, `'; DROP TABLE interactions --`, "\n\nDROP TABLE interactions", "a\r\nb", "a\x00b", "\x1f",
		"😀", "\u2028", "\u202e", "$.x", "..", "../../etc/passwd", "{k}", "%s%n", "<script>", " ", "interaction_id",
	} {
		quoted := encode(t, key)
		message := fmt.Sprintf(`{%s,"attributes":{%s:%s}}`, identity, quoted, quoted)
		e, err := schemas.DecodeInteraction([]byte(message))
		if err != nil {
			t.Errorf("%q: %v", key, err)
			continue
		}
		if e.Attributes[key] != key || len(e.Attributes) != 1 {
			t.Errorf("%q was read as %q", key, e.Attributes)
		}
		if string(e.Body) != message {
			t.Errorf("%q: the body is %s, want %s", key, e.Body, message)
		}
	}
}

func TestBodyKeepsWhatWasPublishedByteForByte(t *testing.T) {
	for name, message := range map[string]string{
		"unknown members and order": `{"z":1,` + identity + `,"a":{"b":[]},"y":null}`,
		"empty values":              `{` + identity + `,"text":"","notes":null,"attributes":{},"attachments":[],"queue":""}`,
		"how numbers are written":   `{` + identity + `,"x":[1.0,1e3,-0,0.10,12345678901234567890]}`,
		"how text is escaped":       `{` + identity + `,"text":"\u0041\/<&>\u2028\ud83d\ude00\ud800"}`,
		"blanks":                    "{ " + identity + ` ,"x" : [ 1,	2 ] }`,
		"times that are not ours":   `{` + identity + `,"x_at":"2026-10-05T09:13:35+02:00","x":{"started_at":"yesterday"}}`,
		"many unknown members":      `{` + identity + manyNames(5000) + `}`,
		"braces in text":            `{"text":"}],{\"started_at\":\"\\",` + identity + `}`,
		"nested attachments":        `{"attachments":[{"attachment_id":"a","x":{"y":[{}]}}],` + identity + `}`,
	} {
		e, err := schemas.DecodeInteraction([]byte(message))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if string(e.Body) != message {
			t.Errorf("%s: the body is %s, want %s", name, e.Body, message)
		}
		if published := encode(t, e); !bytes.Equal(published, e.Body) {
			t.Errorf("%s: published again as %s", name, published)
		}
	}
}

func TestBodyIsOneLineWithTimesInWireForm(t *testing.T) {
	e, err := schemas.DecodeInteraction([]byte("\n{\n  \"started_at\" : \"2026-10-05T09:13:35+02:00\",\r\n\t\"ended_at\": \"2026-10-05T07:13:36.1239999Z\", \"modified_at\":null," +
		`"interaction_id":"i-1","tenant_id":"acme","media_type":"chat","text":"a\nb"}` + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"started_at":"2026-10-05T07:13:35.000Z","ended_at":"2026-10-05T07:13:36.123Z","modified_at":null,"interaction_id":"i-1","tenant_id":"acme","media_type":"chat","text":"a\nb"}`
	if string(e.Body) != want {
		t.Errorf("the body is %s, want %s", e.Body, want)
	}
	if got := e.StartedAt.String(); got != "2026-10-05T07:13:35.000Z" {
		t.Errorf("started_at = %s", got)
	}
}

func TestDecodingLeavesTheMessageAlone(t *testing.T) {
	message := []byte(`{"started_at":"2026-10-05T09:13:35+02:00","interaction_id":"i-1","tenant_id":"acme","media_type":"chat"}`)
	before := bytes.Clone(message)
	if _, err := schemas.DecodeInteraction(message); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(message, before) {
		t.Errorf("the message became %s", message)
	}
}

func TestTimesMadeInGoAreUTCMilliseconds(t *testing.T) {
	got, err := json.Marshal(at("2026-10-05T23:59:59.9999-07:00"))
	if err != nil || string(got) != `"2026-10-06T06:59:59.999Z"` {
		t.Errorf("got %s, %v", got, err)
	}
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"n%d":%d`, i, i)
	}
	return b.String()
}
