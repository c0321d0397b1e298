package warehouse

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// Erase removes every row the erasure is about from every table, for good: it returns
// when no part of a table holds them any more. It is safe to repeat, and to break off
// anywhere: what will be removed is written down before anything is.
//
// ALTER TABLE ... DELETE rather than lightweight DELETE: that one only hides rows
// until some merge, which may never come.
func (w *Warehouse) Erase(ctx context.Context, e schemas.Erasure) error {
	var direct []*schemas.ErasedSubject
	var contacts []string
	for _, s := range e.Erasable() {
		direct = append(direct, &schemas.ErasedSubject{Request: e.Request, Kind: s.Kind, SubjectID: s.ID, Interactions: e.Interactions, Contacts: e.Contacts})
		if s.Kind == schemas.ErasedContact {
			contacts = append(contacts, s.ID)
		}
	}
	if err := w.RecordSubjects(ctx, direct); err != nil {
		return err
	}
	if len(contacts) > 0 { // versions that do not name the contact go with those that do
		err := w.db.InsertSelect(withAged(ctx), "erased_subjects", erasedSubjectsColumns, fmt.Sprintf(`
SELECT DISTINCT tenant_id, 'interaction', interaction_id, {erasure:String}, {interactions:Array(Int64)}, {contacts:Array(Int64)}
FROM interactions
WHERE tenant_id = {tenant:String} AND %s
  AND source_offset < arrayElement({interactions:Array(Int64)}, source_partition + 1)`, among("contact_id", contacts)), eraseArguments(e)...)
		if err != nil {
			return fmt.Errorf("erase %s: %w", e.Request.ErasureID, err)
		}
	}
	return w.RemoveErased(ctx, e)
}

const (
	erasedSubjectsColumns = "tenant_id, kind, id, erasure_id, interactions, contacts"
	erasedRowsColumns     = "topic, source_partition, source_offset, tenant_id, time, erasure_id"
)

// withAged makes a query read rows that Age marked as deleted and no merge has removed yet:
// an erasure forgets those, too. Projections do not have them.
func withAged(ctx context.Context) context.Context {
	return tables.WithSettings(ctx, clickhouse.Settings{"apply_deleted_mask": 0, "optimize_use_projections": 0})
}

// mutationSettings make a mutation end with its statement.
var mutationSettings = clickhouse.Settings{"mutations_sync": 2}

// RemoveErased removes the rows of an erasure's subjects, which are known.
func (w *Warehouse) RemoveErased(ctx context.Context, e schemas.Erasure) error {
	aged := withAged(ctx)
	args, task := eraseArguments(e), "erase "+e.Request.ErasureID
	for _, t := range erasable {
		err := w.db.InsertSelect(aged, "erased_rows", erasedRowsColumns, fmt.Sprintf(
			"SELECT '%s', source_partition, source_offset, tenant_id, %s, {erasure:String} FROM %s WHERE %s", t.topic, t.time, t.name, t.matches()), args...)
		if err == nil {
			err = w.db.InsertSelect(aged, "accounted", accountedColumns, fmt.Sprintf(`
SELECT '%s', source_partition, '%s', bitShiftRight(source_offset, 20) AS of_block, 0, groupBitmapState(toUInt32(bitAnd(source_offset, 1048575))) FROM %s WHERE %s
GROUP BY source_partition, of_block`, t.topic, kindErased, t.name, t.matches()), args...)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", task, err)
		}
	}
	for _, t := range erasable {
		if err := w.deleteErased(ctx, task, t, e); err != nil {
			return err
		}
	}
	for _, t := range erasable {
		left, err := w.left(aged, task, t, args)
		if err == nil && left > 0 { // a mutation does not see what Age marked as deleted
			purge := []string{fmt.Sprintf("ALTER TABLE %s APPLY DELETED MASK", w.db.Local(t.name))}
			if err = w.db.Change(tables.WithSettings(ctx, mutationSettings), task, purge); err == nil {
				left, err = w.left(aged, task, t, args)
			}
		}
		if err != nil {
			return err
		}
		if left > 0 {
			return fmt.Errorf("%s: still in %s: %s", task, t.name, schemas.Counted(left, "row"))
		}
	}
	return nil
}

// left is how many rows of an erasure a table has.
func (w *Warehouse) left(ctx context.Context, task string, t erasableTable, args []any) (n uint64, err error) {
	err = w.db.Scan(ctx, task, fmt.Sprintf("SELECT count() FROM %s WHERE %s", t.name, t.matches()), args, &n)
	return n, err
}

// CameBack returns which of some erasures have rows that are stored again. It asks once
// for each table and some hundred erasures, and reads only where rows were erased.
func (w *Warehouse) CameBack(ctx context.Context, erasures []schemas.Erasure) (back []schemas.Erasure, err error) {
	size := func(e schemas.Erasure) int { return max(len(e.Request.TenantID), len(e.Request.ErasureID)) }
	for some := range tables.Fitting(erasures, size) {
		came, err := w.cameBack(ctx, some)
		if err != nil {
			return nil, err
		}
		for _, e := range some {
			if came[e.Request.ID()] {
				back = append(back, e)
			}
		}
	}
	return back, nil
}

