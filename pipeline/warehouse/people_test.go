package warehouse_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// TestAnExportOfSomePeopleReadsTheirRowsAndNotAll asks ClickHouse how it would read what
// three of 100,000 contacts have.
func TestAnExportOfSomePeopleReadsTheirRowsAndNotAll(t *testing.T) {
	open(t)
	db := stacktest.ClickHouse(t)
	check(t, db.Exec(t.Context(), `INSERT INTO interactions (tenant_id, started_at, interaction_id, contact_id, body, body_bytes, source_partition, source_offset, published_at, stated)
SELECT 'crowd', toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + number * 60, toString(number), 'c-' || toString(number * 7919 % 100000), '{}', 2, 0, number, now64(3), 1 FROM numbers(300000)`))
	q := ofTenant("crowd", nil)
	q.Snapshot, q.Filter.Contacts = schemas.Snapshot{300000}, []string{"c-1", "c-50000", "c-99999"}
	rows, ofContacts, args, err := warehouse.Statements(q)
	check(t, err)
	if read, of := granules(t, "the export", rows, args); of < 290 || read > 15 { // its nine rows, each in another, and the ends of parts
		t.Errorf("the export reads %d of %d granules", read, of)
	}
	if read, of := granules(t, "the index", ofContacts, args); of < 290 || read > 15 { // the filter takes some others for them
		t.Errorf("the index leaves %d of %d granules", read, of)
	}
}

var readOf = regexp.MustCompile(`Granules: ([0-9]+)/([0-9]+)`)

// granules is how many of a table's granules a query reads, as its plan says.
func granules(t *testing.T, name, sql string, args []any) (read, of int) {
	t.Helper()
	var plan strings.Builder
	rows, err := stacktest.ClickHouse(t).Query(t.Context(), "EXPLAIN indexes = 1 "+sql, args...)
	check(t, err)
	for rows.Next() {
		var line string
		check(t, rows.Scan(&line))
		plan.WriteString(line + "\n")
	}
	check(t, rows.Err())
	t.Logf("%s:\n%s", name, plan.String())
	for n, found := range readOf.FindAllStringSubmatch(plan.String(), -1) {
		read, _ = strconv.Atoi(found[1])
		if n == 0 {
			of, _ = strconv.Atoi(found[2])
		}
	}
	return read, of
}
