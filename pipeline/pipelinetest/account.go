package pipelinetest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Warehouse is rows and their account in memory, as package warehouse keeps them in
// ClickHouse, and what can happen to them there. It is safe for concurrent use. The suite
// TestAccounting holds it and the real one to the same contract.
type Warehouse struct {
	mu sync.Mutex
	tables
}

// tables are what a backup has.
type tables struct {
	// rows are those of both entities; see RowOf.
	rows map[rowID]schemas.Record[*schemas.Interaction]
	// accounted are the positions without a row, by partition.
	accounted map[accountOf]map[int32]runs
	// aged is before when rows were removed for their age.
	aged map[agedOf]schemas.Time
	erasing
}

// accountOf is what became of records of a topic.
type accountOf struct {
	topic schemas.Topic
	kind  string
}

// agedOf is an entity of a tenant.
type agedOf struct{ tenant, entity string }

// rowID is the sorting key: rows that have it are one row.
type rowID struct {
	topic     schemas.Topic
	tenant    string
	time      schemas.Time
	id        string
	partition int32
	offset    int64
}

// The kinds of what became of a record that has no row, in the order in which a position
// counts that has several.
const (
	stored     = ""
	deadLetter = "dead_letter"
	erased     = "erased"
	agedOut    = "aged_out"
	void       = "void"
	writtenOff = "written_off"
)

// NewWarehouse returns an empty one.
func NewWarehouse() *Warehouse {
	w := &Warehouse{}
	w.Lose()
	return w
}

// InsertInteractions stores all of the batches.
func (w *Warehouse) InsertInteractions(_ context.Context, batches ...schemas.Batch[*schemas.Interaction]) error {
	w.insert(schemas.TopicInteractions, batches)
	return nil
}

// InsertContacts stores all of the batches.
func (w *Warehouse) InsertContacts(_ context.Context, batches ...schemas.Batch[*schemas.Contact]) error {
	w.insert(schemas.TopicContacts, RowsOf(batches))
	return nil
}

func (w *Warehouse) insert(topic schemas.Topic, batches []schemas.Batch[*schemas.Interaction]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range batches {
		for _, r := range b.Records {
			w.rows[idOf(topic, r)] = r
		}
	}
}

// RecordDeadLetters accounts for the positions of letters.
func (w *Warehouse) RecordDeadLetters(_ context.Context, letters []schemas.DeadLetter) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range letters {
		w.account(deadLetter, l.Topic, l.Run())
	}
	return nil
}

// RecordVoids accounts for voids.
func (w *Warehouse) RecordVoids(_ context.Context, voids []schemas.Void) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range voids {
		w.account(void, v.Topic, schemas.Run{Partition: v.Partition, First: v.First, Next: v.Next})
	}
	return nil
}

// WriteOff accounts for positions whose records are lost for good.
func (w *Warehouse) WriteOff(_ context.Context, topic schemas.Topic, lost []schemas.Run) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range lost {
		w.account(writtenOff, topic, r)
	}
	return nil
}

// account notes what became of a run. Only topics with rows are kept account of.
func (w *Warehouse) account(kind string, topic schemas.Topic, r schemas.Run) {
	if !slices.Contains(rowTopics, topic) {
		return
	}
	of := accountOf{topic, kind}
	if w.accounted[of] == nil {
		w.accounted[of] = map[int32]runs{}
	}
	w.accounted[of][r.Partition] = w.accounted[of][r.Partition].with(r.Partition, r.First, r.Next)
}

// of are the positions of a kind, by partition.
func (w *Warehouse) of(topic schemas.Topic, kind string) map[int32]runs {
	if kind != stored {
		return w.accounted[accountOf{topic, kind}]
	}
	offsets := map[int32][]int64{}
	for id := range w.rows {
		if id.topic == topic {
			offsets[id.partition] = append(offsets[id.partition], id.offset)
		}
	}
	all := map[int32]runs{}
	for p, of := range offsets {
		slices.Sort(of)
		for _, at := range of {
			if n := len(all[p]) - 1; n >= 0 && all[p][n].Next >= at {
				all[p][n].Next = at + 1
				continue
			}
			all[p] = append(all[p], schemas.Run{Partition: p, First: at, Next: at + 1})
		}
	}
	return all
}

// kinds in the order in which they count.
var kinds = []string{stored, deadLetter, erased, agedOut, void, writtenOff}

// missing are the runs of used positions of which nothing is known.
func (w *Warehouse) missing(topic schemas.Topic, used []schemas.Run) (all []schemas.Run) {
	known := map[int32]runs{}
	for _, kind := range kinds {
		for p, of := range w.of(topic, kind) {
			known[p] = append(known[p], of...)
		}
	}
	for _, r := range used {
		all = append(all, runs(nil).with(r.Partition, r.First, r.Next).without(known[r.Partition])...)
	}
	slices.SortFunc(all, func(a, b schemas.Run) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.First, b.First))
	})
	return all
}

