package schemas_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cdds/schemas"
)

func TestAFieldPolicyReportsEachBrokenRule(t *testing.T) {
	leaves := func(pointers ...string) *schemas.FieldPolicy { return &schemas.FieldPolicy{LeaveOut: pointers} }
	for problem, p := range map[string]*schemas.FieldPolicy{
		"field_policy: says nothing":                                         {},
		"field_policy: says nothing; name a member":                          {Unknown: schemas.UnknownKeep},
		"field_policy.preset: \"all\" is unknown":                            {Preset: "all"},
		"field_policy.unknown: \"drop\" is unknown":                          {Unknown: "drop"},
		"\"/interaction_id\" is the identity; it can only become":            leaves("/interaction_id"),
		"\"/attachments/attachment_id\" is the identity":                     leaves("/attachments/attachment_id"),
		"\"/tenant_id\" must stay":                                           leaves("/tenant_id"),
		"\"/started_at\" must stay":                                          {Pseudonym: []string{"/started_at"}},
		"\"/attachments/sha256\" must stay":                                  leaves("/attachments/sha256"),
		"\"/text\" is free text, which can only be left out":                 {Pseudonym: []string{"/text"}},
		"\"/notes\" is free text":                                            {Truncate: map[string]int{"/notes": 10}},
		"\"/contact_id\" is an id":                                           {Truncate: map[string]int{"/contact_id": 10}},
		"\"/ended_at\" can only be left out":                                 {Pseudonym: []string{"/ended_at"}},
		"\"/attributes\" has members":                                        {Pseudonym: []string{"/attributes"}},
		"\"/attachments\" has members":                                       {Truncate: map[string]int{"/attachments": 1}},
		"\"/text/a\" reaches into \"text\", which has no members":            leaves("/text/a"),
		"\"/attributes/a/b\" reaches into the value of an attribute":         leaves("/attributes/a/b"),
		"\"/costumer\" is no known member: known are agent_id, attachments,": leaves("/costumer"),
		"\"/customer/email\" is no known member":                             leaves("/customer/email"),
		"\"/attachments/0/name\" names a place in a list":                    leaves("/attachments/0/name"),
		"\"/customers/-/name\" names a place in a list":                      {LeaveOut: []string{"/customers/-/name"}, Unknown: schemas.UnknownKeep},
		"\"/Text\" must be written \"text\"":                                 {LeaveOut: []string{"/Text"}, Unknown: schemas.UnknownKeep},
		"\"/customer\" is left out already":                                  {LeaveOut: []string{"/customer"}, Unknown: schemas.UnknownLeaveOut},
		"\"/text\" is named twice":                                           leaves("/text", "/text"),
		"\"/queue\" is named twice":                                          {LeaveOut: []string{"/queue"}, Pseudonym: []string{"/queue"}},
		"\"/text\" is named twice; give one":                                 {Preset: schemas.PresetFreeText, LeaveOut: []string{"/text"}},
		"\"/attributes/a\" is within \"/attributes\", which":                 leaves("/attributes", "/attributes/a"),
		"\"/a/b\" is within \"/a\"":                                          {LeaveOut: []string{"/a/b"}, Pseudonym: []string{"/a"}, Unknown: schemas.UnknownKeep},
		"\"/attributes/a\" is named twice":                                   {LeaveOut: []string{"/attributes/a"}, Truncate: map[string]int{"/attributes/a": 1}},
		"\"\" names the whole row":                                           leaves(""),
		"\"text\" is not a JSON Pointer (RFC 6901): it must begin":           leaves("text"),
		"\"/attributes/a~2\" is not a JSON Pointer (RFC 6901): ~ is":         leaves("/attributes/a~2"),
		"\"/attributes/\\xff\" is not Unicode":                               leaves("/attributes/\xff"),
		"has 1025 bytes; the limit is 1024":                                  leaves("/attributes/" + strings.Repeat("a", 1013)),
		"\"/queue\" keeps 0 characters; give 1 to 4096":                      {Truncate: map[string]int{"/queue": 0}},
		"\"/queue\" keeps 4097 characters":                                   {Truncate: map[string]int{"/queue": 4097}},
		"field_policy: has 257 rules; the limit is 256":                      leaves(slices.Repeat([]string{"/text"}, 257)...),
		"\"/queue\" is hidden, and the filter by queues would show":          leaves("/queue"),
		"\"/attributes/region\" is hidden, and the filter by attributes":     {Truncate: map[string]int{"/attributes/region": 1}},
		"\"/attributes\" is hidden, and the filter by attributes":            leaves("/attributes"),
		"\"/contact_id\" is hidden, and the filter by contacts":              leaves("/contact_id"),
		"\"/media_type\" is hidden, and the filter by media_types":           leaves("/media_type"),
	} {
		r := validRequest()
		r.Queues, r.Attributes, r.Contacts, r.Reason = []string{"sales"}, map[string]string{"region": "north"}, []string{"c-1"}, "case 7"
		r.FieldPolicy = p
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%+v: got %v, want %s", p, err, problem)
		}
	}
}

