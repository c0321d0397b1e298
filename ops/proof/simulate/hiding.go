package simulate

import (
	"reflect"

	"cdds/schemas"
)

const (
	contactID       = "/contact_id"
	pseudonymSecret = "a secret of thirty-two characters"
)

// subject is a contact of a tenant.
type subject struct{ tenant, contact string }

// unhidden is the content that a row of an export is made of. The field policy of its request, and
// no other, was applied to it: a contact is left out, or has the same pseudonym in all exports of
// the tenant, and another one than all others have.
func (w *world) unhidden(x *asked, m *schemas.Manifest, row string) string {
	policy := x.request.FieldPolicy
	if (policy == nil) != (m.FieldPolicy == nil) {
		w.failf("%s was asked for under the policy %v, and its manifest says %v", x.name(), policy, m.FieldPolicy)
	}
	if policy == nil {
		return row
	}
	c := w.model.byNumber[text(row)]
	if c == nil || c.event == nil {
		w.failf("%s has a row that nobody produced, or that is not an event: %s", x.name(), row)
		return row
	}
	var shown, want map[string]any
	if err := schemas.Read([]byte(row), &shown); err != nil {
		w.failf("%s has a row that is not JSON: %v", x.name(), err)
	}
	if err := schemas.Read([]byte(c.body), &want); err != nil {
		w.failf("what was produced is not JSON: %v", err)
	}
	if c.event.ContactID != "" {
		delete(want, "contact_id")
		if len(policy.Pseudonym) > 0 {
			want["contact_id"] = w.pseudonym(subject{c.event.TenantID, c.event.ContactID}, shown["contact_id"])
		}
	}
	if !reflect.DeepEqual(shown, want) {
		w.failf("%s has %s of %s under the policy %+v", x.name(), row, c.body, *policy)
	}
	return c.body
}

// pseudonym is what stands for a contact: what an export shows, if no other one does.
func (w *world) pseudonym(of subject, shown any) any {
	if known, is := w.model.pseudonyms[of]; is {
		return known
	}
	name, _ := shown.(string)
	for other, taken := range w.model.pseudonyms {
		if taken == name {
			w.failf("the pseudonym %q stands for %v and %v", name, of, other)
		}
	}
	if len(name) != 22 || name == of.contact {
		w.failf("%q stands for the contact %q", name, of.contact)
	}
	if w.model.pseudonyms == nil {
		w.model.pseudonyms = map[subject]string{}
	}
	w.model.pseudonyms[of] = name
	return name
}

// unhiddenID is the id of a row that an export removes, whose policy may replace the ids of
// contacts. Rows that were removed were shown before.
func (w *world) unhiddenID(x *asked, id string) string {
	if policy := x.request.FieldPolicy; policy == nil || len(policy.Pseudonym) == 0 || x.request.Entity != schemas.EntityContact {
		return id
	}
	for of, name := range w.model.pseudonyms {
		if of.tenant == x.request.TenantID && name == id {
			return of.contact
		}
	}
	return id
}
