package warehouse_test

import (
	"slices"
	"strings"
	"testing"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/tables"
)

// TestWhichTenantsThereAreIsReadFromARowEach asks ClickHouse how it would read the tenants of
// each table, and reads those of 300,000 rows.
func TestWhichTenantsThereAreIsReadFromARowEach(t *testing.T) {
	w := open(t)
	db := stacktest.ClickHouse(t)
	check(t, db.Exec(t.Context(), `INSERT INTO interactions (tenant_id, started_at, interaction_id, body, body_bytes, source_partition, source_offset, published_at, stated)
SELECT 'listed-' || toString(number % 3), toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + number, toString(number), '{}', 2, 0, number, now64(3), 1 FROM numbers(300000)`))
	check(t, db.Exec(t.Context(), `INSERT INTO contacts (tenant_id, contact_id, body, source_offset) VALUES ('listed-1', 'c', '{}', 1), ('listed-4', 'c', '{}', 2)`))
	check(t, db.Exec(t.Context(), `INSERT INTO exports (tenant_id, export_id, state, version) VALUES ('listed-1', 'e', 'completed', 1)`))
	args := []any{tables.Named("after", ""), tables.Named("containing", "listed"), tables.Named("limit", uint32(10))}
	for _, table := range []string{"interactions", "contacts", "exports"} {
		rows, err := db.Query(t.Context(), "EXPLAIN "+tables.Tenants(table), args...)
		check(t, err)
		var plan strings.Builder
		for rows.Next() {
			var line string
			check(t, rows.Scan(&line))
			plan.WriteString(line + "\n")
		}
		check(t, rows.Err())
		if !strings.Contains(plan.String(), "ReadFromMergeTree (tenants)") {
			t.Errorf("the tenants of %s are read from its rows:\n%s", table, plan.String())
		}
	}
	for _, c := range []struct {
		containing, after string
		limit             int
		want              []string
	}{
		{"listed-", "", 10, []string{"listed-0", "listed-1", "listed-2", "listed-4"}},
		{"listed-", "listed-0", 2, []string{"listed-1", "listed-2"}},
		{"isted-4", "", 10, []string{"listed-4"}},
		{"listed-9", "", 10, nil},
	} {
		if got, err := w.Tenants(t.Context(), c.containing, c.after, c.limit); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}
