package app_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/consumers"
	"cdds/ops/connect"
	"cdds/pipeline"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// deadLetters reads n records from the dead-letter topic of a topic.
func (w *world) deadLetters(topic schemas.Topic, n int) []*kgo.Record {
	w.t.Helper()
	opts, err := connect.Kafka(w.config.Kafka, "reader", nil)
	check(w.t, err)
	client, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(string(topic.DeadLetter())), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	check(w.t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	var all []*kgo.Record
	for len(all) < n {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			w.t.Fatalf("%d of %d dead letters came", len(all), n)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// stored waits until everything produced to the topic is accounted for, and returns
// how many rows and dead letters that are.
func (w *world) stored(topic schemas.Topic) (rows, letters int64) {
	w.t.Helper()
	offsets := w.offsets()
	end, err := offsets.EndOffsets(w.t.Context(), topic)
	check(w.t, err)
	deadline := time.Now().Add(patience)
	for {
		done, err := offsets.Ingested(w.t.Context(), topic)
		if err == nil && end.Behind(done) == 0 {
			break
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("ingest is %d records behind, error %v", end.Behind(done), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, p := range w.account(topic) {
		if p.Missing != 0 || p.Used != end[p.Partition] {
			w.t.Errorf("the account is %+v, the end %d", p, end[p.Partition])
		}
		rows += p.Stored
		letters += p.DeadLetters
	}
	if rows+letters != end.Records() {
		w.t.Errorf("produced %d, stored %d, dead-lettered %d", end.Records(), rows, letters)
	}
	if n, err := w.warehouse.Overlaps(w.t.Context(), topic); err != nil || n != 0 {
		w.t.Errorf("%d positions are stored as two different rows, %v", n, err)
	}
	return rows, letters
}

// offsets is how far topics have come, as a process of its own sees it.
func (w *world) offsets() *connect.Offsets {
	return connect.NewOffsets(consumers.Kafka(w.client), consumers.NewSettler(consumers.SettlerOptions{
		Brokers: consumers.Kafka(w.client), Decisions: pipeline.Incarnations{Store: w.bucket}, Name: "test",
	}))
}

// account is what became of the records of a topic that ingest has passed.
func (w *world) account(topic schemas.Topic) []warehouse.PartitionAccount {
	w.t.Helper()
	offsets := w.offsets()
	done, err := offsets.Ingested(w.t.Context(), topic)
	check(w.t, err)
	used, err := offsets.Used(w.t.Context(), topic, done)
	check(w.t, err)
	all, err := w.warehouse.Account(w.t.Context(), topic, used)
	check(w.t, err)
	return all
}

// TestProducedIsStoredPlusDeadLettered is the law of ingest: whatever is sent ends as
// a row or as a dead letter with its reason, position and original bytes.
func TestProducedIsStoredPlusDeadLettered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	valid := func(id, more string) string {
		return fmt.Sprintf(`{"interaction_id":%q,"tenant_id":"acme","media_type":"chat","started_at":"2026-09-01T10:00:00.000Z"%s}`, id, more)
	}
	bad := map[string]struct{ value, code string }{
		"not JSON":            {`{"interaction_id":`, schemas.CodeJSON},
		"empty":               {``, schemas.CodeJSON},
		"an array":            {`[]`, schemas.CodeEvent},
		"wrong type":          {valid("w", `,"text":7`), schemas.CodeEvent},
		"unknown media type":  {strings.Replace(valid("m", ""), "chat", "smoke", 1), schemas.CodeEvent},
		"missing id":          {valid("", ""), schemas.CodeEvent},
		"missing tenant":      {strings.Replace(valid("t", ""), "acme", "", 1), schemas.CodeEvent},
		"year 0":              {strings.Replace(valid("y0", ""), "2026", "0000", 1), schemas.CodeEvent},
		"year 9999":           {strings.Replace(valid("y9", ""), "2026", "9999", 1), schemas.CodeEvent},
		"not a time":          {strings.Replace(valid("nt", ""), "2026-09-01T10:00:00.000Z", "yesterday", 1), schemas.CodeEvent},
		"5 MiB":               {valid("big", `,"text":"`+strings.Repeat("x", 5<<20)+`"`), schemas.CodeTooLarge},
		"invalid UTF-8":       {valid("u", ",\"text\":\"\xff\xfe\""), schemas.CodeUTF8},
		"a name twice":        {valid("d", `,"tenant_id":"globex"`), schemas.CodeEvent},
		"another letter case": {valid("c", `,"Tenant_ID":"globex"`), schemas.CodeEvent},
	}
	hostile := valid("hostile", `,"attributes":{"\n\nDROP TABLE interactions\n":"'; DROP TABLE interactions; --","\"quote\\":"\u0000","😀":"🤷","":"x"}`)
	good := []string{
		valid("plain", ""),
		strings.Replace(hostile, `,"":"x"`, "", 1),
		valid("unknown", `,"tenant_extra":{"deep":[1,2,{"x":null}]},"text":""`),
		valid("offset", `,"ended_at":"2026-09-01T12:00:00+02:00"`),
		valid("plain", `,"text":"a later version"`),
		valid("plain", ""), // an exact duplicate is a record like any other
		"\n " + strings.Replace(valid("spaced", ""), ",", ",\n\t", -1) + "\r\n",
	}
	for _, value := range good {
		w.produce(schemas.TopicInteractions, nil, []byte(value))
	}
	for _, c := range bad {
		w.produce(schemas.TopicInteractions, []byte("key"), []byte(c.value))
	}
	w.produce(schemas.TopicInteractions, []byte("key"), []byte(hostile)) // the empty attribute key

	rows, letters := w.stored(schemas.TopicInteractions)
	if rows != int64(len(good)) || letters != int64(len(bad)+1) {
		t.Errorf("%d rows and %d dead letters; want %d and %d", rows, letters, len(good), len(bad)+1)
	}
	byValue := map[string]*kgo.Record{}
	for _, r := range w.deadLetters(schemas.TopicInteractions, len(bad)+1) {
		byValue[string(r.Value)] = r
	}
	for name, c := range bad {
		r, ok := byValue[c.value]
		if !ok {
			t.Errorf("%s: its original bytes are not on the dead-letter topic", name)
			continue
		}
		if header(r, schemas.HeaderCode) != c.code || header(r, schemas.HeaderReason) == "" || header(r, schemas.HeaderTopic) != string(schemas.TopicInteractions) {
			t.Errorf("%s: headers %v; want code %s", name, r.Headers, c.code)
		}
		if _, err := strconv.Atoi(header(r, schemas.HeaderOffset)); err != nil || string(r.Key) != "key" {
			t.Errorf("%s: offset %q, key %q", name, header(r, schemas.HeaderOffset), r.Key)
		}
	}
}
