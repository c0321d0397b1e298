package pipelinetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Accounting stores rows and accounts for positions; *warehouse.Warehouse is one.
type Accounting interface {
	InsertInteractions(ctx context.Context, batches ...schemas.Batch[*schemas.Interaction]) error
	RecordDeadLetters(ctx context.Context, letters []schemas.DeadLetter) error
	RecordVoids(ctx context.Context, voids []schemas.Void) error
	WriteOff(ctx context.Context, topic schemas.Topic, lost []schemas.Run) error
	Missing(ctx context.Context, topic schemas.Topic, used []schemas.Run) (int64, error)
	Gaps(ctx context.Context, topic schemas.Topic, used []schemas.Run, limit int) ([]schemas.Run, bool, error)
	Account(ctx context.Context, topic schemas.Topic, used []schemas.Run) ([]warehouse.PartitionAccount, error)
	Reached(ctx context.Context, topic schemas.Topic) (map[int32]int64, error)
	HasTenant(ctx context.Context, tenantID string) (bool, error)
	Age(ctx context.Context, tenantID, entity string, before, now time.Time) (int64, error)
	AgedBefore(ctx context.Context, tenantID, entity string) (schemas.Time, error)
	warehouse.ErasedTables
	Erase(ctx context.Context, e schemas.Erasure) error
	ErasedSubjects(ctx context.Context, e schemas.Erasure, each func([]*schemas.ErasedSubject) error) error
	CameBack(ctx context.Context, erasures []schemas.Erasure) ([]schemas.Erasure, error)
	EraseAgain(ctx context.Context, e schemas.Erasure) (int64, error)
	Impact(ctx context.Context, e schemas.Erasure) (warehouse.Impact, error)
	ErasableBodies(ctx context.Context, e schemas.Erasure, each func(body string) error) error
}

// Losses are what happens to tables from outside.
type Losses struct {
	// Year loses the rows whose interactions began in a year: a partition of the table.
	Year func(ctx context.Context, year int) error
	// Purge has rows go for good that are marked as deleted: until some merge erasures see them.
	Purge func(ctx context.Context) error
	// All loses everything.
	All func(ctx context.Context) error
}

// accountingSteps is how many things TestAccounting does. It compares every few of them:
// the real one takes a dozen statements to answer everything.
const accountingSteps, comparedEvery = 60, 6

