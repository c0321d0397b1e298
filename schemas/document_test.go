package schemas_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"cdds/schemas"
	"cdds/schemas/sample"
)

func TestEveryFieldHasAPropertyAndEveryPropertyAField(t *testing.T) {
	for where, v := range map[string]any{
		"interaction.schema.json":                     schemas.Interaction{},
		"interaction.schema.json#/$defs/attachment":   schemas.Attachment{},
		"attachment-line.schema.json":                 schemas.AttachmentLine{},
		"contact.schema.json":                         schemas.Contact{},
		"export-request.schema.json":                  schemas.ExportRequest{},
		"export-request.schema.json#/$defs/recipient": schemas.Recipient{},
		"export-status.schema.json":                   schemas.ExportStatus{},
		"export-status.schema.json#/$defs/failure":    schemas.Failure{},
		"export-status.schema.json#/$defs/completion": schemas.Completion{},
		"audit-record.schema.json":                    schemas.AuditRecord{},
		"erasure-request.schema.json":                 schemas.ErasureRequest{},
		"erased-subject.schema.json":                  schemas.ErasedSubject{},
		"access-record.schema.json":                   schemas.AccessRecord{},
		"access-record.schema.json#/$defs/user":       schemas.User{},
		"access-record.schema.json#/$defs/token":      schemas.APIToken{},
		"access-record.schema.json#/$defs/session":    schemas.Session{},
		"access-record.schema.json#/$defs/signOut":    schemas.SignOut{},
		"manifest.schema.json":                        schemas.Manifest{},
		"manifest.schema.json#/properties/chain":      schemas.Chain{},
		"removal.schema.json":                         schemas.Removal{},
		"job.schema.json":                             schemas.Job{},
		"job.schema.json#/$defs/schedule":             schemas.Schedule{},
		"job.schema.json#/$defs/timeframe":            schemas.Timeframe{},
		"job.schema.json#/$defs/webhook":              schemas.Webhook{},
		"certificate.schema.json":                     schemas.Certificate{},
		"hold.schema.json":                            schemas.Hold{},
		"webhook-delivery.schema.json":                schemas.WebhookDelivery{},
		"webhook-delivery.schema.json#/$defs/fact":    schemas.WebhookFact{},
		"types.schema.json#/$defs/rowKey":             schemas.RowKey{},
		"types.schema.json#/$defs/part":               schemas.Part{},
		"types.schema.json#/$defs/receipt":            schemas.Receipt{},
		"types.schema.json#/$defs/totals":             schemas.Totals{},
		"types.schema.json#/$defs/certificateRef":     schemas.CertificateRef{},
		"types.schema.json#/$defs/filter":             schemas.Filter{},
		"types.schema.json#/$defs/fieldPolicy":        schemas.FieldPolicy{},
		"types.schema.json#/$defs/fieldRule":          schemas.FieldRule{},
		"types.schema.json#/$defs/appliedPolicy":      schemas.AppliedPolicy{},
	} {
		schema := compile(t, where)
		var names, always []string
		for _, f := range fieldsOf(reflect.TypeOf(v)) {
			names = append(names, f.name)
			if !f.optional {
				always = append(always, f.name)
			}
			if p := schema.Properties[f.name]; p != nil {
				if got, want := typesOf(p), jsonType(f.typ); len(got) > 0 && !slices.Contains(got, want) {
					t.Errorf("%s: %s has type %v, want %s as in Go", where, f.name, got, want)
				}
				if description(p) == "" {
					t.Errorf("%s: %s has no description", where, f.name)
				}
			}
		}
		if got := slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(got, slices.Sorted(slices.Values(names))) {
			t.Errorf("%s: properties = %v, want the fields %v", where, got, names)
		}
		if got := slices.Sorted(slices.Values(schema.Required)); !slices.Equal(got, slices.Sorted(slices.Values(always))) {
			t.Errorf("%s: required = %v, want the fields that are always written, %v", where, got, always)
		}
	}
}

