package warehouse_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// A cluster needs servers and a Keeper. What one engine can say of it: its DDL parses, and
// it knows every setting.
func TestClickHouseReadsTheDDLAndTheSettingsOfACluster(t *testing.T) {
	e := stacktest.Shared(t).Endpoints().ClickHouse
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{e.Addr},
		Auth: clickhouse.Auth{Database: e.Database, Username: e.Username, Password: e.Password},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	for _, s := range schemas.ClusterDDL("cdds", e.Database) {
		if err := conn.Exec(t.Context(), "EXPLAIN AST "+s.SQL); err != nil {
			t.Errorf("%s: %v\n%s", s.Name, err, s.SQL)
		}
	}
	names := slices.Sorted(maps.Keys(warehouse.ClusterSettings()))
	var known uint64
	if err := conn.QueryRow(t.Context(), "SELECT count() FROM system.settings WHERE name IN {names:Array(String)}", clickhouse.Named("names", names)).Scan(&known); err != nil {
		t.Fatal(err)
	}
	if int(known) != len(names) {
		t.Errorf("ClickHouse knows %d of %v", known, names)
	}
}