// TestAccounting does the same to an empty Accounting and to the twin in memory, in an
// order that seed decides, and compares the answers.
func TestAccounting(t *testing.T, real Accounting, losses Losses, seed uint64) {
	chance := rand.New(rand.NewPCG(seed, 0))
	twin := NewWarehouse()
	ctx := t.Context()
	var inserted []schemas.Batch[*schemas.Interaction]
	var erasures []schemas.Erasure
	for n := range accountingSteps {
		p, at := int32(chance.IntN(2)), int64(chance.IntN(2))<<40+int64(chance.IntN(40))
		run := schemas.Run{Partition: p, First: at, Next: at + 1 + int64(chance.IntN(5))}
		what := ""
		both := func(name string, do func(Accounting) error) {
			what = fmt.Sprintf("step %d, %s %v", n, name, run)
			if err := do(real); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if err := do(twin); err != nil {
				t.Fatalf("%s: the twin: %v", what, err)
			}
		}
		switch k := chance.IntN(15); {
		case k < 4:
			b := rowsAt(run)
			inserted = append(inserted, b)
			both("insert", func(a Accounting) error { return a.InsertInteractions(ctx, b) })
		case k == 4 && len(inserted) > 0: // the same once more, whatever was lost since
			again := inserted[chance.IntN(len(inserted)):]
			both("insert again", func(a Accounting) error { return a.InsertInteractions(ctx, again...) })
		case k == 5:
			letter := schemas.DeadLetter{Topic: schemas.TopicInteractions, Partition: p, Offset: run.First, Next: run.Next}
			both("dead letter", func(a Accounting) error { return a.RecordDeadLetters(ctx, []schemas.DeadLetter{letter}) })
		case k == 6:
			run.Next += int64(chance.IntN(2)) << 20 // blocks of positions
			void := schemas.Void{Topic: schemas.TopicInteractions, Partition: p, First: run.First, Next: run.Next}
			both("void", func(a Accounting) error { return a.RecordVoids(ctx, []schemas.Void{void}) })
		case k == 7:
			both("write off", func(a Accounting) error { return a.WriteOff(ctx, schemas.TopicInteractions, []schemas.Run{run}) })
		case k == 8:
			year := yearOf(int64(n))
			what = fmt.Sprintf("step %d, lose %d", n, year)
			if err := losses.Year(ctx, year); err != nil {
				t.Fatal(err)
			}
			twin.Drop(func(e *schemas.Interaction) bool { return e.StartedAt.Year() == year })
		case k == 9:
			tenant, before := fmt.Sprint("tenant-", n%3), time.Date(yearOf(int64(n)), 2, 1, 10, 0, 0, 0, time.UTC)
			var aged []int64
			both("age "+tenant, func(a Accounting) error {
				n, err := a.Age(ctx, tenant, schemas.EntityInteraction, before, start)
				aged = append(aged, n)
				return err
			})
			if err := losses.Purge(ctx); err != nil {
				t.Fatal(err)
			}
			if aged[0] < aged[1] || aged[0] > 0 && aged[1] == 0 { // what was inserted twice may count twice, until it is merged
				t.Fatalf("%s: %d rows aged out, and of the twin %d", what, aged[0], aged[1])
			}
		case k == 11 || k == 12:
			e := erasureOf(chance)
			erasures = append(erasures, e)
			both("erase "+e.About(), func(a Accounting) error { return a.Erase(ctx, e) })
		case k == 13 && len(erasures) > 0:
			e := erasures[chance.IntN(len(erasures))]
			both("erase again "+e.About(), func(a Accounting) error { _, err := a.EraseAgain(ctx, e); return err })
		case k == 14: // ingest knows that a row is erased, and does not store it
			r := rowsAt(run).Records[0]
			row := warehouse.ErasedRow{Topic: schemas.TopicInteractions, Partition: p, Offset: r.Offset, TenantID: r.Event.TenantID, ErasureID: "x0", Time: r.Event.StartedAt.Time}
			both("record as erased", func(a Accounting) error { return a.RecordErased(ctx, []warehouse.ErasedRow{row}) })
		case n%20 == 19:
			what = fmt.Sprintf("step %d, lose all", n)
			if err := losses.All(ctx); err != nil {
				t.Fatal(err)
			}
			twin.Lose()
		}
		if n%comparedEvery < comparedEvery-1 {
			continue
		}
		if got, want := answers(t, real, erasures), answers(t, twin, erasures); !reflect.DeepEqual(got, want) {
			t.Fatalf("up to %s: it answers\n%+v, and the twin\n%+v", what, got, want)
		}
	}
}

func yearOf(n int64) int { return 2024 + int(n%3) }

// rowsAt are rows at a run of positions, of several years. What is at a position is the
// same row whenever it is inserted, as a record in Kafka is.
func rowsAt(run schemas.Run) schemas.Batch[*schemas.Interaction] {
	b := schemas.Batch[*schemas.Interaction]{Topic: schemas.TopicInteractions, Partition: run.Partition, First: run.First, Next: run.Next}
	for at := run.First; at < run.Next; at++ {
		e := &schemas.Interaction{
			InteractionID: fmt.Sprint("i", at), TenantID: fmt.Sprint("tenant-", at%3), MediaType: "chat",
			StartedAt: schemas.TimeOf(time.Date(yearOf(at), 2, 1, int(at%20), 0, 0, 0, time.UTC)), ContactID: []string{"", "ann", "bob"}[at/3%3],
		}
		if at%4 == 0 {
			e.Attachments = []schemas.Attachment{{AttachmentID: "a", Object: fmt.Sprintf("%s/%d", e.TenantID, at), Size: 1}}
			e.Body = []byte(fmt.Sprintf(`{"interaction_id":"i%d"}`, at))
		}
		b.Records = append(b.Records, schemas.Record[*schemas.Interaction]{
			Event: e, Partition: run.Partition, Offset: at, Time: schemas.TimeOf(start),
		})
	}
	return b
}

