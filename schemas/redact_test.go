package schemas_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"cdds/schemas"
)

var secret = bytes.Repeat([]byte("s"), 32)

func pseudonymKey(t testing.TB, tenantID string) *schemas.PseudonymKey {
	t.Helper()
	k, err := schemas.NewPseudonymKey(secret, tenantID)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func redact(t testing.TB, entity string, p *schemas.FieldPolicy, line string) string {
	t.Helper()
	r, err := p.Redact(entity, pseudonymKey(t, "acme"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := r.Line().Append(nil, []byte(line))
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return string(out)
}

func TestARowShowsWhatThePolicyLeaves(t *testing.T) {
	k := pseudonymKey(t, "acme")
	for name, c := range map[string]struct {
		policy    schemas.FieldPolicy
		row, want string
	}{
		"left out at the beginning": {schemas.FieldPolicy{LeaveOut: []string{"/text"}}, `{"text":"a\"}","contact_id":"c"}`, `{"contact_id":"c"}`},
		"left out at the end":       {schemas.FieldPolicy{LeaveOut: []string{"/text"}}, `{"contact_id":"c","text":"a"}`, `{"contact_id":"c"}`},
		"left out all":              {schemas.FieldPolicy{LeaveOut: []string{"/text"}}, `{"text":null}`, `{}`},
		"named with escapes":        {schemas.FieldPolicy{LeaveOut: []string{"/text"}}, `{"te\u0078t":"a","queue":"q"}`, `{"queue":"q"}`},
		"named twice in the row":    {schemas.FieldPolicy{LeaveOut: []string{"/text"}}, `{"text":"a","queue":"q","text":"b"}`, `{"queue":"q"}`},
		"an attribute with a slash": {schemas.FieldPolicy{LeaveOut: []string{"/attributes/a~1b~0"}}, `{"attributes":{"a/b~":"x","a":"y"}}`, `{"attributes":{"a":"y"}}`},
		"each element of a list":    {schemas.FieldPolicy{LeaveOut: []string{"/attachments/name"}}, `{"attachments":[{"name":"x","attachment_id":"1"},{"attachment_id":"2","name":"y"}]}`, `{"attachments":[{"attachment_id":"1"},{"attachment_id":"2"}]}`},
		"cut short":                 {schemas.FieldPolicy{Truncate: map[string]int{"/attributes/plz": 2}}, `{"attributes":{"plz":"80331"}}`, `{"attributes":{"plz":"80"}}`},
		"short already":             {schemas.FieldPolicy{Truncate: map[string]int{"/queue": 9}}, `{"queue":"sales"}`, `{"queue":"sales"}`},
		"cut between characters":    {schemas.FieldPolicy{Truncate: map[string]int{"/queue": 3}}, `{"queue":"ü\ud83d\ude00\n\u0041"}`, `{"queue":"ü\ud83d\ude00\n"}`},
		"cut a value, not a text":   {schemas.FieldPolicy{Truncate: map[string]int{"/x": 3}, Unknown: "keep"}, `{"x":12345,"queue":"q"}`, `{"queue":"q"}`},
		"pseudonym":                 {schemas.FieldPolicy{Pseudonym: []string{"/contact_id"}}, `{"contact_id":"c1"}`, `{"contact_id":"` + k.Of("c1") + `"}`},
		"pseudonym of an escape":    {schemas.FieldPolicy{Pseudonym: []string{"/contact_id"}}, `{"contact_id":"\u00631"}`, `{"contact_id":"` + k.Of("c1") + `"}`},
		"pseudonym of nothing":      {schemas.FieldPolicy{Pseudonym: []string{"/contact_id"}}, `{"contact_id":"","queue":null}`, `{"contact_id":"","queue":null}`},
		"pseudonym of a number":     {schemas.FieldPolicy{Pseudonym: []string{"/customer/number"}, Unknown: "keep"}, `{"customer":{"number":17,"since":1}}`, `{"customer":{"number":"` + k.Of("17") + `","since":1}}`},
		"pseudonym of an object":    {schemas.FieldPolicy{Pseudonym: []string{"/customer"}, Unknown: "keep"}, `{"customer":{"number":17},"queue":"q"}`, `{"queue":"q"}`},
		"unknown members":           {schemas.FieldPolicy{Unknown: "leave_out"}, `{"caller":{"a":[1,{}]},"queue":"q","Text":"x","attachments":[{"attachment_id":"1","by":"ada"}]}`, `{"queue":"q","attachments":[{"attachment_id":"1"}]}`},
		"space between":             {schemas.FieldPolicy{LeaveOut: []string{"/text"}}, ` { "text" : "a" , "queue" : "q" } `, `{"queue":"q"}`},
	} {
		if got := redact(t, schemas.EntityInteraction, &c.policy, c.row); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	contact := &schemas.FieldPolicy{Pseudonym: []string{"/emails"}, Truncate: map[string]int{"/last_name": 1}}
	want := `{"emails":["` + k.Of("a@b.c") + `","` + k.Of("d") + `"],"last_name":"L"}`
	if got := redact(t, schemas.EntityContact, contact, `{"emails":["a@b.c","d"],"last_name":"Lovelace"}`); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAPseudonymIsTheHMACUnderTheKeyOfTheTenant(t *testing.T) {
	derived := hmac.New(sha256.New, secret)
	derived.Write([]byte("cdds/pseudonym/v2\x00acme"))
	mac := hmac.New(sha256.New, derived.Sum(nil))
	mac.Write([]byte("c-1"))
	acme, globex := pseudonymKey(t, "acme"), pseudonymKey(t, "globex")
	if got, want := acme.Of("c-1"), base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if acme.Of("c-1") == globex.Of("c-1") || acme.ID() == globex.ID() {
		t.Error("two tenants share pseudonyms")
	}
	if _, err := schemas.NewPseudonymKey(secret[:31], "acme"); err == nil {
		t.Error("a short secret was taken")
	}
	for _, printed := range []string{fmt.Sprint(acme), fmt.Sprintf("%#v", acme), fmt.Sprintf("%+v", acme)} {
		if printed != "********" {
			t.Errorf("the key prints as %s", printed)
		}
	}
}

func TestWhatIsNoRowIsAnErrorThatQuotesNothing(t *testing.T) {
	policy := &schemas.FieldPolicy{LeaveOut: []string{"/text"}, Truncate: map[string]int{"/queue": 1}, Pseudonym: []string{"/contact_id"}}
	r, err := policy.Redact(schemas.EntityInteraction, pseudonymKey(t, "acme"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		``, `[]`, `"secret"`, `{`, `{"text`, `{"text"`, `{"text":`, `{"text":"secret`, `{"text":"secret"`, `{"text":"secret"]`, `{"queue":"secret\"`,
		`{"a":[1,2`, `{"a":]}`, `{"a":1}secret`, `{"a":1,}`, `{,}`, `{"a" 1}`, `{"contact_id":"secret`, `{"contact_id":["secret"`,
	} {
		out, err := r.Line().Append([]byte("before"), []byte(line))
		if err == nil || strings.Contains(err.Error(), "secret") || string(out) != "before" {
			t.Errorf("%q: got %s, %v", line, out, err)
		}
	}
}

// A tree is a JSON value as the model of TestARedactionIsThatOfTheModel has it. The model spells
// and reads texts by itself.
type tree struct {
	kind    byte // { [ " or 0 of any other
	raw     string
	text    string
	members []treeMember // of { and [
}

type treeMember struct {
	name  tree
	value tree
}

func (v tree) encode(space func() string) string {
	var b strings.Builder
	switch v.kind {
	case '{', '[':
		b.WriteByte(v.kind)
		for i, m := range v.members {
			if i > 0 {
				b.WriteString("," + space())
			}
			if v.kind == '{' {
				b.WriteString(space() + m.name.raw + space() + ":" + space())
			}
			b.WriteString(m.value.encode(space) + space())
		}
		b.WriteByte(v.kind + 2)
	default:
		b.WriteString(v.raw)
	}
	return b.String()
}

// apply is the policy by the book: one rule after the other, on the whole value.
func (v tree) apply(tokens []string, rule schemas.FieldRule, k *schemas.PseudonymKey) (tree, bool) {
	if len(tokens) == 0 && rule.Action == schemas.FieldLeaveOut {
		return v, false
	}
	switch {
	case v.kind == '[':
		var stay []treeMember
		for _, m := range v.members {
			if e, stays := m.value.apply(tokens, rule, k); stays {
				stay = append(stay, treeMember{value: e})
			}
		}
		v.members = stay
		return v, true
	case len(tokens) > 0 && v.kind == '{':
		var stay []treeMember
		for _, m := range v.members {
			stays := true
			if m.name.text == tokens[0] {
				m.value, stays = m.value.apply(tokens[1:], rule, k)
			}
			if stays {
				stay = append(stay, m)
			}
		}
		v.members = stay
		return v, true
	case len(tokens) > 0 || v.raw == "null":
		return v, true
	case v.kind == '"' && rule.Action == schemas.FieldTruncate:
		return v.truncated(rule.Keep), true
	case v.kind == '"':
		return tree{kind: '"', raw: `"` + k.Of(v.text) + `"`}, true
	case rule.Action == schemas.FieldPseudonym && v.kind == 0 && v.raw != "true" && v.raw != "false":
		return tree{kind: '"', raw: `"` + k.Of(v.raw) + `"`}, true
	}
	return v, false
}

func (v tree) truncated(keep int) tree {
	raw := `"`
	for _, m := range v.members[:min(keep, len(v.members))] {
		raw += m.value.raw
	}
	return tree{kind: '"', raw: raw + `"`}
}

// quotedTexts draws quoted texts with their meaning; members are the characters.
func quotedTexts() *rapid.Generator[tree] {
	character := rapid.OneOf(
		rapid.SampledFrom([]tree{
			{raw: `\"`, text: `"`}, {raw: `\\`, text: `\`}, {raw: `\/`, text: `/`}, {raw: `\n`, text: "\n"}, {raw: `\u0000`, text: "\x00"},
			{raw: `\u0041`, text: "A"}, {raw: `\ud83d\ude00`, text: "😀"}, {raw: `\ud83d`, text: "\xed\xa0\xbd"}, {raw: "😀", text: "😀"}, {raw: "{", text: "{"}, {raw: "]", text: "]"},
		}),
		rapid.Map(rapid.RuneFrom([]rune("abcé~/ ,:")), func(c rune) tree { return tree{raw: string(c), text: string(c)} }),
	)
	return rapid.Map(rapid.SliceOfN(character, 0, 6), func(all []tree) tree {
		v := tree{kind: '"'}
		for _, c := range all {
			v.raw, v.text = v.raw+c.raw, v.text+c.text
			v.members = append(v.members, treeMember{value: c})
		}
		v.raw = `"` + v.raw + `"`
		return v
	})
}

func named(name string) tree { return tree{kind: '"', raw: strconv.Quote(name), text: name} }

// trees draws values whose members are often those that rules are about.
func trees(depth int) *rapid.Generator[tree] {
	kinds := []*rapid.Generator[tree]{
		quotedTexts(),
		rapid.Map(rapid.SampledFrom([]string{"null", "true", "false", "0", "-1.50", "1e400", "12345678901234567890"}), func(s string) tree { return tree{raw: s} }),
	}
	if depth > 0 {
		names := rapid.OneOf(rapid.Map(rapid.SampledFrom([]string{"text", "queue", "customer", "email", "a", "b", "attributes"}), named),
			rapid.Just(tree{kind: '"', raw: `"te\u0078t"`, text: "text"}), quotedTexts())
		kinds = append(kinds,
			rapid.Custom(func(t *rapid.T) tree {
				v := tree{kind: '{'}
				for range rapid.IntRange(0, 6).Draw(t, "members") {
					v.members = append(v.members, treeMember{names.Draw(t, "name"), trees(depth-1).Draw(t, "value")})
				}
				return v
			}),
			rapid.Map(rapid.SliceOfN(trees(depth-1), 0, 4), func(all []tree) tree {
				v := tree{kind: '['}
				for _, e := range all {
					v.members = append(v.members, treeMember{value: e})
				}
				return v
			}))
	}
	return rapid.OneOf(kinds...)
}

func TestARedactionIsThatOfTheModel(t *testing.T) {
	k := pseudonymKey(t, "acme")
	pointers := []string{"/text", "/queue", "/attributes/a", "/attributes/b", "/customer", "/customer/email", "/customer/a", "/a", "/a/b", "/b", "/email"}
	rapid.Check(t, func(t *rapid.T) {
		policy := &schemas.FieldPolicy{Unknown: schemas.UnknownKeep, Truncate: map[string]int{}}
		for _, pointer := range pointers {
			action := rapid.SampledFrom(append(schemas.FieldActions(), "")).Draw(t, pointer)
			if pointer == "/text" && action != "" {
				action = schemas.FieldLeaveOut
			}
			next := &schemas.FieldPolicy{Unknown: policy.Unknown, LeaveOut: policy.LeaveOut, Pseudonym: policy.Pseudonym, Truncate: map[string]int{}}
			for p, n := range policy.Truncate {
				next.Truncate[p] = n
			}
			switch action {
			case schemas.FieldLeaveOut:
				next.LeaveOut = append(next.LeaveOut[:len(next.LeaveOut):len(next.LeaveOut)], pointer)
			case schemas.FieldTruncate:
				next.Truncate[pointer] = rapid.IntRange(1, 4).Draw(t, "keep")
			case schemas.FieldPseudonym:
				next.Pseudonym = append(next.Pseudonym[:len(next.Pseudonym):len(next.Pseudonym)], pointer)
			}
			if _, err := next.Redact(schemas.EntityInteraction, k); err == nil { // else one contains the other
				policy = next
			}
		}
		row := tree{kind: '{'}
		for range rapid.IntRange(0, 6).Draw(t, "members") {
			row.members = append(row.members, treeMember{rapid.Map(rapid.SampledFrom([]string{"text", "queue", "customer", "a", "attributes", "other"}), named).Draw(t, "name"), trees(3).Draw(t, "value")})
		}
		r, err := policy.Redact(schemas.EntityInteraction, k)
		if err != nil {
			t.Fatal(err)
		}
		want := row
		for _, rule := range r.Applied().Rules {
			want, _ = want.apply(strings.Split(rule.Pointer[1:], "/"), rule, k)
		}
		input := row.encode(func() string { return rapid.SampledFrom([]string{"", "", "", " ", "\t"}).Draw(t, "space") })
		got, err := r.Line().Append(nil, []byte(input))
		if err != nil {
			t.Fatalf("%s: %v", input, err)
		}
		if compact(t, string(got)) != compact(t, want.encode(func() string { return "" })) {
			t.Fatalf("%s under %+v became\n%s, want\n%s", input, policy, got, want.encode(func() string { return "" }))
		}
	})
}

func compact(t *rapid.T, s string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(s)); err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return b.String()
}