func TestAFieldPolicyThatIsAcceptedCanBeCarriedOut(t *testing.T) {
	for _, p := range []*schemas.FieldPolicy{
		{Preset: schemas.PresetPersonal}, {Preset: schemas.PresetIdentifiers}, {Preset: schemas.PresetFreeText},
		{Preset: schemas.PresetIdentifiers, LeaveOut: []string{"/text"}, Truncate: map[string]int{"/attributes/postcode": 2}},
		{LeaveOut: []string{"/customer/email", "/customer/name"}, Unknown: schemas.UnknownKeep},
		{Unknown: schemas.UnknownLeaveOut, Pseudonym: []string{"/attachments/attachment_id"}},
		{LeaveOut: []string{"/attributes/0", "/attributes/", "/attributes/a~1b"}},
	} {
		for _, entity := range schemas.Entities() {
			r := validRequest()
			if r.FieldPolicy, r.Entity = p, entity; entity == schemas.EntityContact {
				r.MediaTypes = nil
			}
			accepted := r.Validate()
			if _, err := p.Redact(entity, pseudonymKey(t, "acme")); (err == nil) != (accepted == nil) {
				t.Errorf("%+v of %s: accepted with %v, and carried out with %v", p, entity, accepted, err)
			}
			if _, err := p.Redact(entity, nil); accepted == nil && (p.Pseudonyms(entity) > 0) != (err != nil) {
				t.Errorf("%+v of %s without a key: %v", p, entity, err)
			}
		}
	}
}

// Whoever adds a member to the schema decides what policies may do with it, and reads in
// fieldsOf that policies which leave out unknown members must go on to leave it out.
func TestAFieldPolicyKnowsEveryMemberOfTheSchema(t *testing.T) {
	for entity, v := range map[string]any{schemas.EntityInteraction: schemas.Interaction{}, schemas.EntityContact: schemas.Contact{}} {
		for _, f := range fieldsOf(reflect.TypeOf(v)) {
			p := &schemas.FieldPolicy{LeaveOut: []string{"/" + f.name}}
			if _, err := p.Redact(entity, nil); err != nil && strings.Contains(err.Error(), "is no known member") {
				t.Errorf("%s: %v", entity, err)
			}
		}
	}
	for _, f := range fieldsOf(reflect.TypeOf(schemas.Attachment{})) {
		p := &schemas.FieldPolicy{LeaveOut: []string{"/attachments/" + f.name}}
		if _, err := p.Redact(schemas.EntityInteraction, nil); err != nil && strings.Contains(err.Error(), "is no known member") {
			t.Error(err)
		}
	}
}