// answered is what an Accounting says.
type answered struct {
	missing int64
	gaps    []schemas.Run
	account []warehouse.PartitionAccount
	reached map[int32]int64
	tenants [4]bool
	aged    [4]schemas.Time
	erased  []forgotten
}

// forgotten is what it says of an erasure.
type forgotten struct {
	rows, versions int64
	outcomes       []schemas.SubjectOutcome
	subjects       []string
	// bodies are those of the versions with attachments, each once: what was inserted twice is
	// told of twice, until it is merged.
	bodies []string
	back   bool
	known  int
}

// erasureOf is an erasure of a contact or an interaction, as of some point.
func erasureOf(chance *rand.Rand) schemas.Erasure {
	n := chance.IntN(6)
	r := schemas.ErasureRequest{TenantID: fmt.Sprint("tenant-", n%3), ErasureID: fmt.Sprint("x", n)}
	if n < 3 {
		r.ContactID = []string{"ann", "bob"}[n%2]
	} else {
		r.InteractionID = fmt.Sprint("i", chance.IntN(40))
		r.ErasureID += r.InteractionID
	}
	to := int64(chance.IntN(2))<<40 + int64(chance.IntN(40))
	return schemas.Erasure{Request: r, Interactions: schemas.Snapshot{to, to}, Contacts: schemas.Snapshot{0}}
}

// answers asks an Accounting everything.
func answers(t *testing.T, a Accounting, erasures []schemas.Erasure) (all answered) {
	t.Helper()
	ctx := t.Context()
	const second = int64(1) << 40
	used := []schemas.Run{
		{Partition: 0, First: 0, Next: 30}, {Partition: 0, First: second + 3, Next: second + 50},
		{Partition: 1, First: 0, Next: 2<<20 + 9}, {Partition: 1, First: second, Next: second + 1<<20 + 7},
	}
	errs := make([]error, 5)
	all.missing, errs[0] = a.Missing(ctx, schemas.TopicInteractions, used)
	all.gaps, _, errs[1] = a.Gaps(ctx, schemas.TopicInteractions, used, 1000)
	all.account, errs[2] = a.Account(ctx, schemas.TopicInteractions, used)
	all.reached, errs[3] = a.Reached(ctx, schemas.TopicInteractions)
	all.gaps = slices.Clip(append([]schemas.Run{}, all.gaps...))
	for i := range all.tenants {
		tenant := fmt.Sprint("tenant-", i)
		if all.tenants[i], errs[4] = a.HasTenant(ctx, tenant); errs[4] != nil {
			break
		}
		if all.aged[i], errs[4] = a.AgedBefore(ctx, tenant, schemas.EntityInteraction); errs[4] != nil {
			break
		}
	}
	for _, e := range erasures {
		var x forgotten
		err := a.ErasedSubjects(ctx, e, func(some []*schemas.ErasedSubject) error {
			for _, s := range some {
				x.subjects = append(x.subjects, fmt.Sprint(s.Key(), s.Interactions))
			}
			return nil
		})
		slices.Sort(x.subjects)
		errs = append(errs, err)
		errs = append(errs, a.ErasableBodies(ctx, e, func(body string) error { x.bodies = append(x.bodies, body); return nil }))
		slices.Sort(x.bodies)
		x.bodies = slices.Compact(x.bodies)
		impact, err := a.Impact(ctx, e)
		errs = append(errs, err)
		x.versions, x.outcomes = impact.Versions, impact.Outcomes()
		if x.rows, err = a.ErasedRows(ctx, e); err == nil {
			var back []schemas.Erasure
			back, err = a.CameBack(ctx, []schemas.Erasure{e})
			x.back = len(back) > 0
		}
		errs = append(errs, err)
		s := e.Request.Subjects()[0]
		errs = append(errs, a.ErasuresOf(ctx, []warehouse.Subject{{TenantID: e.Request.TenantID, Kind: s.Kind, ID: s.ID}}, func(warehouse.Subject, warehouse.Forgotten) { x.known = 1 }))
		all.erased = append(all.erased, x)
	}
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}