// Missing is how many used positions are not accounted for.
func (w *Warehouse) Missing(_ context.Context, topic schemas.Topic, used []schemas.Run) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return runs(w.missing(topic, used)).count(), nil
}

// Gaps are the runs that Missing counts.
func (w *Warehouse) Gaps(_ context.Context, topic schemas.Topic, used []schemas.Run, limit int) ([]schemas.Run, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.missing(topic, used)
	return all[:min(len(all), limit)], len(all) > limit, nil
}

// Account is the account of the used positions, by partition.
func (w *Warehouse) Account(_ context.Context, topic schemas.Topic, used []schemas.Run) (all []warehouse.PartitionAccount, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts := map[int32]map[string]int64{}
	before := map[int32]runs{}
	for _, kind := range kinds {
		for p, of := range w.of(topic, kind) {
			if counts[p] == nil {
				counts[p] = map[string]int64{}
			}
			counts[p][kind] = of.without(before[p]).count()
			before[p] = append(before[p], of...)
		}
	}
	for _, r := range used {
		if n := len(all); n == 0 || all[n-1].Partition != r.Partition {
			c := counts[r.Partition]
			all = append(all, warehouse.PartitionAccount{
				Partition: r.Partition, Stored: c[stored], DeadLetters: c[deadLetter], Erased: c[erased], AgedOut: c[agedOut], Voids: c[void], WrittenOff: c[writtenOff],
			})
		}
		a := &all[len(all)-1]
		a.Used += r.Next - r.First
		a.Missing += runs(w.missing(topic, []schemas.Run{r})).count()
	}
	return all, nil
}

// Reached is, by partition, the first position past all that is known to have been read.
func (w *Warehouse) Reached(_ context.Context, topic schemas.Topic) (map[int32]int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	reached := map[int32]int64{}
	for _, kind := range kinds {
		if kind == writtenOff {
			continue
		}
		for p, of := range w.of(topic, kind) {
			if n := len(of); n > 0 {
				reached[p] = max(reached[p], of[n-1].Next)
			}
		}
	}
	return reached, nil
}

// HasTenant reports whether any row is the tenant's.
func (w *Warehouse) HasTenant(_ context.Context, tenantID string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.rows {
		if id.tenant == tenantID {
			return true, nil
		}
	}
	had := false
	for of := range w.aged {
		had = had || of.tenant == tenantID
	}
	for r := range w.gone {
		had = had || r.TenantID == tenantID
	}
	return had, nil
}

// Age removes the rows of an entity of a tenant from before a time, and returns how many versions
// there were.
func (w *Warehouse) Age(_ context.Context, tenantID, entity string, before, _ time.Time) (n int64, _ error) {
	topic, _ := schemas.SourceOf(entity)
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.rows {
		if id.topic == topic && id.tenant == tenantID && id.time.Before(before) {
			w.account(agedOut, topic, schemas.Run{Partition: id.partition, First: id.offset, Next: id.offset + 1})
			delete(w.rows, id)
			n++
		}
	}
	if at := schemas.TimeOf(before); n > 0 && at.Compare(w.aged[agedOf{tenantID, entity}]) > 0 {
		w.aged[agedOf{tenantID, entity}] = at
	}
	return n, nil
}

// AgedBefore is before when rows of an entity of a tenant were removed by Age.
func (w *Warehouse) AgedBefore(_ context.Context, tenantID, entity string) (schemas.Time, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.aged[agedOf{tenantID, entity}], nil
}

// Records returns the rows of a topic, in no order.
func (w *Warehouse) Records(topic schemas.Topic) (all []schemas.Record[*schemas.Interaction]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, r := range w.rows {
		if id.topic == topic {
			all = append(all, r)
		}
	}
	return all
}

// Backup is the tables of a Warehouse at a moment.
type Backup struct{ tables }

// Backup returns what Restore brings back.
func (w *Warehouse) Backup() Backup {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Backup{w.tables.clone()}
}

// Restore makes the tables what they were; whatever came since is lost.
func (w *Warehouse) Restore(b Backup) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tables = b.clone()
}

// Lose empties all tables.
func (w *Warehouse) Lose() { w.Restore(Backup{}) }

// Drop loses the rows of a topic that lose selects; what is known of other positions stays.
func (w *Warehouse) Drop(topic schemas.Topic, lose func(*schemas.Interaction) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.rows, func(id rowID, r schemas.Record[*schemas.Interaction]) bool { return id.topic == topic && lose(r.Event) })
}

func (t tables) clone() tables {
	all := tables{map[rowID]schemas.Record[*schemas.Interaction]{}, map[accountOf]map[int32]runs{}, map[agedOf]schemas.Time{}, t.erasing.clone()}
	maps.Copy(all.rows, t.rows)
	maps.Copy(all.aged, t.aged)
	for which, of := range t.accounted {
		all.accounted[which] = maps.Clone(of) // runs are replaced, never changed
	}
	return all
}
