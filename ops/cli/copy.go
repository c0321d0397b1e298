//go:build !receiver

package cli

import (
	"context"
	"errors"

	"cdds/consumers"
	"cdds/ops/connect"
	"cdds/producers"
	"cdds/schemas"
)

// apply takes a record of a topic.
type apply func(topic schemas.Topic, key, value []byte)

// withCopy runs do once all records of compacted topics, as of now, were applied, and goes on
// applying what comes until do returns. begin is given the replica first, and returns what applies
// its records. do can publish others.
func withCopy(ctx context.Context, services *services, topics []schemas.Topic, begin func(*consumers.Replica) (apply, error), do func(*producers.Publisher) error) error {
	if err := connect.PingKafka(ctx, services.client); err != nil { // sooner than a replica gives up
		return unreachable(err)
	}
	replica, err := consumers.NewReplica(consumers.ReplicaOptions{Kafka: services.kafka, Topics: topics})
	if err != nil {
		return err
	}
	applied, err := begin(replica)
	if err != nil {
		return err
	}
	publisher, err := producers.New(services.kafka, "cdds/cli", nil)
	if err != nil {
		return err
	}
	defer publisher.Close()
	reading, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- replica.Run(reading, applied); close(done) }()
	defer func() {
		stop()
		for range done { // its error, if any, was that nothing began
		}
	}()
	select {
	case <-replica.Started():
	case err := <-done:
		return errors.Join(err, ctx.Err())
	}
	if err := replica.Sync(ctx); err != nil {
		return unreachable(err)
	}
	return do(publisher)
}
