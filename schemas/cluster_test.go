package schemas_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"cdds/schemas"
)

var updateCluster = flag.Bool("update-cluster", false, "write testdata/cluster.sql anew")

func TestDDLOfAClusterIsTheGoldenOne(t *testing.T) {
	const golden = "testdata/cluster.sql"
	var b strings.Builder
	for _, s := range schemas.ClusterDDL("cdds", "cdds") {
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
		t.Error("the DDL of a cluster changed; go test ./schemas -run Golden -update-cluster writes it, read the difference")
	}
}

// Rows replace each other only on one shard, and only if all that spreads them is in
// their sorting key.
func TestShardsAreChosenByWhatTheSortingKeyHas(t *testing.T) {
	order := regexp.MustCompile(`(?s)CREATE TABLE IF NOT EXISTS (\w+)_local .*ORDER BY \(([^)]*)\)`)
	shard := regexp.MustCompile(`EXISTS (\w+) ON CLUSTER .*(?s:.*)cityHash64\((.*)\)\)`)
	keys := map[string]string{}
	distributed := 0
	for _, s := range schemas.ClusterDDL("c", "d") {
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
