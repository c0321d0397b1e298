package schemas_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"cdds/schemas"
)

// change is one edit to a valid document.
type change struct {
	name  string
	valid bool
	edit  func(map[string]any)
}

func set(name string, value any) func(map[string]any) {
	return func(m map[string]any) { m[name] = value }
}

func without(name string) func(map[string]any) {
	return func(m map[string]any) { delete(m, name) }
}

func text(n int) string { return strings.Repeat("x", n) }

func texts(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint("v", i)
	}
	return list
}

func attributes(n int) map[string]any {
	m := map[string]any{}
	for i := range n {
		m[fmt.Sprint("k", i)] = "v"
	}
	return m
}

func attachments(n int) []any {
	var list []any
	for i := range n {
		list = append(list, map[string]any{"attachment_id": fmt.Sprint("a", i)})
	}
	return list
}

func attachment(pairs ...any) func(map[string]any) {
	a := map[string]any{"attachment_id": "a"}
	for i := 0; i < len(pairs); i += 2 {
		a[pairs[i].(string)] = pairs[i+1]
	}
	return set("attachments", []any{a})
}

func recipients(n int) []any {
	var list []any
	for range n {
		list = append(list, map[string]any{"fingerprint": digest})
	}
	return list
}

// instants are the times every event is tried with.
func instants(field string) []change {
	var all []change
	for value, valid := range map[any]bool{
		"2026-10-05T07:13:35.364Z": true, "2026-10-05T09:13:35+02:00": true, "2026-10-05T07:13:35.123456789Z": true,
		"1970-01-01T00:00:00Z": true, "2199-12-31T23:59:59.999Z": true, "2028-02-29T00:00:00Z": true,
		"0000-01-01T00:00:00Z": false, "0001-01-01T00:00:00Z": false, "9999-12-31T23:59:59Z": false,
		"1969-12-31T23:59:59Z": false, "2200-01-01T00:00:00Z": false, "2026-02-29T00:00:00Z": false,
		"2026-13-01T00:00:00Z": false, "2026-10-05T24:00:00Z": false, "2026-10-05T23:59:60Z": false,
		"2026-10-05T7:13:35Z": false, "2026-10-05T07:13:35,3Z": false, "2026-10-05T07:13:35": false,
		"2026-10-05 07:13:35Z": false, "2026-10-05t07:13:35z": false, "2026-10-05T07:13:35+24:00": false, "2026-10-05T07:13:35+23:60": false,
		"2026-10-05": false, "": false, "yesterday": false, 1759648415: false, true: false,
	} {
		all = append(all, change{fmt.Sprintf("%s is %v", field, value), valid, set(field, value)})
	}
	return all
}

