package app_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/admin"
	"cdds/ops/api"
	"cdds/ops/connect"
	"cdds/schemas"
	"cdds/schemas/sample"
)

// letter puts a record into a topic of dead letters, as an earlier release that could not
// read it did, with what it claims of itself.
func (w *world) letter(topic schemas.Topic, key, value []byte, partition int32, headers map[string]string) admin.LetterPlace {
	w.t.Helper()
	opts, err := connect.Kafka(w.config.Kafka, "letters", nil)
	check(w.t, err)
	client, err := kgo.NewClient(append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	check(w.t, err)
	defer client.Close()
	r := &kgo.Record{Topic: string(topic.DeadLetter()), Key: key, Value: value, Headers: []kgo.RecordHeader{
		{Key: schemas.HeaderReason, Value: []byte("an earlier release could not read it")}, {Key: schemas.HeaderCode, Value: []byte(schemas.CodeEvent)},
		{Key: schemas.HeaderTopic, Value: []byte("cdds.jobs")}, {Key: schemas.HeaderPartition, Value: fmt.Appendf(nil, "%d", partition)}, {Key: schemas.HeaderOffset, Value: []byte("7")},
		{Key: schemas.HeaderTime, Value: []byte("2026-10-05T00:00:00.000Z")},
	}}
	for name, value := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	put, err := client.ProduceSync(w.t.Context(), r).First()
	check(w.t, err)
	return admin.LetterPlace{Partition: put.Partition, Offset: put.Offset}
}

func TestADeadLetterIsPublishedAgainOnceByTwoReplicasAndALoopIsSeen(t *testing.T) {
	t.Parallel()
	a := newSiteOf(t, []string{"ingest", "history", "web"})
	b := a.replica()
	onA := a.as("administrator", "*")
	onB := onA.through(b)
	var value []byte
	for i := range sample.Interactions(3, 1) {
		i.TenantID, i.InteractionID = "acme", "i-mended"
		var err error
		value, err = schemas.Encode(i)
		check(t, err)
	}
	// Everything about the letter but its content is a claim: another topic, a partition that
	// does not exist.
	at := a.letter(schemas.TopicInteractions, []byte("i-mended"), value, 9000, map[string]string{"trace": "kept", schemas.HeaderPublishedAgain: "70000"})
	path := fmt.Sprintf("/letters/cdds.interactions/%d/%d", at.Partition, at.Offset)
	var shown api.WholeLetter
	onB.into(&shown, 200, "GET", path, nil)
	if shown.TenantID != "acme" || shown.About != "interaction i-mended" || shown.Topic != schemas.TopicInteractions || shown.Problem != "" || shown.Published != nil || string(shown.ValueBytes) != string(value) {
		t.Fatalf("shown is %+v", shown)
	}
	for _, who := range []*caller{a.as("administrator", "acme"), a.as("operator", "*"), a.as("viewer", "*")} {
		who.must(403, "GET", path, nil)
		who.must(403, "POST", path+"/publish", map[string]any{"letter_id": shown.LetterID})
	}
	onA.must(404, "GET", fmt.Sprintf("/letters/cdds.interactions/%d/%d", at.Partition, at.Offset+50), nil)
	onA.must(404, "GET", "/letters/cdds.jobs/0/0", nil)
	onA.must(409, "POST", path+"/publish", map[string]any{"letter_id": "another"})

	var group sync.WaitGroup
	var mu sync.Mutex
	answers := map[int]int{}
	for _, c := range []*caller{onA, onB, onA, onB} {
		group.Go(func() {
			status, _, _ := c.send("POST", path+"/publish", map[string]any{"letter_id": shown.LetterID})
			mu.Lock()
			defer mu.Unlock()
			answers[status]++
		})
	}
	group.Wait()
	if answers[200] != 1 || answers[409] != 3 {
		t.Fatalf("four requests at once are answered with %v", answers)
	}
	onB.into(&shown, 200, "GET", path, nil)
	if shown.Published == nil || shown.Published.PublishedAt.IsZero() || shown.Published.By == "" {
		t.Errorf("shown is %+v", shown.Published)
	}
	if rows, letters := a.stored(schemas.TopicInteractions); rows != 1 || letters != 0 {
		t.Errorf("%d rows and %d letters are stored, want one row", rows, letters)
	}

	// What cannot be read is refused here. What an earlier release publishes all the same comes
	// back, and says where it comes from.
	bad := a.letter(schemas.TopicInteractions, nil, []byte("{"), 0, nil)
	var unread api.WholeLetter
	onA.into(&unread, 200, "GET", fmt.Sprintf("/letters/cdds.interactions/%d/%d", bad.Partition, bad.Offset), nil)
	onA.must(409, "POST", fmt.Sprintf("/letters/cdds.interactions/%d/%d/publish", bad.Partition, bad.Offset), map[string]any{"letter_id": unread.LetterID})
	a.produceWith(schemas.TopicInteractions, []byte("{"), map[string]string{schemas.HeaderLetter: unread.LetterID, schemas.HeaderPublishedAgain: "1"})
	a.eventually(func() bool {
		var all api.Listing[admin.DeadLetter]
		onB.into(&all, 200, "GET", "/letters?topic=cdds.interactions", nil)
		for _, l := range all.Items {
			if l.Again == 1 && l.From == unread.LetterID {
				return true
			}
		}
		return false
	})
	trail := string(onA.must(200, "GET", "/audit?limit=100", nil))
	for _, want := range []string{"letters.publish", "interaction i-mended of tenant acme"} {
		if !strings.Contains(trail, want) {
			a.eventually(func() bool { return strings.Contains(string(onA.must(200, "GET", "/audit?limit=100", nil)), want) })
		}
	}
}

// produceWith publishes a record with headers.
func (w *world) produceWith(topic schemas.Topic, value []byte, headers map[string]string) {
	w.t.Helper()
	opts, err := connect.Kafka(w.config.Kafka, "producer", nil)
	check(w.t, err)
	client, err := kgo.NewClient(opts...)
	check(w.t, err)
	defer client.Close()
	r := &kgo.Record{Topic: string(topic), Value: value}
	for name, value := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	check(w.t, client.ProduceSync(w.t.Context(), r).FirstErr())
}
