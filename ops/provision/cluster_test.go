package provision

import (
	"flag"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"

	"cdds/ops/stack/stacktest"

	"cdds/pipeline/tables"
)

func TestMain(m *testing.M) { stacktest.Main(m) }

var updateCluster = flag.Bool("update-cluster", false, "write testdata/cluster.sql anew")

// onCluster are the statements of every table on a cluster.
func onCluster(cluster, database string) (all []tables.Statement) {
	for _, s := range Schemas() {
		all = append(all, s.OnCluster(cluster, database)...)
	}
	return all
}

func TestDDLOfAClusterIsTheGoldenOne(t *testing.T) {
	const golden = "testdata/cluster.sql"
	var b strings.Builder
	for _, s := range onCluster("cdds", "cdds") {
		b.WriteString("-- " + s.Name + "\n" + regexp.MustCompile(`(?m)^--.*\n`).ReplaceAllString(s.SQL, "") + ";\n")
	}
	if *updateCluster {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Error("the DDL of a cluster changed; go test ./ops/provision -run Golden -update-cluster writes it, read the difference")
	}
}

// Rows replace each other only on one shard, and only if all that spreads them is in
// their sorting key.
func TestShardsAreChosenByWhatTheSortingKeyHas(t *testing.T) {
	order := regexp.MustCompile(`(?s)CREATE TABLE IF NOT EXISTS (\w+)_local .*ORDER BY \(([^)]*)\)`)
	shard := regexp.MustCompile(`EXISTS (\w+) ON CLUSTER .*(?s:.*)cityHash64\((.*)\)\)`)
	keys := map[string]string{}
	distributed := 0
	for _, s := range onCluster("c", "d") {
		if m := order.FindStringSubmatch(s.SQL); m != nil {
			keys[m[1]] = ", " + m[2] + ","
		}
		m := shard.FindStringSubmatch(s.SQL)
		if m == nil {
			continue
		}
		distributed++
		for column := range strings.SplitSeq(m[2], ", ") {
			if !strings.Contains(keys[m[1]], ", "+column+",") {
				t.Errorf("%s is spread by %s, and sorted by %s", m[1], column, keys[m[1]])
			}
		}
	}
	if distributed == 0 || distributed != len(keys) {
		t.Errorf("%d distributed tables over %d local ones", distributed, len(keys))
	}
}

// What replicated tables take for a repetition may be the only copy of rows that were lost.
func TestNoTableTakesABlockForOneOfBefore(t *testing.T) {
	created, takes := map[string]bool{}, map[string]bool{}
	for _, s := range onCluster("c", "d") {
		if m := regexp.MustCompile(`CREATE TABLE IF NOT EXISTS (\w+)_local `).FindStringSubmatch(s.SQL); m != nil {
			created[m[1]] = true
		}
		if m := regexp.MustCompile(`ALTER TABLE (\w+)_local .* MODIFY SETTING replicated_deduplication_window = 0,`).FindStringSubmatch(s.SQL); m != nil {
			takes[m[1]] = true
		}
	}
	if len(created) == 0 || !maps.Equal(created, takes) {
		t.Errorf("tables are %v, of which the statements name %v", created, takes)
	}
}

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
	for _, s := range onCluster("cdds", e.Database) {
		if err := conn.Exec(t.Context(), "EXPLAIN AST "+s.SQL); err != nil {
			t.Errorf("%s: %v\n%s", s.Name, err, s.SQL)
		}
	}
	names := slices.Sorted(maps.Keys(tables.ClusterSettings()))
	var known uint64
	if err := conn.QueryRow(t.Context(), "SELECT count() FROM system.settings WHERE name IN {names:Array(String)}", tables.Named("names", names)).Scan(&known); err != nil {
		t.Fatal(err)
	}
	if int(known) != len(names) {
		t.Errorf("ClickHouse knows %d of %v", known, names)
	}
}
