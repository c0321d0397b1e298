// Package tables is how the warehouse and the ledger talk to ClickHouse: blocks of rows
// stored in bounded time, rows read as they come, and the schema, on one server and on a
// cluster. It knows no table by name but those whose rows have positions.
//
// Inserts may be repeated: a row is identified by what it is and where it came from, and
// ReplacingMergeTree keeps one of equal rows. Reads never depend on merges having
// happened.
package tables

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/schemas"
)

// Database is the database of a connection, which holds the tables. It is safe for
// concurrent use.
type Database struct {
	conn          driver.Conn
	cluster       string // empty on one server
	insertTimeout time.Duration
}

// New returns the Database of an open connection over HTTP (Lines needs it). The caller
// closes the connection.
func New(conn driver.Conn) *Database { return &Database{conn: conn, insertTimeout: insertTimeout} }

// OnCluster is db where the tables are spread over the ClickHouse cluster of that name, or
// db itself if the name is empty. Statements are the same: they find the Distributed
// tables. The connection must have the settings of ClusterSettings.
func (db *Database) OnCluster(name string) *Database {
	clustered := *db
	clustered.cluster = name
	return &clustered
}

// Settings are what every statement needs: one that selects many people names them all.
func Settings() clickhouse.Settings { return clickhouse.Settings{"max_query_size": 8 << 20} }

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

// Holding is the table whose rows are the records of a source topic, or of the status
// topic: each has the position of its record, and each part a bitmap of the positions of
// its rows.
func Holding(topic schemas.Topic) string {
	switch topic {
	case schemas.TopicContacts:
		return "contacts"
	case schemas.TopicExportStatus:
		return "export_events"
	}
	return "interactions"
}

// Ping reports whether ClickHouse answers.
func (db *Database) Ping(ctx context.Context) error {
	if err := db.conn.Ping(ctx); err != nil {
		return fmt.Errorf("ClickHouse does not answer: %w", err)
	}
	return nil
}

// Version is ClickHouse's own.
func (db *Database) Version(ctx context.Context) (string, error) {
	var v string
	err := db.Scan(ctx, "ask ClickHouse for its version", "SELECT version()", nil, &v)
	return v, err
}

// Named gives a statement's parameter {name:Type} its value.
func Named(name string, value any) any { return clickhouse.Named(name, value) }

// Scan reads the only row of a query into the places. task says in errors what could not
// be done; sql.ErrNoRows is wrapped if there is no row.
func (db *Database) Scan(ctx context.Context, task, sql string, args []any, into ...any) error {
	if err := db.conn.QueryRow(ctx, strings.TrimSpace(sql), args...).Scan(into...); err != nil {
		return fmt.Errorf("%s: %w", task, err)
	}
	return nil
}

// Each calls row for every row of a query, until it returns an error.
func (db *Database) Each(ctx context.Context, task, sql string, args []any, row func(driver.Rows) error) error {
	rows, err := db.conn.Query(ctx, strings.TrimSpace(sql), args...)
	if err != nil {
		return fmt.Errorf("%s: %w", task, err)
	}
	for err == nil && rows.Next() {
		err = row(rows)
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("%s: %w", task, err)
	}
	return nil
}

// Texts reads the rows of a query of one String column.
func (db *Database) Texts(ctx context.Context, task, sql string, args ...any) (all []string, err error) {
	err = db.Each(ctx, task, sql, args, func(rows driver.Rows) error {
		var text string
		err := rows.Scan(&text)
		all = append(all, text)
		return err
	})
	return all, err
}

// Tenants is a query of the tenants that have rows in a table, in order: at most limit of
// those after an id that contain a text. A projection of the table, which is named tenants
// too, answers it.
func Tenants(table string) string {
	return "(SELECT toString(tenant_id) AS tenant FROM " + table + `
WHERE tenant_id > {after:String} AND position(tenant_id, {containing:String}) > 0
GROUP BY tenant_id ORDER BY tenant_id LIMIT {limit:UInt32})`
}

// Decoded runs a query of one String column and decodes each row from JSON.
func Decoded[T any](ctx context.Context, db *Database, task, sql string, args ...any) (all []T, err error) {
	err = EachDecoded(ctx, db, task, func(v T) error { all = append(all, v); return nil }, sql, args...)
	return all, err
}

// EachDecoded is Decoded that hands each over as it comes.
func EachDecoded[T any](ctx context.Context, db *Database, task string, each func(T) error, sql string, args ...any) error {
	return db.Each(ctx, task, sql, args, func(rows driver.Rows) error {
		var body string
		if err := rows.Scan(&body); err != nil {
			return err
		}
		var v T
		if err := schemas.Read([]byte(body), &v); err != nil {
			return err
		}
		return each(v)
	})
}

// linesSettings suit answers of stored lines: formatting them on many threads costs more
// copies than formatting, and an export reads several parts at once anyway. See
// output_format_parallel_formatting in ClickHouse's settings.
var linesSettings = clickhouse.Settings{"output_format_parallel_formatting": 0}

// Lines streams the rows of a query of a UInt64 and a String column. The caller closes them.
func (db *Database) Lines(ctx context.Context, task, sql string, args ...any) (*Lines, error) {
	r, err := db.conn.QueryFormat(WithSettings(ctx, linesSettings), "RowBinary", strings.TrimSpace(sql), args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", task, err)
	}
	return newLines(r), nil
}

// Change runs statements that change rows in place, one after the other.
func (db *Database) Change(ctx context.Context, task string, statements []string, args ...any) error {
	for _, sql := range statements {
		if err := db.conn.Exec(ctx, sql, args...); err != nil {
			return fmt.Errorf("%s: %w", task, err)
		}
	}
	return nil
}

type settingsKey struct{}

// WithSettings adds settings to a statement's context. The client alone would replace
// those that the context has.
func WithSettings(ctx context.Context, s clickhouse.Settings) context.Context {
	all := clickhouse.Settings{}
	if before, ok := ctx.Value(settingsKey{}).(clickhouse.Settings); ok {
		maps.Copy(all, before)
	}
	maps.Copy(all, s)
	return clickhouse.Context(context.WithValue(ctx, settingsKey{}, all), clickhouse.WithSettings(all))
}
