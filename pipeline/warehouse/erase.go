package warehouse

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/schemas"
)

// Erasure returns where an erasure stands; false if there is none of that id.
func (w *Warehouse) Erasure(ctx context.Context, tenantID, erasureID string) (schemas.Erasure, bool, error) {
	found, err := decoded[schemas.Erasure](ctx, w, "an erasure",
		"SELECT body FROM erasures FINAL WHERE tenant_id = {tenant:String} AND erasure_id = {erasure:String}",
		clickhouse.Named("tenant", tenantID), clickhouse.Named("erasure", erasureID))
	if err != nil || len(found) == 0 {
		return schemas.Erasure{}, false, err
	}
	return found[0], true, nil
}

// SaveErasure replaces what is known about an erasure.
func (w *Warehouse) SaveErasure(ctx context.Context, e schemas.Erasure) error {
	body, err := schemas.Encode(e)
	if err != nil {
		return err
	}
	return w.insertBlock(ctx, "erasures", "tenant_id, erasure_id, state, body, version", func(block driver.Batch) error {
		return block.Append(e.Request.TenantID, e.Request.ErasureID, e.State, string(body), uint64(time.Now().UnixMilli()))
	})
}

// Erase removes every row the erasure is about from every table, for good: it returns
// when no part of a table holds them any more. It is safe to repeat, and to break off
// anywhere: what is to be removed is written down before anything is.
//
// ALTER TABLE ... DELETE rather than lightweight DELETE: that one only hides rows
// until some merge, which may never come.
func (w *Warehouse) Erase(ctx context.Context, e schemas.Erasure) error {
	args := eraseArguments(e)
	kind, id := "contact", e.Request.ContactID
	if id == "" {
		kind, id = "interaction", e.Request.InteractionID
	}
	args = append(args, clickhouse.Named("kind", kind), clickhouse.Named("id", id))
	statements := []string{
		`INSERT INTO erased_subjects (tenant_id, kind, id, erasure_id, interactions, contacts)
SELECT {tenant:String}, {kind:String}, {id:String}, {erasure:String}, {interactions:Array(Int64)}, {contacts:Array(Int64)}`,
		// Versions that do not name the contact go with those that do.
		`INSERT INTO erased_subjects (tenant_id, kind, id, erasure_id, interactions, contacts)
SELECT DISTINCT tenant_id, 'interaction', interaction_id, {erasure:String}, {interactions:Array(Int64)}, {contacts:Array(Int64)}
FROM interactions
WHERE {kind:String} = 'contact' AND tenant_id = {tenant:String} AND contact_id = {id:String}
  AND source_offset < arrayElement({interactions:Array(Int64)}, source_partition + 1)`,
	}
	if err := w.execErase(ctx, e, statements, args); err != nil {
		return err
	}
	return w.removeErased(ctx, e)
}

// eraseSettings make a mutation end with its statement.
var eraseSettings = clickhouse.Settings{"mutations_sync": 2, "max_partitions_per_insert_block": 0, "insert_deduplicate": 0}

func (w *Warehouse) execErase(ctx context.Context, e schemas.Erasure, statements []string, args []any) error {
	ctx = withSettings(ctx, eraseSettings)
	for _, sql := range statements {
		if err := w.conn.Exec(ctx, sql, args...); err != nil {
			return fmt.Errorf("erase %s: %w", e.Request.ErasureID, err)
		}
	}
	return nil
}

// removeErased removes the rows of an erasure's subjects, which are known.
func (w *Warehouse) removeErased(ctx context.Context, e schemas.Erasure) error {
	args := eraseArguments(e)
	var statements []string
	for _, t := range erasable {
		statements = append(statements, fmt.Sprintf(`INSERT INTO erased_rows (topic, source_partition, source_offset, tenant_id, time, erasure_id)
SELECT '%s', source_partition, source_offset, tenant_id, %s, {erasure:String} FROM %s WHERE %s`, t.topic, t.time, t.name, t.matches()),
			fmt.Sprintf(`INSERT INTO accounted (topic, source_partition, kind, block, whole, offsets)
SELECT '%s', source_partition, '%s', bitShiftRight(source_offset, 20) AS of_block, 0, groupBitmapState(toUInt32(bitAnd(source_offset, 1048575))) FROM %s WHERE %s
GROUP BY source_partition, of_block`, t.topic, kindErased, t.name, t.matches()))
	}
	for _, t := range erasable {
		statements = append(statements, fmt.Sprintf("ALTER TABLE %s DELETE WHERE %s", w.local(t.name), t.matches()))
	}
	if err := w.execErase(ctx, e, statements, args); err != nil {
		return err
	}
	for _, t := range erasable {
		var left uint64
		if err := w.conn.QueryRow(ctx, fmt.Sprintf("SELECT count() FROM %s WHERE %s", t.name, t.matches()), args...).Scan(&left); err != nil {
			return fmt.Errorf("check erasure %s: %w", e.Request.ErasureID, err)
		}
		if left > 0 {
			return fmt.Errorf("erase %s: still in %s: %s", e.Request.ErasureID, t.name, schemas.Counted(left, "row"))
		}
	}
	return nil
}