// cameBack returns the IDs of the requests of CameBack's erasures.
func (w *Warehouse) cameBack(ctx context.Context, erasures []schemas.Erasure) (map[string]bool, error) {
	tenants, ids := make([]string, len(erasures)), make([]string, len(erasures))
	for i, e := range erasures {
		tenants[i], ids[i] = e.Request.TenantID, e.Request.ErasureID
	}
	const among = "SELECT arrayJoin(arrayZip({tenants:Array(String)}, {ids:Array(String)}))"
	came := map[string]bool{}
	for _, t := range erasable {
		err := w.db.Each(ctx, "look for erased rows that came back", fmt.Sprintf(`
SELECT DISTINCT tenant_id, erasure_id FROM erased_rows
WHERE topic = '%[1]s' AND (tenant_id, erasure_id) IN (%[2]s) AND (source_partition, source_offset) IN (
  SELECT source_partition, source_offset FROM %[3]s WHERE (tenant_id, %[4]s) IN (
    SELECT tenant_id, time FROM erased_rows WHERE topic = '%[1]s' AND (tenant_id, erasure_id) IN (%[2]s)))`, t.topic, among, t.name, t.time),
			[]any{tables.Named("tenants", tenants), tables.Named("ids", ids)}, func(rows driver.Rows) error {
				var r schemas.ErasureRequest
				err := rows.Scan(&r.TenantID, &r.ErasureID)
				came[r.ID()] = true
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	return came, nil
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
		if err := w.db.Scan(ctx, "look for what came back of erasure "+e.Request.ErasureID, sql, eraseArguments(e), &n); err != nil {
			return 0, err
		}
		came += int64(n)
	}
	if came == 0 {
		return 0, nil
	}
	return came, w.RemoveErased(ctx, e)
}

// deleteErased deletes the rows of one table, with as few mutations as their text allows:
// each rewrites every part that has some. A replicated table takes no mutation with a
// subquery: the replicas would each get their own answer. So ids are named: contacts, and
// those interactions that have versions that name none of them.
func (w *Warehouse) deleteErased(ctx context.Context, task string, t erasableTable, e schemas.Erasure) error {
	const listed = "SELECT id FROM erased_subjects WHERE tenant_id = {tenant:String} AND erasure_id = {erasure:String} AND kind = 'contact'"
	var gone []erasedID
	for _, from := range []struct{ column, ids string }{
		{"contact_id", strings.Replace(listed, "SELECT", "SELECT DISTINCT", 1)},
		{t.id, fmt.Sprintf("SELECT DISTINCT %s FROM %s WHERE %s AND contact_id NOT IN (%s)", t.id, t.name, t.matches(), listed)},
	} {
		ids, err := w.db.Texts(ctx, task, from.ids, eraseArguments(e)...)
		if err != nil {
			return err
		}
		for _, id := range ids {
			gone = append(gone, erasedID{from.column, id})
		}
	}
	for some := range tables.FittingText(gone, func(g erasedID) int { return len(literal(g.id)) + 2 }) {
		sql := fmt.Sprintf("ALTER TABLE %s DELETE WHERE tenant_id = {tenant:String} AND (%s) AND %s", w.db.Local(t.name), anyOf(some), t.below())
		if err := w.db.Change(tables.WithSettings(ctx, mutationSettings), task, []string{sql}, eraseArguments(e)...); err != nil {
			return err
		}
	}
	return nil
}

// erasedID is a value of a column of rows that are to go.
type erasedID struct{ column, id string }

// anyOf says that a row has one of some ids, without a subquery. They are literals: a
// mutation computes anything else again for every row.
func anyOf(ids []erasedID) string {
	literals := map[string][]string{}
	for _, g := range ids {
		literals[g.column] = append(literals[g.column], literal(g.id))
	}
	var any []string
	for _, column := range slices.Sorted(maps.Keys(literals)) {
		any = append(any, fmt.Sprintf("%s IN (%s)", column, strings.Join(literals[column], ", ")))
	}
	return strings.Join(any, " OR ")
}

// literal is an id as ClickHouse reads it in a statement: whatever is no letter or digit is
// written as its hex digits, so that it cannot be anything but text.
func literal(id string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for i := range len(id) {
		if c := id[i]; c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	b.WriteByte('\'')
	return b.String()
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
  AND %s`, t.id, t.kind, t.below())
}

// below selects the rows below the erasure's snapshot.
func (t erasableTable) below() string {
	return fmt.Sprintf("source_offset < arrayElement({%s:Array(Int64)}, source_partition + 1)", t.name)
}

func eraseArguments(e schemas.Erasure) []any {
	return []any{
		tables.Named("tenant", e.Request.TenantID), tables.Named("erasure", e.Request.ErasureID),
		tables.Named("interactions", []int64(e.Interactions)), tables.Named("contacts", []int64(e.Contacts)),
	}
}

// ErasedRows is how many versions an erasure removed.
func (w *Warehouse) ErasedRows(ctx context.Context, e schemas.Erasure) (int64, error) {
	var n uint64
	err := w.db.Scan(ctx, "count erased rows", "SELECT count() FROM erased_rows FINAL WHERE tenant_id = {tenant:String} AND erasure_id = {erasure:String}",
		eraseArguments(e)[:2], &n)
	return int64(n), err
}