// A preset is a promise: what was left out under a name once is left out under it for ever.
func TestPresetsNeverChange(t *testing.T) {
	want := map[string]string{
		"personal/interaction":    "c0fdb8d3ab3f979bfaedd6e439781d0c12b5b1253767bfd35d36b2329028a02f",
		"personal/contact":        "7ce797d22b59b00ea7ad268b359ea534cb6b0db71213957012f40579ecf76a12",
		"identifiers/interaction": "a317e1a1f3672220cd6c0a7468f65a7ff47555bc899ae8070d01afaa31142b66",
		"identifiers/contact":     "6eaee2bc559526079c15a67c05165989f6e1942586b8075b321eb0f772a74af2",
		"free_text/interaction":   "79e01a9fdaf4fe926c038263857377c78a7464272b6ebf1a62b3a9628bb2bde0",
		"free_text/contact":       "9438faeef0e39f3dcf841f1b6cb23ae5528a4481fc23018096be38026a8275d0",
	}
	got := map[string]string{}
	for _, preset := range schemas.FieldPresets() {
		for _, entity := range schemas.Entities() {
			got[preset+"/"+entity] = (&schemas.FieldPolicy{Preset: preset}).Applied(entity, "").Digest
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("digests = %v, want %v", got, want)
	}
}

func TestAPresetIsItsRules(t *testing.T) {
	short := (&schemas.FieldPolicy{Preset: schemas.PresetFreeText}).Applied(schemas.EntityContact, "")
	long := (&schemas.FieldPolicy{LeaveOut: []string{"/notes"}}).Applied(schemas.EntityContact, "")
	if short.Digest != long.Digest {
		t.Errorf("the digest of a preset is %s, that of its rules %s", short.Digest, long.Digest)
	}
	keyed := &schemas.FieldPolicy{Pseudonym: []string{"/contact_id"}}
	if one, two := keyed.Applied(schemas.EntityContact, "a"), keyed.Applied(schemas.EntityContact, "b"); one.Digest != two.Digest || one.Identity() == two.Identity() {
		t.Errorf("two keys: identities %s and %s", one.Identity(), two.Identity())
	}
}

func TestTheOrderOfRulesDoesNotCount(t *testing.T) {
	a, b := validRequest(), validRequest()
	a.FieldPolicy = &schemas.FieldPolicy{LeaveOut: []string{"/text", "/notes"}, Pseudonym: []string{"/contact_id", "/agent_id"}}
	b.FieldPolicy = &schemas.FieldPolicy{LeaveOut: []string{"/notes", "/text"}, Pseudonym: []string{"/agent_id", "/contact_id"}}
	if a.Digest() != b.Digest() || a.Digest() == validRequest().Digest() {
		t.Error("the digest of a request counts the order of rules, or not the rules")
	}
	if x, y := a.FieldPolicy.Applied(a.Entity, ""), b.FieldPolicy.Applied(b.Entity, ""); !reflect.DeepEqual(x, y) {
		t.Errorf("applied are %+v and %+v", x, y)
	}
	if !a.Strict() {
		t.Error("an older worker would ignore the policy")
	}
}

func TestAManifestOfPseudonymsIsInTheOrderOfItsTimes(t *testing.T) {
	m := validManifest()
	policy := &schemas.FieldPolicy{Pseudonym: []string{"/interaction_id"}}
	m.Parts[0].Last.ID, m.Parts[1].First.ID, m.Parts[1].Last.ID = "z", "y", "x" // all of one time
	if _, err := schemas.DecodeManifest([]byte(mustEncode(m))); err == nil {
		t.Error("ids out of order were taken")
	}
	m.FieldPolicy = policy.Applied(m.Filter.Entity, "0123456789abcdef")
	if _, err := schemas.DecodeManifest([]byte(mustEncode(m))); err != nil {
		t.Errorf("pseudonyms of one time: %v", err)
	}
	for broken, breaks := range map[string]func(*schemas.Manifest){
		"digest does not match the rules": func(m *schemas.Manifest) { m.FieldPolicy.Rules[0].Pointer = "/contact_id" },
		"pseudonyms and the id of their":  func(m *schemas.Manifest) { m.FieldPolicy.KeyID = "" },
		"part 2 overlaps":                 func(m *schemas.Manifest) { m.Parts[1].First.Time = at("2026-10-01T00:00:01Z") },
		"filter_digest does not match": func(m *schemas.Manifest) {
			m.Chain = &schemas.Chain{JobID: "j", Number: 1, FilterDigest: schemas.FilterDigest(m.Filter)}
		},
	} {
		n := *m
		n.Parts = slices.Clone(m.Parts)
		applied := *m.FieldPolicy
		applied.Rules = slices.Clone(applied.Rules)
		n.FieldPolicy = &applied
		breaks(&n)
		if _, err := schemas.DecodeManifest([]byte(mustEncode(&n))); err == nil || !strings.Contains(err.Error(), broken) {
			t.Errorf("got %v, want %s", err, broken)
		}
	}
}

func FuzzFieldPolicy(f *testing.F) {
	for _, seed := range []string{
		`{"preset":"personal"}`, `{"leave_out":["/text","/attributes/a~1b"],"truncate":{"/queue":3},"pseudonym":["/contact_id"]}`,
		`{"unknown":"keep","leave_out":["/a/b","/a/c"]}`, `{"unknown":"leave_out"}`, `{"leave_out":["/a","/a/b"]}`, `{"truncate":{"/queue":1,"/queue":2}}`, `{"leave_out":["/~"]}`,
	} {
		f.Add([]byte(seed), `{"text":"a","queue":"b","contact_id":"c","attributes":{"a/b":"d"},"a":[{"b":1,"c":[2]}]}`)
	}
	f.Fuzz(func(t *testing.T, policy []byte, row string) {
		p := new(schemas.FieldPolicy)
		if schemas.ReadKnown(policy, p) != nil {
			return
		}
		again := new(schemas.FieldPolicy)
		if err := schemas.ReadKnown([]byte(mustEncode(p)), again); err != nil || mustEncode(again) != mustEncode(p) {
			t.Fatalf("%s was read back as %+v, %v", mustEncode(p), again, err)
		}
		r, err := p.Redact(schemas.EntityInteraction, pseudonymKey(t, "acme"))
		if err != nil {
			return
		}
		e, err := schemas.DecodeInteraction([]byte(row))
		line := []byte(row)
		if err == nil {
			line = e.Body
		}
		shown, failed := r.Line().Append(nil, line)
		if err == nil && failed != nil {
			t.Fatalf("%s is an interaction, and %v", line, failed)
		}
		if err != nil {
			return
		}
		if _, err := schemas.StoredInteraction(shown); err != nil {
			t.Fatalf("%s became %s: %v", line, shown, err)
		}
		for _, rule := range r.Applied().Rules {
			if rule.Action == schemas.FieldLeaveOut && rule.Pointer == "/text" && e.Text != "" {
				if now, _ := schemas.StoredInteraction(shown); now.Text != "" {
					t.Fatalf("%s shows the text under %s", shown, policy)
				}
			}
		}
	})
}

var benchmarkRow = []byte(`{"interaction_id":"i-000001","tenant_id":"acme","media_type":"chat","direction":"inbound","status":"closed","started_at":"2026-10-05T07:13:35.364Z","ended_at":"2026-10-05T07:20:35.364Z","thread_id":"t-1","contact_id":"c-000042","agent_id":"a-7","queue":"sales","subject":"An order that did not come","text":"` + strings.Repeat("Agent: Good morning, how can I help? Customer: My parcel is late. ", 30) + `","attributes":{"region":"north","postcode":"80331"}}`)

func BenchmarkRedactedLine(b *testing.B) {
	r, err := (&schemas.FieldPolicy{Preset: schemas.PresetIdentifiers, Truncate: map[string]int{"/attributes/postcode": 2}}).Redact(schemas.EntityInteraction, pseudonymKey(b, "acme"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(benchmarkRow)))
	line, out := r.Line(), []byte(nil)
	for b.Loop() {
		if out, err = line.Append(out[:0], benchmarkRow); err != nil {
			b.Fatal(err)
		}
	}
}
