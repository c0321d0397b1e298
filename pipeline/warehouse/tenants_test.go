package warehouse_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/tables"
	"cdds/schemas"
)

func TestHowMuchHistoryThereIsAndOfWhichTime(t *testing.T) {
	w := open(t)
	db := stacktest.ClickHouse(t)
	check(t, db.Exec(t.Context(), `INSERT INTO interactions (tenant_id, started_at, interaction_id, body, body_bytes, source_partition, source_offset, published_at, stated)
SELECT if(number < 100, 'much', 'other'), toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + 3600 * toInt64(if(number < 100 OR number % 2 = 0, number, -number)), toString(number % 50), '{}', 2, 0, 7000 + number, now64(3), 1 FROM numbers(130)`))
	got, err := w.Stored(t.Context(), "much")
	check(t, err)
	first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if got.Versions != 100 || !got.From.Equal(first) || !got.To.Equal(first.Add(99*time.Hour)) {
		t.Errorf("of much is stored: %+v", got)
	}
	var plan strings.Builder
	rows, err := db.Query(t.Context(), "EXPLAIN SELECT toInt64(count()) FROM interactions WHERE tenant_id = 'much'")
	check(t, err)
	for rows.Next() {
		var line string
		check(t, rows.Scan(&line))
		plan.WriteString(line + "\n")
	}
	check(t, rows.Err())
	if !strings.Contains(plan.String(), "ReadFromMergeTree (tenants)") {
		t.Errorf("how much there is is counted from rows:\n%s", plan.String())
	}
	if none, err := w.Stored(t.Context(), "nothing"); err != nil || none.Versions != 0 || !none.From.IsZero() {
		t.Errorf("of a tenant without history is stored: %+v, %v", none, err)
	}
	if all, err := w.Stored(t.Context(), schemas.AllTenants); err != nil || all.Versions < 130 {
		t.Errorf("of all tenants is stored: %+v, %v", all, err)
	}
}

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
