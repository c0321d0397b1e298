package app_test

import (
	"encoding/json"
	"strings"
	"testing"

	"cdds/schemas"
)

// Contacts and interactions of two tenants are exported under pseudonyms, opened with openssl and
// unzip, and joined.
func TestExportsUnderAPolicyHideWhatItNamesAndCanBeJoined(t *testing.T) {
	w := newWorld(t)
	w.run("ingest", "export", "history")
	const planted = "PLANTED"
	for _, tenant := range []string{"acme", "globex"} {
		for n := range 20 {
			e := interaction(tenant, n)
			e.ContactID, e.Subject, e.Notes = planted+"-c", planted, planted
			e.Attributes["name"] = planted
			e.Attachments = []schemas.Attachment{{AttachmentID: planted, Name: planted, Content: "aGVsbG8="}}
			e.Text = planted
			w.publish(e)
		}
		w.publish(&schemas.Contact{ContactID: planted + "-c", TenantID: tenant, CreatedAt: interaction(tenant, 0).StartedAt, DisplayName: planted, Emails: []string{planted + "@example.com"}})
		for _, entity := range schemas.Entities() {
			r := w.request(tenant, entity)
			r.Entity, r.FieldPolicy = entity, &schemas.FieldPolicy{Preset: schemas.PresetPersonal}
			w.publish(r)
		}
	}
	contact := map[string]string{} // by tenant and entity, the only contact there is
	for _, tenant := range []string{"acme", "globex"} {
		for _, entity := range schemas.Entities() {
			e := w.await(tenant, entity)
			if e.State != schemas.Completed {
				t.Fatalf("%s/%s: %s, %s %+v", tenant, entity, e.State, e.Reason, e.Failure)
			}
			manifest, err := w.bucket.GetBytes(t.Context(), e.Completion.ManifestKey, 1<<20)
			check(t, err)
			lines := w.open(e)
			if want := map[string]int{schemas.EntityInteraction: 20, schemas.EntityContact: 1}[entity]; len(lines) != want {
				t.Errorf("%s/%s: %d lines", tenant, entity, len(lines))
			}
			for _, text := range append(lines, string(manifest)) {
				if strings.Contains(text, planted) {
					t.Errorf("%s/%s shows %s", tenant, entity, text)
				}
			}
			if m, err := schemas.DecodeManifest(manifest); err != nil || m.FieldPolicy == nil || m.FieldPolicy.KeyID == "" {
				t.Errorf("%s/%s: the manifest states %+v, %v", tenant, entity, m, err)
			}
			for _, line := range lines {
				var row struct {
					ContactID string `json:"contact_id"`
				}
				check(t, json.Unmarshal([]byte(line), &row))
				if known := contact[tenant]; row.ContactID == "" || known != "" && known != row.ContactID {
					t.Errorf("%s/%s: contact %q is not %q", tenant, entity, row.ContactID, known)
				}
				contact[tenant] = row.ContactID
			}
		}
	}
	if contact["acme"] == contact["globex"] {
		t.Error("two tenants share a pseudonym")
	}
}