func interactionChanges() []change {
	inline := strings.Repeat("QUJD", schemas.MaxInline/3)
	all := []change{
		{"as it is", true, func(map[string]any) {}},
		{"unknown members", true, set("x_score", map[string]any{"a": []any{nil, 1.5}})},
		{"no interaction_id", false, without("interaction_id")},
		{"no tenant_id", false, without("tenant_id")},
		{"no media_type", false, without("media_type")},
		{"no started_at", false, without("started_at")},
		{"null interaction_id", false, set("interaction_id", nil)},
		{"null started_at", false, set("started_at", nil)},
		{"null ended_at", true, set("ended_at", nil)},
		{"null text", true, set("text", nil)},
		{"null attributes and attachments", true, func(m map[string]any) { m["attributes"], m["attachments"] = nil, nil }},
		{"empty interaction_id", false, set("interaction_id", "")},
		{"number as interaction_id", false, set("interaction_id", 7)},
		{"longest interaction_id", true, set("interaction_id", text(schemas.MaxID))},
		{"too long interaction_id", false, set("interaction_id", text(schemas.MaxID+1))},
		{"NUL in interaction_id", false, set("interaction_id", "a\x00b")},
		{"line feed in thread_id", false, set("thread_id", "a\nb")},
		{"C1 control in parent_id", false, set("parent_id", "a\u0085b")},
		{"quotes and emoji in contact_id", true, set("contact_id", `'"\😀; DROP TABLE`)},
		{"empty agent_id", true, set("agent_id", "")},
		{"tenant with a slash", false, set("tenant_id", "a/b")},
		{"tenant in capitals", false, set("tenant_id", "ACME")},
		{"tenant that begins with a dot", false, set("tenant_id", ".acme")},
		{"tenant with a trailing line feed", false, set("tenant_id", "acme\n")},
		{"longest tenant", true, set("tenant_id", text(63))},
		{"too long tenant", false, set("tenant_id", text(64))},
		{"unknown media type", false, set("media_type", "fax")},
		{"media type in capitals", false, set("media_type", "Voice")},
		{"unknown direction", false, set("direction", "sideways")},
		{"empty direction", true, set("direction", "")},
		{"status of two words", false, set("status", "wrapped up")},
		{"longest status", true, set("status", text(64))},
		{"too long status", false, set("status", text(65))},
		{"longest subject", true, set("subject", text(schemas.MaxShortText))},
		{"too long subject", false, set("subject", text(schemas.MaxShortText+1))},
		{"long text", true, set("text", text(schemas.MaxShortText*10))},
		{"text that is a list", false, set("text", []any{"a"})},
		{"most attributes", true, set("attributes", attributes(schemas.MaxAttributes))},
		{"too many attributes", false, set("attributes", attributes(schemas.MaxAttributes+1))},
		{"attributes as a list", false, set("attributes", []any{})},
		{"attribute with an empty key", false, set("attributes", map[string]any{"": "v"})},
		{"attribute with a too long key", false, set("attributes", map[string]any{text(schemas.MaxID + 1): "v"})},
		{"longest attribute", true, set("attributes", map[string]any{"k": text(schemas.MaxAttribute)})},
		{"too long attribute", false, set("attributes", map[string]any{"k": text(schemas.MaxAttribute + 1)})},
		{"attribute that is a number", false, set("attributes", map[string]any{"k": 1})},
		{"attribute that is null", true, set("attributes", map[string]any{"k": nil})},
		{"most attachments", true, set("attachments", attachments(schemas.MaxAttachments))},
		{"too many attachments", false, set("attachments", attachments(schemas.MaxAttachments+1))},
		{"null attachment", false, set("attachments", []any{nil})},
		{"attachment without an id", false, attachment("attachment_id", "")},
		{"inline attachment", true, attachment("content", "QUJD", "size", 3)},
		{"content that is not base64", false, attachment("content", "QUJ*")},
		{"content without padding", false, attachment("content", "QUJDRA")},
		{"largest content", true, attachment("content", inline)},
		{"too large content", false, attachment("content", inline+"QUJDQUJD")},
		{"referenced attachment", true, attachment("object", "acme/2026/k", "sha256", digest, "size", 3)},
		{"object without its digest", false, attachment("object", "acme/k", "size", 3)},
		{"object without its size", false, attachment("object", "acme/k", "sha256", digest)},
		{"object of 5 GiB", true, attachment("object", "acme/k", "sha256", digest, "size", int64(5<<30))},
		{"object over 5 GiB", false, attachment("object", "acme/k", "sha256", digest, "size", int64(5<<30+1))},
		{"object below no tenant", false, attachment("object", "k", "sha256", digest, "size", 3)},
		{"object and content", false, attachment("object", "acme/k", "sha256", digest, "size", 3, "content", "QUJD")},
		{"digest in capitals", false, attachment("sha256", strings.ToUpper(digest))},
		{"negative size", false, attachment("size", -1)},
		{"size that is text", false, attachment("size", "3")},
	}
	return append(append(all, instants("started_at")...), instants("ended_at")...)
}

func contactChanges() []change {
	all := []change{
		{"as it is", true, func(map[string]any) {}},
		{"no contact_id", false, without("contact_id")},
		{"no tenant_id", false, without("tenant_id")},
		{"no created_at", false, without("created_at")},
		{"most emails", true, set("emails", texts(64))},
		{"too many emails", false, set("emails", texts(65))},
		{"empty email", false, set("emails", []string{""})},
		{"null emails", true, set("emails", nil)},
		{"null phone", false, set("phones", []any{nil})},
		{"control character in a phone", false, set("phones", []string{"\t1"})},
		{"too long name", false, set("display_name", text(schemas.MaxShortText+1))},
	}
	return append(append(all, instants("created_at")...), instants("modified_at")...)
}

