package warehouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"cdds/schemas"
)

// ErrUnstated says that a query filters by attributes that a row does not state. The
// row may pass or not: it must not be left out.
var ErrUnstated = errors.New("an earlier release stored the row without its attributes; publish it again, or leave the attributes out of the filter")

// checkAttributes is ErrUnstated if the query selects by attributes among rows of which
// one does not state them.
func (w *Warehouse) checkAttributes(ctx context.Context, q Query, t table) error {
	if len(q.Filter.Attributes) == 0 {
		return nil
	}
	q.Filter.Attributes, q.Before = nil, nil
	var at time.Time
	var id string
	err := w.db.Scan(ctx, "look for rows of "+t.name+" without attributes", fmt.Sprintf("SELECT t, id FROM (%s) WHERE passes AND NOT stated LIMIT 1", q.newestOfAll(t, "stated")),
		q.arguments(schemas.RowKey{Time: q.Filter.From}, nil), &at, &id)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%s %q of %s: %w", q.Filter.Entity, id, schemas.TimeOf(at), ErrUnstated)
}
