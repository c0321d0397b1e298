package schemas_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"cdds/schemas"
	"cdds/schemas/sample"
)

const contactIdentity = `"contact_id":"c-1","tenant_id":"acme","created_at":"2026-10-05T07:13:35.364Z"`

// whatProducersWrite are members that a scanner reads by itself.
var whatProducersWrite = []string{
	`"text":"a \"quoted\" line\nand \u00e4 \ud83d\ude00 and half of one: \ud83d"`,
	`"attributes":{}`, `"attributes":{"k":"v","line":"1\n2","ß":""}`, `"attributes":null`,
	`"modified_at":"2026-10-05T09:13:35+02:00"`, `"modified_at":"2026-02-28T23:59:59.999999Z"`, `"modified_at":null`,
	`"x":[1,-0.5e-7,0,true,false,null,"",{"a":{"b":[[],{}]}}]`, `"language":"de"`, `"X-Y":" "`,
}

// whatMayBeWrong are members, or no members at all, of which a scanner must be unsure, or as
// sure as the reader.
var whatMayBeWrong = []string{
	`"tenant_id":"globex"`, `"Text":"x"`, `"te\u0078t":"x"`, `"ſubject":"x"`, `"x":1,"x":2`, `"x":{"a":1,"a":2}`, `"attributes":{"a":"1","a":"2"}`,
	`"x":01`, `"x":-`, `"x":1.`, `"x":.5`, `"x":1e`, `"x":+1`, `"x":1e400`, `"x":NaN`, `"x":tru`, `"x":nulls`, `"x":"\x"`, `"x":"\u12g4"`, `"x":"`, `"x":"\`, `"x":"\u12`,
	"\"x\":\"a\tb\"", "\"x\":\t1", "\"text\":\"\x00\"", "\"text\":\"\xff\"", "\"x\":\"\xed\xa0\x80\"", "\"x\":\"\x7f\"",
	`"text":7`, `"text":["x"]`, `"text":tnull`, `"started_at":7`, `"ended_at":"yesterday"`, `"ended_at":""`, `"ended_at":"2026-02-29T00:00:00.000Z"`, `"ended_at":"2024-02-29T00:00:00.000Z"`,
	`"ended_at":"2026-13-01T00:00:00.000Z"`, `"ended_at":"2026-01-01T24:00:00.000Z"`, `"ended_at":"0001-01-01T00:00:00.000Z"`, `"ended_at":"0000-01-01T00:00:00.000Z"`, `"ended_at":"1969-12-31T23:59:59.999Z"`,
	`"ended_at":"2026-01-01T00:00:60.000Z"`, `"ended_at":"2026-01-01T00:00:00\u002e000Z"`, `"ended_at":"2026-00-01T00:00:00.000Z"`, `"ended_at":"2026-01-00T00:00:00.000Z"`, `"ended_at":"2026-01-01T00:00:00.000z"`,
	`"attributes":{"a":null}`, `"attributes":{"a":1}`, `"attributes":[]`, `"attributes":{"\ud83d":"x"}`, `"attributes":{"a":"\ud83d"}`,
	`"attachments":[]`, `"attachments":[ ]`, `"attachments":null`, `"attachments":[{"attachment_id":"a"}]`, `"emails":[]`, `"emails":["a@b","\u00e4"]`, `"emails":[null]`, `"emails":["a",]`, `"emails":"a"`,
	`"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40), `"n":{` + strings.TrimPrefix(manyNames(20), ",") + `}`, `"x" 1`, `"x"`, `:1`, `,`, ``, ` `,
}

func TestScannerReadsWhatProducersWrite(t *testing.T) {
	check := func(message string) {
		if interaction, contact := schemas.Scanned([]byte(message)); !interaction && !contact {
			t.Errorf("is unsure of %s", message)
		}
	}
	for e := range sample.Interactions(1, 500) {
		check(string(encode(t, e)))
	}
	for c := range sample.Contacts(1, 100) {
		check(string(encode(t, c)))
	}
	for _, member := range whatProducersWrite {
		check(`{` + identity + `,` + member + `}`)
		check(` { ` + member + ` , ` + identity + ` } `)
		check(`{` + contactIdentity + `,"emails":["a@example.com"],"phones":[],` + strings.Replace(member, `"text"`, `"notes"`, 1) + `}`)
	}
}

// TestScannerIsRightOrUnsure compares it with the reader: for members that may be wrong, in
// several places, and for messages with bytes changed at random.
func TestScannerIsRightOrUnsure(t *testing.T) {
	var all []string
	for _, member := range append(whatMayBeWrong, whatProducersWrite...) {
		for _, id := range []string{identity, contactIdentity} {
			all = append(all, `{`+id+`,`+member+`}`, `{`+member+`,`+id+`}`, `{`+id+member+`}`, `{`+id+`,`+member, `{`+id+`}`+member, member+`{`+id+`}`, `{`+member+`}`, `[{`+member+`}]`)
		}
	}
	for e := range sample.Interactions(2, 20) {
		all = append(all, string(encode(t, e)))
	}
	for _, message := range all {
		if differs := schemas.ScanDiffers([]byte(message)); differs != "" {
			t.Errorf("%s: %s", message, differs)
		}
	}
	pieces := []string{`"`, `\`, `\"`, `\u`, `{`, `}`, `[`, `]`, `,`, `:`, ` `, "\n", "\t", "\x00", "\xff", "ä", "ſ", "K", "0", "-", "1e5", ".", "null", `"a":1,`, `"text":"x",`, `,"a":{"a":1}`, "\\ud83d", "Z", "+02:00"}
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 40_000 {
		b := []byte(all[rnd.IntN(len(all))])
		for range 1 + rnd.IntN(3) {
			at := rnd.IntN(len(b) + 1)
			until := min(len(b), at+rnd.IntN(3))
			b = fmt.Appendf(nil, "%s%s%s", b[:at], pieces[rnd.IntN(len(pieces))], b[until:])
		}
		if differs := schemas.ScanDiffers(b); differs != "" {
			t.Fatalf("mutation %d, %q: %s", n, b, differs)
		}
	}
}

func TestEveryMemberOfAnEventHasAPlaceOfItsOwn(t *testing.T) {
	if differs := schemas.PlacesDiffer(); differs != "" {
		t.Error(differs)
	}
}

func TestRowsLeaveOutTextsAndKeepTheBody(t *testing.T) {
	message := `{` + identity + `,"text":"said","notes":"thought","subject":"asked"}`
	i, err := schemas.DecodeInteractionRow([]byte(message))
	if err != nil || i.Text != "" || i.Notes != "" || i.Subject != "asked" || string(i.Body) != message {
		t.Errorf("read %+v, %v", i, err)
	}
	message = `{` + contactIdentity + `,"notes":"thought","company":"ACME"}`
	c, err := schemas.DecodeContactRow([]byte(message))
	if err != nil || c.Notes != "" || c.Company != "ACME" || string(c.Body) != message {
		t.Errorf("read %+v, %v", c, err)
	}
}
