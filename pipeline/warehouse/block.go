package warehouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// insertTimeout is how long ClickHouse may take to store a block. It takes milliseconds,
// so what takes this long has stopped: it is given up, and who calls inserts again, which
// changes nothing if it was stored after all.
const insertTimeout = time.Minute

// insertSettings are those of every insert. A table's sorting key makes repeated rows one
// row; block deduplication compares with blocks that may be lost since.
var insertSettings = clickhouse.Settings{
	"insert_deduplicate": 0,
	// History spans as many months as it spans; one insert may touch them all.
	"max_partitions_per_insert_block": 0,
}

// insertBlock stores the rows that fill appends as one block of a table: all of them or
// an error. No rows are no insert.
func (w *Warehouse) insertBlock(ctx context.Context, table, columns string, fill func(driver.Batch) error) error {
	return w.insertInto(ctx, table, func(ctx context.Context) error {
		block, err := w.conn.PrepareBatch(ctx, "INSERT INTO "+table+" ("+columns+")")
		if err != nil {
			return err
		}
		if err := fill(block); err != nil || block.Rows() == 0 {
			return errors.Join(err, block.Abort())
		}
		return block.Send()
	})
}

// insertInto does an insert, with the settings of every insert and within insertTimeout.
func (w *Warehouse) insertInto(ctx context.Context, table string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, w.insertTimeout, fmt.Errorf("ClickHouse did not store the rows within %s", w.insertTimeout))
	defer cancel()
	if err := do(withSettings(ctx, insertSettings)); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.Join(context.Cause(ctx), err)
		}
		return fmt.Errorf("insert into %s: %w", table, err)
	}
	return nil
}
