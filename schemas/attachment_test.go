package schemas_test

import (
	"slices"
	"strings"
	"testing"

	"cdds/schemas"
)

func TestAnInteractionCanNameObjectsOfItsOwnTenantOnly(t *testing.T) {
	for key, allowed := range map[string]bool{
		"acme/a": true, "acme/2026/10/a b.pdf": true, "acme/...": true,
		"globex/a": false, "acme": false, "acme/": false, "/acme/a": false, "acme//a": false, "acme/../globex/a": false,
		"acme/./a": false, "acme/a/..": false, "acmeplus/a": false, "": false, "acme/\x00": false, `acme\a`: false, `acme/..\globex`: false,
		"acme/" + strings.Repeat("k", 1024): false,
	} {
		a := schemas.Attachment{AttachmentID: "a", Object: key, Size: 1, SHA256: digest}
		if err := a.CheckObject("acme"); (err == nil) != allowed {
			t.Errorf("%q: %v", key, err)
		}
		if key == "" { // names no object
			continue
		}
		i := schemas.Interaction{InteractionID: "i", TenantID: "acme", MediaType: "chat", StartedAt: at("2026-10-01T00:00:00Z"), Attachments: []schemas.Attachment{a}}
		if err := i.Validate(); (err == nil) != allowed {
			t.Errorf("%q: an interaction with it: %v", key, err)
		}
	}
}

func TestARequestThatIncludesAttachmentsIsTheOneThatSaysNothing(t *testing.T) {
	silent, included, none := validRequest(), validRequest(), validRequest()
	included.Attachments, none.Attachments = schemas.AttachmentsIncluded, schemas.AttachmentsNone
	if silent.Digest() != included.Digest() || silent.Digest() == none.Digest() {
		t.Error("the digests tell the wrong requests apart")
	}
}

func TestAManifestTellsAttachmentsFromRows(t *testing.T) {
	withAttachments := func(edit func(m *schemas.Manifest)) error {
		m := validManifest()
		rows := m.Parts[0]
		files := rows
		files.Number, files.Kind, files.FirstAttachment, files.LastAttachment = 3, schemas.KindAttachments, 1, 2
		files.Rows, files.Bytes, files.IndexBytes, files.Problems = 5, 0, 900, 5
		files.Name, files.Key = "attachments-e-1-0003.jsonl.zip.p7m", "acme/e-1/attachments-e-1-0003.jsonl.zip.p7m"
		m.Parts = append(m.Parts, files)
		edit(m)
		m.Totals = schemas.Total(m.Parts)
		if m.Parts[2].Kind == schemas.KindAttachments && m.Totals.Rows != 3 {
			t.Errorf("there are %d rows", m.Totals.Rows)
		}
		_, err := schemas.DecodeManifest(encode(t, m))
		return err
	}
	if err := withAttachments(func(*schemas.Manifest) {}); err != nil {
		t.Error(err)
	}
	for name, edit := range map[string]func(m *schemas.Manifest){
		"more problems than attachments": func(m *schemas.Manifest) { m.Parts[2].Problems = 6 },
		"no index":                       func(m *schemas.Manifest) { m.Parts[2].IndexBytes = 0 },
		"an unknown kind":                func(m *schemas.Manifest) { m.Parts[2].Kind = "x" },
		"two parts of the same attachments": func(m *schemas.Manifest) {
			again := m.Parts[2]
			again.Number, again.Name, again.Key = 4, "attachments-e-1-0004.jsonl.zip.p7m", ""
			m.Parts = append(m.Parts, again)
		},
		"attachments before rows": func(m *schemas.Manifest) {
			slices.Reverse(m.Parts)
			for i := range m.Parts {
				m.Parts[i].Number = i + 1
			}
		},
	} {
		if err := withAttachments(edit); err == nil {
			t.Error(name, "passes")
		}
	}
}
