package tables

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Schema is the tables of a package: the files of sql/, in the order of their names. Each
// is a statement that is safe to repeat and names no database: the connection's is used.
type Schema struct {
	Files fs.FS
	// ShardedBy says, per table, by what rows are spread over the shards of a cluster. Each
	// is part of the table's sorting key: rows that replace each other meet on one shard.
	ShardedBy map[string]string
}

// Statement is one step of a schema.
type Statement struct {
	// Name is the file it comes from, without its extension.
	Name string
	SQL  string
}

// Statements returns those that create the tables on one server.
func (s Schema) Statements() []Statement {
	files, err := fs.Glob(s.Files, "sql/*.sql")
	if err != nil || len(files) == 0 {
		panic("tables: the embedded SQL is missing")
	}
	var all []Statement
	for _, file := range files { // Glob sorts by name
		b, err := fs.ReadFile(s.Files, file)
		if err != nil {
			panic("tables: " + err.Error())
		}
		all = append(all, Statement{strings.TrimSuffix(path.Base(file), ".sql"), string(b)})
	}
	return all
}

// Tables are the names of a schema's tables.
func (s Schema) Tables() []string {
	var all []string
	for _, statement := range s.Statements() {
		if m := creates.FindStringSubmatch(statement.SQL); m != nil {
			all = append(all, m[1])
		}
	}
	return all
}

// Create takes the steps that are pending and records them, so that an old database becomes
// one of this release. It is safe to repeat, and to interrupt.
func (db *Database) Create(ctx context.Context, all ...Schema) error {
	var database string
	if err := db.Scan(ctx, "ask ClickHouse for its database", "SELECT currentDatabase()", nil, &database); err != nil {
		return err
	}
	pending, err := db.Pending(ctx, all...)
	if err != nil || len(pending) == 0 {
		return err
	}
	for _, schema := range slices.Concat([]Schema{Steps()}, all) {
		statements := schema.Statements()
		if db.cluster != "" {
			statements = schema.OnCluster(db.cluster, database)
		}
		for _, s := range statements {
			if !slices.Contains(pending, s.Name) {
				continue
			}
			if err := db.conn.Exec(ctx, s.SQL); err != nil {
				return fmt.Errorf("ClickHouse schema %s: %w", s.Name, err)
			}
		}
	}
	return db.taken(ctx, pending)
}

// Missing returns the names of tables that Create would create.
func (db *Database) Missing(ctx context.Context, all ...Schema) ([]string, error) {
	have := map[string]bool{}
	err := db.Each(ctx, "list ClickHouse tables", "SELECT name FROM system.tables WHERE database = currentDatabase()", nil, func(rows driver.Rows) error {
		var name string
		err := rows.Scan(&name)
		have[name] = true
		return err
	})
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, schema := range all {
		for _, table := range schema.Tables() {
			if !have[table] {
				missing = append(missing, table)
			}
		}
	}
	return missing, nil
}
