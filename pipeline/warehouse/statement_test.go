package warehouse

import "cdds/schemas"

// Statements are what a query asks for all its rows, and for those that its contacts have some
// version of, with the arguments of both.
func Statements(q Query) (rows, ofContacts string, args []any, err error) {
	t, err := tableOf(q.Filter.Entity)
	return q.newestOfAll(t, "body"), "SELECT 1 FROM " + t.name + " WHERE " + below(t, false) + " AND " + among("contact_id", q.Filter.Contacts), q.arguments(schemas.RowKey{Time: q.Filter.From}, nil), err
}
