package pipelinetest

import (
	"context"
	"errors"
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
	// Year loses the rows of an entity that are of a year: a partition of its table.
	Year func(ctx context.Context, entity string, year int) error
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
	var inserted []inserting
	var erasures []schemas.Erasure
	for n := range accountingSteps {
		p, at := int32(chance.IntN(2)), int64(chance.IntN(2))<<40+int64(chance.IntN(40))
		run := schemas.Run{Partition: p, First: at, Next: at + 1 + int64(chance.IntN(5))}
		topic := rowTopics[chance.IntN(len(rowTopics))]
		entity := schemas.EntityOf(topic)
		what := ""
		both := func(name string, do func(Accounting) error) {
			what = fmt.Sprintf("step %d, %s %v of %s", n, name, run, topic)
			if err := do(real); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if err := do(twin); err != nil {
				t.Fatalf("%s: the twin: %v", what, err)
			}
		}
		switch k := chance.IntN(15); {
		case k < 4:
			insert := insertingAt(topic, run)
			inserted = append(inserted, insert)
			both("insert", func(a Accounting) error { return insert(ctx, a) })
		case k == 4 && len(inserted) > 0: // the same once more, whatever was lost since
			again := inserted[chance.IntN(len(inserted)):]
			both("insert again", func(a Accounting) (err error) {
				for _, insert := range again {
					err = errors.Join(err, insert(ctx, a))
				}
				return err
			})
		case k == 5:
			letter := schemas.DeadLetter{Topic: topic, Partition: p, Offset: run.First, Next: run.Next}
			both("dead letter", func(a Accounting) error { return a.RecordDeadLetters(ctx, []schemas.DeadLetter{letter}) })
		case k == 6:
			run.Next += int64(chance.IntN(2)) << 20 // blocks of positions
			void := schemas.Void{Topic: topic, Partition: p, First: run.First, Next: run.Next}
			both("void", func(a Accounting) error { return a.RecordVoids(ctx, []schemas.Void{void}) })
		case k == 7:
			both("write off", func(a Accounting) error { return a.WriteOff(ctx, topic, []schemas.Run{run}) })
		case k == 8:
			year := yearOf(int64(n))
			what = fmt.Sprintf("step %d, lose %d of %s", n, year, topic)
			if err := losses.Year(ctx, entity, year); err != nil {
				t.Fatal(err)
			}
			twin.Drop(topic, func(e *schemas.Interaction) bool { return e.StartedAt.Year() == year })
		case k == 9:
			tenant, before := fmt.Sprint("tenant-", n%3), time.Date(yearOf(int64(n)), 2, 1, 10, 0, 0, 0, time.UTC)
			var aged []int64
			both("age "+tenant, func(a Accounting) error {
				n, err := a.Age(ctx, tenant, entity, before, start)
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
			row := warehouse.ErasedRow{Topic: topic, Partition: p, Offset: r.Offset, TenantID: r.Event.TenantID, ErasureID: "x0", Time: r.Event.StartedAt.Time}
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

// inserting inserts the same rows every time.
type inserting func(ctx context.Context, a Accounting) error

// insertingAt inserts what is at a run of positions of a topic.
func insertingAt(topic schemas.Topic, run schemas.Run) inserting {
	if topic == schemas.TopicInteractions {
		b := rowsAt(run)
		return func(ctx context.Context, a Accounting) error { return a.InsertInteractions(ctx, b) }
	}
	b := contactsAt(run)
	return func(ctx context.Context, a Accounting) error { return a.InsertContacts(ctx, b) }
}

// contactsAt are contacts at a run of positions, as rowsAt are interactions.
func contactsAt(run schemas.Run) schemas.Batch[*schemas.Contact] {
	b := schemas.Batch[*schemas.Contact]{Topic: schemas.TopicContacts, Partition: run.Partition, First: run.First, Next: run.Next}
	for at := run.First; at < run.Next; at++ {
		b.Records = append(b.Records, schemas.Record[*schemas.Contact]{
			Event: &schemas.Contact{
				ContactID: []string{"ann", "bob", "cy"}[at/3%3], TenantID: fmt.Sprint("tenant-", at%3),
				CreatedAt: schemas.TimeOf(time.Date(yearOf(at), 2, 1, int(at%20), 0, 0, 0, time.UTC)),
			},
			Partition: run.Partition, Offset: at, Time: schemas.TimeOf(start),
		})
	}
	return b
}

// answered is what an Accounting says.
type answered struct {
	tenants [4]bool
	topics  []ofTopic
	erased  []forgotten
}

// ofTopic is what it says of a topic.
type ofTopic struct {
	missing int64
	gaps    []schemas.Run
	account []warehouse.PartitionAccount
	reached map[int32]int64
	aged    [4]schemas.Time
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
	return schemas.Erasure{Request: r, Interactions: schemas.Snapshot{to, to}, Contacts: schemas.Snapshot{to / 2, to}}
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
	var errs []error
	for _, topic := range rowTopics {
		var of ofTopic
		var err error
		of.missing, err = a.Missing(ctx, topic, used)
		errs = append(errs, err)
		of.gaps, _, err = a.Gaps(ctx, topic, used, 1000)
		errs = append(errs, err)
		of.account, err = a.Account(ctx, topic, used)
		errs = append(errs, err)
		of.reached, err = a.Reached(ctx, topic)
		errs = append(errs, err)
		of.gaps = slices.Clip(append([]schemas.Run{}, of.gaps...))
		for i := range of.aged {
			of.aged[i], err = a.AgedBefore(ctx, fmt.Sprint("tenant-", i), schemas.EntityOf(topic))
			errs = append(errs, err)
		}
		all.topics = append(all.topics, of)
	}
	for i := range all.tenants {
		var err error
		all.tenants[i], err = a.HasTenant(ctx, fmt.Sprint("tenant-", i))
		errs = append(errs, err)
	}
	for _, e := range erasures {
		var x forgotten
		err := a.ErasedSubjects(ctx, e, func(some []*schemas.ErasedSubject) error {
			for _, s := range some {
				x.subjects = append(x.subjects, fmt.Sprint(s.Key(), s.Interactions, s.Contacts))
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