func TestEnumsAreThoseOfGo(t *testing.T) {
	var states []string
	for _, s := range schemas.States() {
		states = append(states, string(s))
	}
	var sources []string
	for _, topic := range schemas.SourceTopics() {
		sources = append(sources, string(topic))
	}
	for where, want := range map[string][]string{
		"types.schema.json#/$defs/mediaType":                        schemas.MediaTypes(),
		"types.schema.json#/$defs/filter/properties/entity":         schemas.Entities(),
		"interaction.schema.json#/properties/direction":             schemas.Directions(),
		"export-request.schema.json#/properties/action":             schemas.Actions(),
		"export-request.schema.json#/else/properties/entity":        schemas.Entities(),
		"export-request.schema.json#/else/properties/encoding":      schemas.Encodings(),
		"export-request.schema.json#/else/properties/cipher":        schemas.Ciphers(),
		"export-request.schema.json#/else/properties/key_transport": schemas.KeyTransports(),
		"job.schema.json#/properties/cipher":                        schemas.Ciphers(),
		"job.schema.json#/properties/key_transport":                 schemas.KeyTransports(),
		"job.schema.json#/properties/attachments":                   schemas.AttachmentChoices(),
		"export-status.schema.json#/properties/state":               states,
		"audit-record.schema.json#/properties/outcome":              schemas.Outcomes(),
		"access-record.schema.json#/$defs/role":                     schemas.Roles(),
		"erased-subject.schema.json#/properties/kind":               schemas.ErasedKinds(),
		"types.schema.json#/$defs/directions/items":                 schemas.Directions(),
		"job.schema.json#/properties/entity":                        schemas.Entities(),
		"job.schema.json#/properties/encoding":                      {schemas.EncodingSMIME, schemas.EncodingDER},
		"job.schema.json#/properties/catch_up":                      schemas.CatchUps(),
		"job.schema.json#/properties/state":                         schemas.JobStates(),
		"job.schema.json#/$defs/schedule/properties/run":            schemas.Runs(),
		"job.schema.json#/$defs/schedule/properties/weekday":        schemas.Weekdays(),
		"job.schema.json#/$defs/timeframe/properties/kind":          schemas.Timeframes(),
		"webhook-delivery.schema.json#/properties/outcome":          schemas.DeliveryOutcomes(),
		"manifest.schema.json#/properties/encoding":                 {schemas.EncodingSMIME, schemas.EncodingDER},
		"manifest.schema.json#/properties/topic":                    sources,
		"types.schema.json#/$defs/fieldPolicy/properties/preset":    schemas.FieldPresets(),
		"types.schema.json#/$defs/fieldPolicy/properties/unknown":   schemas.UnknownChoices(),
		"types.schema.json#/$defs/fieldRule/properties/action":      schemas.FieldActions(),
	} {
		var got []string
		for _, v := range compile(t, where).Enum.Values {
			if s, ok := v.(string); ok && s != "" { // null and "" mean absent
				got = append(got, s)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s: %v, want %v", where, got, want)
		}
	}
}

func TestSamplesAndExamplesAreValidInSchemaAndGo(t *testing.T) {
	interaction, contact := compile(t, "interaction.schema.json"), compile(t, "contact.schema.json")
	for e := range sample.WithUpdates(11, sample.Interactions(11, 1000)) {
		if err := interaction.Validate(document(t, encode(t, e))); err != nil {
			t.Fatalf("%s: %v", e.InteractionID, err)
		}
	}
	for c := range sample.Contacts(11, 1000) {
		if err := contact.Validate(document(t, encode(t, c))); err != nil {
			t.Fatalf("%s: %v", c.ContactID, err)
		}
	}
	for _, d := range schemas.JSONSchemas() {
		var raw struct{ Examples []json.RawMessage }
		if err := json.Unmarshal(d.JSON, &raw); err != nil {
			t.Fatal(err)
		}
		for _, example := range raw.Examples {
			if err := compile(t, d.Name).Validate(document(t, example)); err != nil {
				t.Errorf("an example in %s: %v", d.Name, err)
			}
			if err := decode(d.Name, example); err != nil {
				t.Errorf("an example in %s: %v", d.Name, err)
			}
		}
	}
}

func TestWhatGoWritesIsValidInTheSchema(t *testing.T) {
	request := validRequest()
	status := &schemas.ExportStatus{
		TenantID: "acme", ExportID: "e-1", EventID: "completed", State: schemas.Completed, Time: at("2026-11-01T00:00:00Z"),
		Worker: "w", Request: request, RequestDigest: request.Digest(), Recipients: validManifest().Recipients,
		Snapshot: schemas.Snapshot{1, 2}, Planned: &schemas.Totals{Parts: 1, Rows: 3, JSONLBytes: 9},
		Part: &validManifest().Parts[0], Failure: &schemas.Failure{Stage: "part", Part: 1, Reason: "r", Hint: "h"},
		Completion: &schemas.Completion{ManifestKey: "acme/e-1/manifest.json", ManifestSHA256: digest, SignatureKey: "acme/e-1/manifest.json.p7s", SignatureSHA256: digest, ExpiresAt: at("2026-12-01T00:00:00Z")},
	}
	empty := validManifest()
	empty.Parts, empty.Totals = nil, schemas.Totals{}
	for where, v := range map[string]any{
		"job.schema.json":            validJob(),
		"export-request.schema.json": request,
		"export-status.schema.json":  status,
		"manifest.schema.json":       validManifest(),
		"manifest.schema.json#":      empty,
	} {
		if err := compile(t, where).Validate(document(t, encode(t, v))); err != nil {
			t.Errorf("%T: %v", v, err)
		}
	}
}

// field is a member of a Go type as encoding/json sees it.
type field struct {
	name     string
	typ      reflect.Type
	optional bool
}

func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		tag, embedded := f.Tag.Get("json"), f.Anonymous
		switch name, options, _ := strings.Cut(tag, ","); {
		case tag == "-":
		case embedded && name == "":
			all = append(all, fieldsOf(f.Type)...)
		default:
			all = append(all, field{name, f.Type, strings.HasPrefix(options, "omit")})
		}
	}
	return all
}

func jsonType(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[schemas.Time]() {
		return "string"
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int64:
		return "integer"
	case reflect.Bool:
		return "boolean"
	case reflect.Slice:
		return "array"
	case reflect.Struct, reflect.Map:
		return "object"
	}
	return "string"
}

func typesOf(s *jsonschema.Schema) []string {
	for s != nil {
		if s.Types != nil {
			return s.Types.ToStrings()
		}
		s = s.Ref
	}
	return nil
}

func description(s *jsonschema.Schema) string {
	for s != nil {
		if s.Description != "" {
			return s.Description
		}
		s = s.Ref
	}
	return ""
}

// compile returns the schema at a place such as "contact.schema.json#/$defs/x".
func compile(t testing.TB, where string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	for _, d := range schemas.JSONSchemas() {
		if err := c.AddResource(d.Name, document(t, d.JSON)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile(where)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func document(t testing.TB, b []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func encode(t testing.TB, e any) []byte {
	t.Helper()
	b, err := schemas.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
