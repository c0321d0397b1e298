package provision

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/ops/config"
	"cdds/schemas"
)

// brokers is a Kafka of n brokers, and what administers it.
func brokers(t *testing.T, n int) *kadm.Client {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(n))
	check(t, err)
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	check(t, err)
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

// A broker may be lost without losing an acknowledged record, unless somebody chose else.
func TestTopicsHaveThreeReplicasAndTwoInSyncByDefault(t *testing.T) {
	admin := brokers(t, 3)
	_, err := Topics(t.Context(), admin, config.Default().Kafka)
	check(t, err)
	for _, topic := range schemas.Topics() {
		described, err := admin.ListTopics(t.Context(), string(topic))
		check(t, err)
		for _, p := range described[string(topic)].Partitions {
			if len(p.Replicas) != 3 {
				t.Errorf("%s/%d has %d replicas", topic, p.Partition, len(p.Replicas))
			}
		}
		configs, err := admin.DescribeTopicConfigs(t.Context(), string(topic))
		check(t, err)
		found := ""
		for _, c := range configs[0].Configs {
			if c.Key == "min.insync.replicas" {
				found = c.MaybeValue()
			}
		}
		if found != "2" {
			t.Errorf("%s: min.insync.replicas is %q", topic, found)
		}
	}
}

func TestTooFewBrokersAreAnErrorThatSaysWhatToDo(t *testing.T) {
	_, err := Topics(t.Context(), brokers(t, 1), config.Default().Kafka)
	if err == nil || !strings.Contains(err.Error(), "CDDS_KAFKA_REPLICATION") {
		t.Errorf("got %v", err)
	}
	c := config.Default().Kafka
	c.Replication = 1
	_, err = Topics(t.Context(), brokers(t, 1), c)
	check(t, err)
}
