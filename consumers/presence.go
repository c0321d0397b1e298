package consumers

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/schemas"
)

// Presence shows that a role runs where the role itself is in no consumer group: as a
// member of a group that consumes nothing. Whoever describes the group sees how many
// processes run the role, and a process that dies leaves it as it would leave any group.
type Presence struct {
	// Kafka says how to reach the brokers.
	Kafka  []kgo.Opt
	Group  string
	Logger *slog.Logger
}

// Run is a member until ctx ends. It never fails: a role works whether or not it is seen.
func (p Presence) Run(ctx context.Context) error {
	const joined = string(schemas.TopicJobs) // a group needs a topic, and this one is small
	client, err := kgo.NewClient(append(append([]kgo.Opt{}, p.Kafka...),
		kgo.ConsumerGroup(p.Group), kgo.ConsumeTopics(joined), kgo.DisableAutoCommit())...)
	if err != nil {
		return fmt.Errorf("consumers: Kafka client: %w", err)
	}
	defer client.Close()
	client.PauseFetchTopics(joined)
	var logged everySoOften
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return nil
		}
		fetches.EachError(func(_ string, _ int32, err error) {
			if logged.now() {
				p.Logger.Warn("the role runs, but cannot show it to `cdds doctor`", "group", p.Group, "error", err)
			}
		})
	}
}
