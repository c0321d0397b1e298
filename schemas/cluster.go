package schemas

import (
	"fmt"
	"regexp"
	"strings"
)

// shardedBy says, per table, by what rows are spread over the shards of a cluster. Each
// is part of the table's sorting key: rows that replace each other meet on one shard.
var shardedBy = map[string]string{
	"interactions":       "interaction_id",
	"contacts":           "contact_id",
	"dead_letters":       "topic, source_partition, source_offset",
	"export_events":      "export_id",
	"exports":            "export_id",
	"artifacts":          "export_id",
	"audit":              "audit_id",
	"erasures":           "erasure_id",
	"erased_subjects":    "erasure_id",
	"erased_rows":        "topic, source_partition, source_offset",
	"webhook_deliveries": "job_id",
	"accounted":          "topic, source_partition",
	"incarnations":       "topic",
	"aged_out":           "tenant_id",
}

var (
	creates = regexp.MustCompile(`(?m)^CREATE TABLE IF NOT EXISTS (\w+)$`)
	alters  = regexp.MustCompile(`(?m)^ALTER TABLE (\w+)`)
	engine  = regexp.MustCompile(`(?m)^ENGINE = (Replacing|Aggregating)MergeTree(?:\((\w+)\))?$`)
	// orders is what a Distributed table, which holds no rows, does not take.
	orders = regexp.MustCompile(`,\s+MODIFY ORDER BY \([^)]*\)`)
)

// LocalTable is the table that holds a shard's rows of the Distributed table of a name.
func LocalTable(name string) string { return name + "_local" }

// ClusterDDL is DDL for a ClickHouse cluster of that name, as its remote_servers has it:
// per table a replicated one on every shard, NAME_local, and a Distributed one that takes
// the name, so that statements written for one server find all rows. Servers need the
// macros shard and replica. Two statements may have one name.
func ClusterDDL(cluster, database string) []Statement {
	var all []Statement
	for _, s := range DDL() {
		all = append(all, onCluster(s, cluster, database)...)
	}
	return all
}

func onCluster(s Statement, cluster, database string) []Statement {
	on := fmt.Sprintf("%s ON CLUSTER '%s'", "$1", cluster)
	if m := alters.FindStringSubmatch(s.SQL); m != nil {
		name := m[1]
		local := Statement{s.Name, alters.ReplaceAllString(s.SQL, "ALTER TABLE "+strings.Replace(on, "$1", LocalTable(name), 1))}
		if !strings.Contains(s.SQL, " COLUMN ") { // settings and projections are of what holds rows
			return []Statement{local}
		}
		return []Statement{local, {s.Name, orders.ReplaceAllLiteralString(alters.ReplaceAllString(s.SQL, "ALTER TABLE "+on), "")}}
	}
	m := creates.FindStringSubmatch(s.SQL)
	if m == nil || !engine.MatchString(s.SQL) || shardedBy[m[1]] == "" {
		panic("schemas: nobody said how " + s.Name + " is spread over a cluster")
	}
	name := m[1]
	replicated := fmt.Sprintf("'/clickhouse/tables/{shard}/%s/%s', '{replica}'", database, LocalTable(name))
	kind := engine.FindStringSubmatch(s.SQL)
	if version := kind[2]; version != "" {
		replicated += ", " + version
	}
	sql := creates.ReplaceAllString(s.SQL, "CREATE TABLE IF NOT EXISTS "+strings.Replace(on, "$1", LocalTable(name), 1))
	sql = engine.ReplaceAllLiteralString(sql, "ENGINE = Replicated"+kind[1]+"MergeTree("+replicated+")")
	return []Statement{{s.Name, sql}, {s.Name, fmt.Sprintf(
		"CREATE TABLE IF NOT EXISTS %s ON CLUSTER '%s' AS %s\nENGINE = Distributed('%s', '%s', '%s', cityHash64(%s))\n",
		name, cluster, LocalTable(name), cluster, database, LocalTable(name), shardedBy[name])}}
}
