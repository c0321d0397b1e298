package tables

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	creates = regexp.MustCompile(`(?m)^CREATE TABLE IF NOT EXISTS (\w+)$`)
	alters  = regexp.MustCompile(`(?m)^ALTER TABLE (\w+)`)
	engine  = regexp.MustCompile(`(?m)^ENGINE = (Replacing|Aggregating)MergeTree(?:\((\w+)\))?$`)
	// orders is what a Distributed table, which holds no rows, does not take.
	orders = regexp.MustCompile(`,\s+MODIFY ORDER BY \([^)]*\)`)
)

// local is the table that holds a shard's rows of the Distributed table of a name.
func local(table string) string { return table + "_local" }

// Local is the table that holds the rows, for statements that change them in place.
func (db *Database) Local(table string) string {
	if db.cluster == "" {
		return table
	}
	return fmt.Sprintf("%s ON CLUSTER '%s'", local(table), db.cluster)
}

// OnCluster are the Statements for a ClickHouse cluster of that name, as its
// remote_servers has it: per table a replicated one on every shard, NAME_local, and a
// Distributed one that takes the name, so that statements written for one server find all
// rows. Servers need the macros shard and replica. Two statements may have one name.
func (s Schema) OnCluster(cluster, database string) []Statement {
	var all []Statement
	for _, one := range s.Statements() {
		all = append(all, s.onCluster(one, cluster, database)...)
	}
	return all
}

func (s Schema) onCluster(one Statement, cluster, database string) []Statement {
	on := fmt.Sprintf("%s ON CLUSTER '%s'", "$1", cluster)
	if m := alters.FindStringSubmatch(one.SQL); m != nil {
		name := m[1]
		changed := Statement{one.Name, alters.ReplaceAllString(one.SQL, "ALTER TABLE "+strings.Replace(on, "$1", local(name), 1))}
		if !strings.Contains(one.SQL, " COLUMN ") { // settings and projections are of what holds rows
			return []Statement{changed}
		}
		return []Statement{changed, {one.Name, orders.ReplaceAllLiteralString(alters.ReplaceAllString(one.SQL, "ALTER TABLE "+on), "")}}
	}
	m := creates.FindStringSubmatch(one.SQL)
	if m == nil || !engine.MatchString(one.SQL) || s.ShardedBy[m[1]] == "" {
		panic("tables: nobody said how " + one.Name + " is spread over a cluster")
	}
	name := m[1]
	replicated := fmt.Sprintf("'/clickhouse/tables/{shard}/%s/%s', '{replica}'", database, local(name))
	kind := engine.FindStringSubmatch(one.SQL)
	if version := kind[2]; version != "" {
		replicated += ", " + version
	}
	sql := creates.ReplaceAllString(one.SQL, "CREATE TABLE IF NOT EXISTS "+strings.Replace(on, "$1", local(name), 1))
	sql = engine.ReplaceAllLiteralString(sql, "ENGINE = Replicated"+kind[1]+"MergeTree("+replicated+")")
	return []Statement{{one.Name, sql}, {one.Name, fmt.Sprintf(
		"CREATE TABLE IF NOT EXISTS %s ON CLUSTER '%s' AS %s\nENGINE = Distributed('%s', '%s', '%s', cityHash64(%s))\n",
		name, cluster, local(name), cluster, database, local(name), s.ShardedBy[name])}}
}
