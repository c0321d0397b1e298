package app_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/connect"
	"cdds/schemas"
)

// TestOfVersionsInSeveralPartitionsTheOnePublishedLastCounts publishes versions of one
// interaction as two producers do that partition ids differently: the later one lies at a
// far lower offset.
func TestOfVersionsInSeveralPartitionsTheOnePublishedLastCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("ingest", "export", "history")
	opts, err := connect.Kafka(w.config.Kafka, "partitioners", nil)
	check(t, err)
	client, err := kgo.NewClient(append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	check(t, err)
	defer client.Close()
	send := func(partition int32, n int, text string) {
		t.Helper()
		e := interaction("acme", n)
		e.Text = text
		body, err := schemas.Encode(e)
		check(t, err)
		check(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: string(schemas.TopicInteractions), Partition: partition, Value: body}).FirstErr())
	}
	for n := range 20 {
		send(0, 100+n, "filler")
	}
	send(0, 1, "first") // at offset 20
	send(3, 1, "second")
	send(3, 2, "only")
	w.publish(w.request("acme", "scattered"))
	e := w.await("acme", "scattered")
	lines := strings.Join(w.open(e), "\n")
	if e.State != schemas.Completed || e.Done.Rows != 22 || strings.Contains(lines, `"first"`) || !strings.Contains(lines, `"second"`) {
		t.Errorf("it is %s with %d rows, %+v; the later version is there: %t, the earlier one: %t", e.State, e.Done.Rows, e.Failure,
			strings.Contains(lines, `"second"`), strings.Contains(lines, `"first"`))
	}
	send(0, 1, "third") // back where the first was
	send(1, 2, "another")
	w.publish(w.request("acme", "again"))
	e = w.await("acme", "again")
	if lines := strings.Join(w.open(e), "\n"); strings.Contains(lines, `"second"`) || !strings.Contains(lines, `"third"`) || !strings.Contains(lines, `"another"`) {
		t.Errorf("after a third version the lines are\n%s", lines)
	}
}