// CameBack returns the erasures that were done at or past t and of whose rows some are
// stored again. It is one question for each table, however many erasures there were, and
// reads only where rows were erased.
func (w *Warehouse) CameBack(ctx context.Context, t time.Time) ([]schemas.Erasure, error) {
	const recent = "SELECT tenant_id, erasure_id FROM erasures WHERE version >= {since:UInt64}"
	var back []string
	for _, t := range erasable {
		back = append(back, fmt.Sprintf(`SELECT tenant_id, erasure_id FROM erased_rows
  WHERE topic = '%[1]s' AND (tenant_id, erasure_id) IN (%[2]s) AND (source_partition, source_offset) IN (
    SELECT source_partition, source_offset FROM %[3]s WHERE (tenant_id, %[4]s) IN (
      SELECT tenant_id, time FROM erased_rows WHERE topic = '%[1]s' AND (tenant_id, erasure_id) IN (%[2]s)))`, t.topic, recent, t.name, t.time))
	}
	return decoded[schemas.Erasure](ctx, w, "erasures whose rows came back",
		"SELECT body FROM erasures FINAL WHERE state = {done:String} AND version >= {since:UInt64} AND (tenant_id, erasure_id) IN ("+strings.Join(back, "\n  UNION ALL ")+")",
		clickhouse.Named("done", schemas.ErasureDone), clickhouse.Named("since", uint64(t.UnixMilli())))
}

// EraseAgain removes rows of an erasure that were stored after Erase, and returns how many
// there were.
func (w *Warehouse) EraseAgain(ctx context.Context, e schemas.Erasure) (int64, error) {
	var came int64
	for _, t := range erasable {
		var n uint64
		sql := fmt.Sprintf("SELECT count() FROM %[1]s WHERE %[2]s AND %[3]s IN "+
			"(SELECT time FROM erased_rows WHERE tenant_id = {tenant:String} AND erasure_id = {erasure:String} AND topic = '%[4]s')",
			t.name, t.matches(), t.time, t.topic)
		if err := w.conn.QueryRow(ctx, sql, eraseArguments(e)...).Scan(&n); err != nil {
			return 0, fmt.Errorf("look for what came back of erasure %s: %w", e.Request.ErasureID, err)
		}
		came += int64(n)
	}
	if came == 0 {
		return 0, nil
	}
	return came, w.removeErased(ctx, e)
}

// erasableTable is a table an erasure removes rows from.
type erasableTable struct {
	table
	topic schemas.Topic
	kind  string
}

var erasable = []erasableTable{
	{table{"interactions", "started_at", "interaction_id", true}, schemas.TopicInteractions, "interaction"},
	{table{"contacts", "created_at", "contact_id", false}, schemas.TopicContacts, "contact"},
}

// matches selects the rows of the subjects of one erasure below its snapshot.
func (t erasableTable) matches() string {
	return fmt.Sprintf(`tenant_id = {tenant:String}
  AND %s IN (SELECT id FROM erased_subjects WHERE tenant_id = {tenant:String} AND erasure_id = {erasure:String} AND kind = '%s')
  AND source_offset < arrayElement({%s:Array(Int64)}, source_partition + 1)`, t.id, t.kind, t.name)
}

func eraseArguments(e schemas.Erasure) []any {
	return []any{
		clickhouse.Named("tenant", e.Request.TenantID), clickhouse.Named("erasure", e.Request.ErasureID),
		clickhouse.Named("interactions", []int64(e.Interactions)), clickhouse.Named("contacts", []int64(e.Contacts)),
	}
}

// ErasedRows is how many versions an erasure removed.
func (w *Warehouse) ErasedRows(ctx context.Context, e schemas.Erasure) (int64, error) {
	var n uint64
	err := w.conn.QueryRow(ctx, "SELECT count() FROM erased_rows FINAL WHERE tenant_id = {tenant:String} AND erasure_id = {erasure:String}",
		eraseArguments(e)[:2]...).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count erased rows: %w", err)
	}
	return int64(n), nil
}

// recordErased notes and accounts for the positions of records that were not stored
// because they are erased.
func (w *Warehouse) recordErased(ctx context.Context, rows []erasedRow) error {
	err := w.insertBlock(ctx, "erased_rows", "topic, source_partition, source_offset, tenant_id, time, erasure_id", func(block driver.Batch) error {
		for _, r := range rows {
			if err := block.Append(string(r.topic), r.partition, r.offset, r.tenant, r.time, r.erasure); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	byTopic := map[schemas.Topic][]schemas.Run{}
	for _, r := range rows {
		byTopic[r.topic] = append(byTopic[r.topic], schemas.Run{Partition: r.partition, First: r.offset, Next: r.offset + 1})
	}
	for topic, runs := range byTopic {
		if err := w.account(ctx, topic, kindErased, runs); err != nil {
			return err
		}
	}
	return nil
}
