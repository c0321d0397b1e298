package warehouse

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// ofContacts limits versions to those of rows that have a version of one of the contacts that
// the query asks for, and Before did: the index of contact_id finds those, and only their rows
// are read. A version of somebody else counts too: it may be the newest.
func (q Query) ofContacts(t table, keys bool) string {
	asked := q.Filter.Contacts
	if q.Before != nil && len(asked) > 0 {
		if len(q.Before.Filter.Contacts) == 0 { // everybody's rows may have been selected
			return ""
		}
		asked = slices.Concat(asked, q.Before.Filter.Contacts)
	}
	if len(asked) == 0 {
		return ""
	}
	return fmt.Sprintf(`
  AND (%[1]s, %[2]s) IN (SELECT %[1]s, %[2]s FROM %[3]s WHERE %[4]s AND %[5]s)`, t.time, t.id, t.name, below(t, keys), among("contact_id", asked))
}

// among says that a column is one of some ids, of which there may be more than a parameter
// takes: parameters travel in the URL.
func among(column string, ids []string) string {
	if len(ids) == 0 {
		return "0"
	}
	return fmt.Sprintf("%s IN (SELECT %s)", column, listed(ids))
}

// listed is a row for each id. Written as hex digits, an id cannot be anything but text.
func listed(ids []string) string {
	digits := make([]string, len(ids))
	for i, id := range ids {
		digits[i] = hex.EncodeToString([]byte(id))
	}
	return fmt.Sprintf("unhex(arrayJoin(splitByChar(',', '%s')))", strings.Join(digits, ","))
}

// CheckContacts is a *schemas.InvalidError that names the contacts of which nothing is stored:
// a misspelt id must not look like a person without data.
func (w *Warehouse) CheckContacts(ctx context.Context, tenantID string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	of := func(table string) string {
		return "SELECT contact_id FROM " + table + " WHERE tenant_id = {tenant:String} AND " + among("contact_id", ids)
	}
	known, err := w.db.Texts(ctx, "look for contacts", "SELECT DISTINCT contact_id FROM ("+of("contacts")+" UNION ALL "+of("interactions")+")", tables.Named("tenant", tenantID))
	if err != nil {
		return err
	}
	stored := map[string]bool{}
	for _, id := range known {
		stored[id] = true
	}
	unknown := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return stored[id] })
	if len(unknown) == 0 {
		return nil
	}
	problem := fmt.Sprintf("contacts: nothing is stored of %d of the %s, such as %q; upper and lower case and blanks count", len(unknown), schemas.Counted(len(ids), "contact"), unknown[0])
	first := schemas.Subject{Kind: schemas.ErasedContact, ID: unknown[0]}
	similar, err := w.Similar(ctx, tenantID, []schemas.Subject{first})
	if err != nil {
		return err
	}
	if len(similar[first]) > 0 {
		problem += fmt.Sprintf("; did you mean %q?", similar[first][0])
	}
	return &schemas.InvalidError{Problems: []string{problem}}
}
