// Package warehouse is the only one that talks SQL to ClickHouse: it stores rows
// with their positions, reads exports as of a snapshot, and keeps history.
//
// Inserts may be repeated: a row is identified by what it is and where it came
// from, and ReplacingMergeTree keeps one of equal rows. Reads never depend on
// merges having happened.
package warehouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/schemas"
)

// Warehouse stores and reads rows. It is safe for concurrent use.
type Warehouse struct {
	conn          driver.Conn
	cluster       string // empty on one server
	insertTimeout time.Duration
}

// New returns a Warehouse on an open connection over HTTP (QueryFormat needs
// it), whose default database holds the tables. The caller closes the connection.
func New(conn driver.Conn) *Warehouse { return &Warehouse{conn: conn, insertTimeout: insertTimeout} }

// OnCluster is w where the tables are spread over the ClickHouse cluster of that name, or
// w itself if the name is empty. Statements are the same: they find the Distributed
// tables. The connection must have the settings of ClusterSettings.
func (w *Warehouse) OnCluster(name string) *Warehouse {
	clustered := *w
	clustered.cluster = name
	return &clustered
}

// ClusterSettings make what holds on one server hold on a cluster: an insert is stored by
// a majority of replicas before it counts, one at a time, which is what lets a read see
// all inserts before it on whatever replica; a shard that is away is an error, never
// fewer rows.
func ClusterSettings() clickhouse.Settings {
	return clickhouse.Settings{
		"insert_quorum":                 "auto",
		"insert_quorum_parallel":        0, // select_sequential_consistency needs it
		"select_sequential_consistency": 1,
		"distributed_foreground_insert": 1,
		"skip_unavailable_shards":       0,
		"distributed_product_mode":      "global",
	}
}

// local is the table that holds the rows, for statements that change them in place.
func (w *Warehouse) local(table string) string {
	if w.cluster == "" {
		return table
	}
	return fmt.Sprintf("%s ON CLUSTER '%s'", schemas.LocalTable(table), w.cluster)
}

// Ping reports whether ClickHouse answers.
func (w *Warehouse) Ping(ctx context.Context) error {
	if err := w.conn.Ping(ctx); err != nil {
		return fmt.Errorf("ClickHouse does not answer: %w", err)
	}
	return nil
}

// Version is ClickHouse's own.
func (w *Warehouse) Version(ctx context.Context) (string, error) {
	var v string
	if err := w.conn.QueryRow(ctx, "SELECT version()").Scan(&v); err != nil {
		return "", fmt.Errorf("ask ClickHouse for its version: %w", err)
	}
	return v, nil
}

// Migrate creates the tables that are missing. It is safe to repeat.
func (w *Warehouse) Migrate(ctx context.Context) error {
	ddl := schemas.DDL()
	if w.cluster != "" {
		var database string
		if err := w.conn.QueryRow(ctx, "SELECT currentDatabase()").Scan(&database); err != nil {
			return fmt.Errorf("ask ClickHouse for its database: %w", err)
		}
		ddl = schemas.ClusterDDL(w.cluster, database)
	}
	for _, s := range ddl {
		if err := w.conn.Exec(ctx, s.SQL); err != nil {
			return fmt.Errorf("ClickHouse schema %s: %w", s.Name, err)
		}
	}
	return nil
}

// MissingTables returns the names of tables Migrate would create.
func (w *Warehouse) MissingTables(ctx context.Context) ([]string, error) {
	rows, err := w.conn.Query(ctx, "SELECT name FROM system.tables WHERE database = currentDatabase()")
	if err != nil {
		return nil, fmt.Errorf("list ClickHouse tables: %w", err)
	}
	have := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		have[name] = true
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	var missing []string
	for _, table := range []string{"interactions", "contacts", "dead_letters", "export_events", "exports", "artifacts", "audit", "erasures", "erased_subjects", "erased_rows", "accounted", "incarnations", "aged_out"} {
		if !have[table] {
			missing = append(missing, table)
		}
	}
	return missing, nil
}

// table says where the rows of an entity are.
type table struct {
	name, time, id string
	media          bool
}

// attached is what says whether a row may have attachments; it has if it is stated.
func (t table) attached() string {
	if t.name == "interactions" {
		return "(attached OR NOT stated)"
	}
	return "0"
}

func tableOf(entity string) (table, error) {
	switch entity {
	case schemas.EntityInteraction:
		return table{"interactions", "started_at", "interaction_id", true}, nil
	case schemas.EntityContact:
		return table{"contacts", "created_at", "contact_id", false}, nil
	}
	return table{}, fmt.Errorf("there is no table of entity %q", entity)
}

// withSettings adds settings to a query's context.
func withSettings(ctx context.Context, s clickhouse.Settings) context.Context {
	return clickhouse.Context(ctx, clickhouse.WithSettings(s))
}
