package consumers

import (
	"fmt"
	"testing"

	"cdds/schemas"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestTheRequestOfAnExportIsFoundBeforeAnOffset(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, string(schemas.TopicExportRequests)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	brokers := []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
	client, err := kgo.NewClient(append(brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	produce := func(partition int32, values ...string) {
		t.Helper()
		for _, v := range values {
			r := &kgo.Record{Topic: string(schemas.TopicExportRequests), Partition: partition, Value: []byte(v)}
			if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	ask := func(tenant, export string, split int) string {
		return fmt.Sprintf(`{"tenant_id":%q,"export_id":%q,"entity":"interaction","split_size":%d}`, tenant, export, split)
	}
	produce(1, ask("acme", "e", 9)) // another partition is another order
	produce(0,
		ask("acme", "e", 1), ask("globex", "e", 2), "{", ask("acme", "f", 3), ask("acme", "e", 4), // 0 to 4
		`{"action":"retry","tenant_id":"acme","export_id":"e"}`, // 5
		ask("acme", "e", 6))
	cluster, err := NewCluster(brokers, brokers)
	if err != nil {
		t.Fatal(err)
	}
	q := Requests{Cluster: cluster, Brokers: Kafka(client)}
	find := func(end int64, tenant, export string) int64 {
		t.Helper()
		r, err := q.Earlier(t.Context(), 0, end, tenant, export)
		if err != nil {
			t.Fatal(err)
		}
		if r == nil {
			return 0
		}
		return r.SplitSize
	}
	for _, c := range []struct {
		end            int64
		tenant, export string
		want           int64
	}{
		{5, "acme", "e", 4}, {4, "acme", "e", 1}, {0, "acme", "e", 0}, {6, "acme", "e", 4},
		{5, "globex", "e", 2}, {5, "acme", "f", 3}, {5, "globex", "f", 0},
	} {
		if got := find(c.end, c.tenant, c.export); got != c.want {
			t.Errorf("before %d, %s/%s: the one with split size %d, want %d", c.end, c.tenant, c.export, got, c.want)
		}
	}
	if err := c.DeleteRecords(string(schemas.TopicExportRequests), 0, 4); err != nil {
		t.Fatal(err)
	}
	if got := find(4, "acme", "e"); got != 0 {
		t.Errorf("found the one with split size %d that retention removed", got)
	}
	if got := find(5, "acme", "e"); got != 4 {
		t.Errorf("found the one with split size %d after retention, want 4", got)
	}
}
