package console_test

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cdds/ops/admin"
	"cdds/schemas"
	"cdds/schemas/sample"
)

// mailbox is the dead letters of the desk, and what was published from them.
type mailbox struct {
	desk      *desk
	published []schemas.DeadLetter
}

func (m *mailbox) Latest(_ context.Context, topic schemas.Topic, _ int) ([]admin.DeadLetter, error) {
	return slices.DeleteFunc(slices.Clone(m.desk.letters), func(l admin.DeadLetter) bool { return l.Topic != topic }), nil
}

func (m *mailbox) One(_ context.Context, topic schemas.Topic, at admin.LetterPlace) (admin.DeadLetter, error) {
	for _, l := range m.desk.letters {
		if l.Topic == topic && l.Place == at {
			return l, nil
		}
	}
	return admin.DeadLetter{}, admin.ErrNotFound
}

func (m *mailbox) Publish(_ context.Context, record schemas.DeadLetter) (int32, int64, error) {
	m.published = append(m.published, record)
	return record.Partition, 700, nil
}

func interactionsOf(tenant string, n int) (all []*schemas.Interaction) {
	for i := range sample.Interactions(7, n) {
		i.TenantID = tenant
		all = append(all, i)
	}
	return all
}

// dead is a letter at an offset of partition 0 of its topic of dead letters.
func dead(topic schemas.Topic, offset int64, value []byte, at schemas.Time) admin.DeadLetter {
	record := schemas.DeadLetter{Topic: topic, Partition: 2, Offset: 41, Time: at, Key: []byte("k"), Value: value}
	return admin.DeadLetter{
		LetterID: admin.LetterIDOf(record), Topic: topic, Place: admin.LetterPlace{Offset: offset}, Partition: 2, Offset: 41, Time: at,
		Code: schemas.CodeEvent, Reason: "an earlier release could not read it", Key: "k", Value: admin.Escaped(value), Bytes: int64(len(value)), Record: &record,
	}
}