func requestChanges() []change {
	all := []change{
		{"as it is", true, func(map[string]any) {}},
		{"create said aloud", true, set("action", "create")},
		{"unknown action", false, set("action", "pause")},
		{"cancel with nothing else", true, func(m map[string]any) {
			clear(m)
			m["action"], m["tenant_id"], m["export_id"] = "cancel", "acme", "e-1"
		}},
		{"cancel of whatever", true, func(m map[string]any) { m["action"], m["entity"], m["split_size"] = "cancel", "x", 1 }},
		{"cancel without an export_id", false, func(m map[string]any) { m["action"] = "cancel"; delete(m, "export_id") }},
		{"no tenant_id", false, without("tenant_id")},
		{"no export_id", false, without("export_id")},
		{"export_id with a slash", false, set("export_id", "../e")},
		{"longest export_id", true, set("export_id", text(128))},
		{"too long export_id", false, set("export_id", text(129))},
		{"no entity", false, without("entity")},
		{"unknown entity", false, set("entity", "agent")},
		{"no from", false, without("from")},
		{"null to", false, set("to", nil)},
		{"unknown media type", false, set("media_types", []string{"fax"})},
		{"no media types", true, set("media_types", []string{})},
		{"contacts with media types", false, set("entity", "contact")},
		{"contacts without media types", true, func(m map[string]any) { m["entity"] = "contact"; delete(m, "media_types") }},
		{"default split size", true, set("split_size", 0)},
		{"smallest split size", true, set("split_size", schemas.MinSplitSize)},
		{"too small split size", false, set("split_size", schemas.MinSplitSize-1)},
		{"largest split size", true, set("split_size", schemas.MaxSplitSize)},
		{"too large split size", false, set("split_size", schemas.MaxSplitSize+1)},
		{"negative split size", false, set("split_size", -1)},
		{"split size as text", false, set("split_size", "64MiB")},
		{"unknown encoding", false, set("encoding", "pem")},
		{"default encoding", true, set("encoding", "")},
		{"unknown cipher", false, set("cipher", "des")},
		{"every reader's cipher", true, set("cipher", "aes-256-cbc")},
		{"authenticated cipher", true, set("cipher", "aes-256-gcm")},
		{"unknown key transport", false, set("key_transport", "rsa")},
		{"OAEP", true, set("key_transport", "rsa-oaep")},
		{"no recipients", false, without("recipients")},
		{"empty recipients", false, set("recipients", []any{})},
		{"most recipients", true, set("recipients", recipients(schemas.MaxRecipients))},
		{"too many recipients", false, set("recipients", recipients(schemas.MaxRecipients+1))},
		{"recipient that is nobody", false, set("recipients", []any{map[string]any{}})},
		{"recipient twice over", false, set("recipients", []any{map[string]any{"fingerprint": digest, "certificate": "x"}})},
		{"fingerprint in capitals", false, set("recipients", []any{map[string]any{"fingerprint": strings.ToUpper(digest)}})},
		{"longest certificate", true, set("recipients", []any{map[string]any{"certificate": text(schemas.MaxCertificateText)}})},
		{"too long certificate", false, set("recipients", []any{map[string]any{"certificate": text(schemas.MaxCertificateText + 1)}})},
		{"negative offset", false, set("snapshot", []int{3, -1})},
		{"offset as text", false, set("snapshot", []string{"3"})},
		{"too long requester", false, set("requested_by", text(schemas.MaxShortText+1))},
	}
	for _, c := range instants("to") {
		if c.name != "to is 1970-01-01T00:00:00Z" { // before from, which a schema cannot see
			all = append(all, c)
		}
	}
	return all
}

func statusChanges() []change {
	return append([]change{
		{"as it is", true, func(map[string]any) {}},
		{"no event_id", false, without("event_id")},
		{"no export_id", false, without("export_id")},
		{"unknown state", false, set("state", "paused")},
		{"no state", false, without("state")},
		{"line feed in event_id", false, set("event_id", "a\nb")},
		{"snapshot as text", false, set("snapshot", "3")},
	}, instants("time")...)
}

func manifestChanges() []change {
	part := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m["parts"].([]any)[1].(map[string]any)[name] = value }
	}
	return []change{
		{"as it is", true, func(map[string]any) {}},
		{"next version", false, set("version", 2)},
		{"no version", false, without("version")},
		{"no tenant_id", false, without("tenant_id")},
		{"no export_id", false, without("export_id")},
		{"no totals", false, without("totals")},
		{"name that leaves the directory", false, part("name", "../x")},
		{"name with a slash", false, part("name", "a/b")},
		{"name of the manifest", false, part("name", "manifest.json")},
		{"empty name", false, part("name", "")},
		{"no digest", false, part("zip_sha256", "")},
		{"digest in capitals", false, part("sealed_sha256", strings.ToUpper(digest))},
		{"no rows", false, part("rows", 0)},
		{"negative size", false, part("sealed_bytes", -1)},
		{"time that is not one", false, part("first", map[string]any{"time": "x", "id": "c"})},
		{"parts that are not a list", false, set("parts", map[string]any{})},
	}
}

func TestSchemaAndGoGiveTheSameVerdict(t *testing.T) {
	status := schemas.ExportStatus{TenantID: "acme", ExportID: "e-1", EventID: "cancelled", State: schemas.Cancelled, Time: at("2026-11-01T00:00:00Z")}
	for name, c := range map[string]struct {
		base    any
		changes []change
	}{
		"interaction.schema.json":    {map[string]any{"interaction_id": "i-1", "tenant_id": "acme", "media_type": "voice", "started_at": "2026-10-05T07:13:35Z"}, interactionChanges()},
		"contact.schema.json":        {map[string]any{"contact_id": "c-1", "tenant_id": "acme", "created_at": "2026-10-05T07:13:35Z"}, contactChanges()},
		"export-request.schema.json": {validRequest(), requestChanges()},
		"export-status.schema.json":  {&status, statusChanges()},
		"manifest.schema.json":       {validManifest(), manifestChanges()},
	} {
		schema := compile(t, name)
		base := encode(t, c.base)
		for _, change := range c.changes {
			t.Run(strings.TrimSuffix(name, ".schema.json")+"/"+change.name, func(t *testing.T) {
				var m map[string]any
				if err := json.Unmarshal(base, &m); err != nil {
					t.Fatal(err)
				}
				change.edit(m)
				b := encode(t, m)
				if err := decode(name, b); (err == nil) != change.valid {
					t.Errorf("Go says %v, want valid = %t", err, change.valid)
				}
				if err := schema.Validate(document(t, b)); (err == nil) != change.valid {
					t.Errorf("the schema says %v, want valid = %t", err, change.valid)
				}
			})
		}
	}
	if n := base64.StdEncoding.EncodedLen(schemas.MaxInline); n != 1398104 {
		t.Errorf("content may have %d characters; change the schema's maxLength", n)
	}
}
