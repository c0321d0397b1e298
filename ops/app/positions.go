package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/consumers"
	"cdds/ops/connect"
	"cdds/pipeline"
	"cdds/schemas"
)

// settles makes what all roles take positions from.
func (a *App) settles() error {
	incarnations := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "cdds_topic_incarnation", Help: "How often a topic was replaced or lost records since CDDS found it first.",
	}, []string{"topic"})
	if err := a.Registry.Register(incarnations); err != nil {
		return err
	}
	a.settler = consumers.NewSettler(consumers.SettlerOptions{
		Brokers: consumers.Kafka(a.client), Decisions: pipeline.Incarnations{Store: a.bucket}, Stored: a.stored,
		Settled: func(topic schemas.Topic, l schemas.Lineage) {
			incarnations.WithLabelValues(string(topic)).Set(float64(len(l) - 1))
		},
		Decided: a.announce, Name: a.Name, Logger: a.Logger,
	})
	a.offsets = connect.NewOffsets(consumers.Kafka(a.client), a.settler)
	return nil
}

// stored is how far ClickHouse has a topic.
func (a *App) stored(ctx context.Context, topic schemas.Topic) (map[int32]int64, error) {
	if topic == schemas.TopicExportStatus || slices.Contains(schemas.SourceTopics(), topic) {
		return a.warehouse.Reached(ctx, topic)
	}
	return nil, nil
}

// announce puts on record that a topic is not the one that was read before.
func (a *App) announce(ctx context.Context, i schemas.Incarnation) {
	what := "the topic was deleted and made again, or this is another Kafka"
	if i.Cause == schemas.IncarnationTruncated {
		what = "the topic's log lost records"
	}
	err := a.publisher.Publish(ctx, &schemas.AuditRecord{
		AuditID: fmt.Sprintf("incarnation/%s/%d", i.Topic, i.Number), Time: i.DecidedAt, TenantID: schemas.AllTenants,
		Actor: i.DecidedBy, From: i.DecidedBy, Action: "topic." + i.Cause, Subject: string(i.Topic), Outcome: schemas.OutcomeDone,
		Detail: fmt.Sprintf("%s; its records have new positions from incarnation %d on", what, i.Number),
	})
	if err != nil {
		a.Logger.Warn("a new incarnation of a topic is not in the audit trail", "topic", i.Topic, "incarnation", i.Number, "error", err)
	}
}

const (
	// healEvery is how often ingest and history look for records that ClickHouse has lost.
	healEvery = 15 * time.Second
	// healRetry is the pause after a look that failed, or that found some.
	healRetry = time.Second
	// gapsAtOnce bounds the runs of records that one look reads again.
	gapsAtOnce = 1000
)

// rereader is a consumers.Group, whatever its events are.
type rereader interface {
	Reread(ctx context.Context, runs []schemas.Run) (handled int, err error)
}

// healer is the part of ingest and history that reads records again which ClickHouse has
// lost, as far as Kafka still has them: after a restore of an older backup, a lost volume, a
// dropped month. group is the id of the consumer group that stored them.
func (a *App) healer(name, group string, topic schemas.Topic, r rereader) role {
	log := a.Logger.With("role", name, "topic", string(topic))
	return role{name + "." + string(topic), func(ctx context.Context) error {
		for {
			pause := healEvery
			missing, handled, err := a.heal(ctx, group, topic, r)
			if missing || err != nil {
				pause = healRetry
			}
			switch {
			case err != nil && ctx.Err() == nil:
				log.Warn("cannot look for records that ClickHouse has lost; retrying", "error", err)
			case handled > 0:
				log.Warn("ClickHouse had lost records; they were read from Kafka again", "records", handled)
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return nil
			}
		}
	}, func() error { return nil }}
}

// heal reads again what is missing below the committed positions and Kafka still has, and
// returns whether there was any.
func (a *App) heal(ctx context.Context, group string, topic schemas.Topic, r rereader) (missing bool, handled int, err error) {
	// Positions first: what is committed then is stored by the time it is looked for.
	done, err := a.offsets.Handled(ctx, group, topic)
	if err != nil {
		return false, 0, err
	}
	present, err := a.offsets.Present(ctx, topic, done)
	if err != nil {
		return false, 0, err
	}
	gaps, _, err := a.warehouse.Gaps(ctx, topic, present, gapsAtOnce)
	if err != nil || len(gaps) == 0 {
		return false, 0, err
	}
	handled, err = r.Reread(ctx, gaps)
	return true, handled, err
}