func header(l schemas.DeadLetter, name string) string {
	for _, h := range l.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

func TestADeadLetterIsPublishedAgainOnceByWhoMay(t *testing.T) {
	d := newDesk(t, "mended", 0, 0)
	d.who.Tenant, d.tenant = schemas.AllTenants, "mended"
	at := schemas.TimeOf(time.Date(2026, 11, 1, 11, 0, 0, 0, time.UTC))
	interaction := interactionsOf("mended", 1)[0]
	value, err := schemas.Encode(interaction)
	check(t, err)
	whole, unread, cut := dead(schemas.TopicInteractions, 0, value, at), dead(schemas.TopicInteractions, 1, []byte(`{"interaction_id":`), at), dead(schemas.TopicInteractions, 2, value[:20], at)
	cut.Cut, cut.Bytes = true, 9<<20
	again := dead(schemas.TopicInteractions, 3, []byte("{"), at)
	again.Again, again.From = 2, whole.LetterID
	d.letters = []admin.DeadLetter{whole, unread, cut, again}

	const path = "/letters/cdds.interactions/0/"
	d.holds("/letters", `href="/console`+path+`0"`, "published again 2 times before")
	d.holds(path+"1", "It cannot be published again:", "would be a dead letter again")
	d.holds(path+"2", "only the beginning of the record, which had 9,437,184 bytes")
	d.holds(path+"3", "It was published again 2 times before", whole.LetterID)
	page := d.holds(path+"0", "Dead letter of interaction "+interaction.InteractionID, "Tenant mended", "becomes the newest version", ">Publish again<")
	form := d.fields(page)
	for offset, letter := range map[int]admin.DeadLetter{1: unread, 2: cut, 3: again} {
		if page := d.send(path+strconv.Itoa(offset), url.Values{"letter_id": {letter.LetterID}}); !strings.Contains(page, "Please fix this:") || len(d.mailbox.published) != 0 {
			t.Errorf("letter %d: %d are published:\n%s", offset, len(d.mailbox.published), page)
		}
	}
	if page := d.send(path+"0", url.Values{"letter_id": {unread.LetterID}}); !strings.Contains(page, "another letter now") || len(d.mailbox.published) != 0 {
		t.Errorf("another letter than was shown is published:\n%s", page)
	}
	for _, who := range []struct{ tenant, role string }{{"mended", schemas.RoleAdministrator}, {schemas.AllTenants, schemas.RoleOperator}, {schemas.AllTenants, schemas.RoleViewer}} {
		d.who.Tenant, d.who.Role = who.tenant, who.role
		if page := d.send(path+"0", form); !strings.Contains(page, "Access denied") || len(d.mailbox.published) != 0 {
			t.Errorf("%v may publish:\n%s", who, page)
		}
	}
	d.who.Tenant, d.who.Role = schemas.AllTenants, schemas.RoleAdministrator
	if to := d.ends(path+"0", form); to != path+"0?done=letter.published" || len(d.mailbox.published) != 1 {
		t.Fatalf("it ends at %q with %+v", to, d.mailbox.published)
	}
	if l := d.mailbox.published[0]; string(l.Value) != string(value) || string(l.Key) != "k" || l.Partition != 2 || header(l, schemas.HeaderLetter) != whole.LetterID || header(l, schemas.HeaderPublishedAgain) != "1" {
		t.Errorf("published is %+v", l)
	}
	d.who.Name, d.who.Subject = "bob", "user/bob" // who had the page open as well
	if page := d.send(path+"0", form); !strings.Contains(page, "ada (user/ada) published it again") || len(d.mailbox.published) != 1 {
		t.Errorf("it is published twice:\n%s", page)
	}
	if page := d.holds(path+"0", "Published again", "by ada (user/ada), to partition 2, offset 700"); strings.Contains(page, "<button class=\"main\"") {
		t.Error("it can be published once more")
	}
	last := d.asked.audit[len(d.asked.audit)-3:]
	if r := last[0]; r.Action != "letters.publish" || r.Outcome != schemas.OutcomeDone && r.Outcome != schemas.OutcomeRefused {
		t.Errorf("the audit trail ends with %+v", last)
	}
}

func TestALetterThatANewerVersionOrAnErasureOvertookIsNotPublishedByAccident(t *testing.T) {
	d := newDesk(t, "overtaken", 0, 0)
	d.who.Tenant, d.tenant = schemas.AllTenants, "overtaken"
	at := schemas.TimeOf(time.Date(2026, 11, 1, 11, 0, 0, 0, time.UTC))
	all := interactionsOf("overtaken", 2)
	for n, interaction := range all {
		value, err := schemas.Encode(interaction)
		check(t, err)
		d.letters = append(d.letters, dead(schemas.TopicInteractions, int64(n), value, at))
	}
	all[0].Text += " and more"
	check(t, d.warehouse.InsertInteractions(t.Context(), schemas.Batch[*schemas.Interaction]{Topic: schemas.TopicInteractions, Records: []schemas.Record[*schemas.Interaction]{
		{Partition: 1, Offset: 9, Time: schemas.TimeOf(at.Add(time.Minute)), Event: all[0]},
	}}))
	request := schemas.ErasureRequest{TenantID: "overtaken", ErasureID: "forget-2", InteractionID: all[1].InteractionID}
	check(t, d.warehouse.RecordSubjects(t.Context(), []*schemas.ErasedSubject{{Request: request, Kind: schemas.ErasedInteraction, SubjectID: all[1].InteractionID, Interactions: schemas.Snapshot{0, 0, 100}}}))

	form := d.fields(d.holds("/letters/cdds.interactions/0/0", "A newer version was published", "Replace the newer version."))
	form.Del("replace_newer")
	if page := d.send("/letters/cdds.interactions/0/0", form); !strings.Contains(page, "would be replaced; confirm that") || len(d.mailbox.published) != 0 {
		t.Errorf("a newer version is replaced by accident:\n%s", page)
	}
	form.Set("replace_newer", "1")
	if d.ends("/letters/cdds.interactions/0/0", form); len(d.mailbox.published) != 1 {
		t.Errorf("published are %+v", d.mailbox.published)
	}
	d.holds("/letters/cdds.interactions/0/1", "It cannot be published again:", "erasure forget-2 erased its subject")
	if page := d.send("/letters/cdds.interactions/0/1", url.Values{"letter_id": {d.letters[1].LetterID}, "replace_newer": {"1"}}); !strings.Contains(page, "forget-2") || len(d.mailbox.published) != 1 {
		t.Errorf("what was erased comes back:\n%s", page)
	}
}

// TestOnlyOtherContentAtAHigherPositionIsNewerThanALetter has producers whose clocks are wrong,
// and a publication that was interrupted after its record had arrived.
func TestOnlyOtherContentAtAHigherPositionIsNewerThanALetter(t *testing.T) {
	d := newDesk(t, "clocks", 0, 0)
	d.who.Tenant, d.tenant = schemas.AllTenants, "clocks"
	at := schemas.TimeOf(time.Date(2026, 11, 1, 11, 0, 0, 0, time.UTC))
	early, late := schemas.TimeOf(at.Add(-24*time.Hour)), schemas.TimeOf(at.Add(24*time.Hour))
	for n, stored := range []struct {
		name      string
		same      bool
		partition int32
		offset    int64
		published schemas.Time
		newer     bool
	}{
		{"a version behind it in the partition, of a clock that is slow", false, 2, 100, early, true},
		{"a version before it in the partition, of a clock that is fast", false, 2, 0, late, false},
		{"a version in another partition, later", false, 1, 0, late, true},
		{"a version in another partition, earlier", false, 1, 900, early, false},
		{"its own copy", true, 2, 100, late, false},
	} {
		interaction := interactionsOf("clocks", n+1)[n]
		value, err := schemas.Encode(interaction)
		check(t, err)
		letter := dead(schemas.TopicInteractions, 7, value, at) // of partition 2
		letter.Place.Offset = int64(n)
		d.letters = append(d.letters, letter)
		if !stored.same {
			interaction.Text += " and more"
			value, err = schemas.Encode(interaction)
			check(t, err)
		}
		published, err := schemas.DecodeInteraction(value)
		check(t, err)
		check(t, d.warehouse.InsertInteractions(t.Context(), schemas.Batch[*schemas.Interaction]{Topic: schemas.TopicInteractions, Records: []schemas.Record[*schemas.Interaction]{
			{Partition: stored.partition, Offset: stored.offset, Time: stored.published, Event: published},
		}}))
		page := d.get("/letters/cdds.interactions/0/" + strconv.Itoa(n))
		if asks := strings.Contains(page, "A newer version was published"); asks != stored.newer || !strings.Contains(page, ">Publish again<") {
			t.Errorf("%s: asks %t, want %t", stored.name, asks, stored.newer)
		}
	}
}
