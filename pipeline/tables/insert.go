package tables

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// insertTimeout is how long ClickHouse may take to store a block. It takes milliseconds,
// so what takes this long has stopped: it is given up, and the caller inserts again, which
// changes nothing if it was stored after all.
const insertTimeout = time.Minute

// insertSettings are those of every insert.
var insertSettings = clickhouse.Settings{
	// A producer chooses the dates; one insert may touch every partition.
	"max_partitions_per_insert_block": 0,
}

// Insert stores the rows that fill appends as one block of a table: all of them or an
// error. No rows are no insert.
func (db *Database) Insert(ctx context.Context, table, columns string, fill func(driver.Batch) error) error {
	return db.insert(ctx, table, func(ctx context.Context) error {
		block, err := db.conn.PrepareBatch(ctx, "INSERT INTO "+table+" ("+columns+")")
		if err != nil {
			return err
		}
		if err := fill(block); err != nil || block.Rows() == 0 {
			return errors.Join(err, block.Abort())
		}
		return block.Send()
	})
}

// InsertSelect stores the rows of a query.
func (db *Database) InsertSelect(ctx context.Context, table, columns, query string, args ...any) error {
	return db.insert(ctx, table, func(ctx context.Context) error {
		return db.conn.Exec(ctx, "INSERT INTO "+table+" ("+columns+")\n"+query, args...)
	})
}

// insert does an insert, with the settings of every insert and within insertTimeout.
func (db *Database) insert(ctx context.Context, table string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, db.insertTimeout, fmt.Errorf("ClickHouse did not store the rows within %s", db.insertTimeout))
	defer cancel()
	if err := do(WithSettings(ctx, insertSettings)); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.Join(context.Cause(ctx), err)
		}
		return fmt.Errorf("insert into %s: %w", table, err)
	}
	return nil
}
