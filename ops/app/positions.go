package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/consumers"
	"cdds/consumers/account"
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
		Brokers: consumers.Kafka(a.client), Decisions: pipeline.Incarnations{Store: a.bucket, Copies: a.warehouse}, Stored: a.stored,
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
	if slices.Contains(schemas.SourceTopics(), topic) {
		return a.warehouse.Reached(ctx, topic)
	}
	return nil, nil
}

// announce puts on record that a topic is not the one that was read before.
func (a *App) announce(ctx context.Context, i schemas.Incarnation) {
	action, what := "topic.replace", "the topic was deleted and made again, or this is another Kafka"
	if i.Cause == schemas.IncarnationTruncated {
		action, what = "topic.truncate", "the topic's log lost records"
	}
	err := a.publisher.Publish(ctx, &schemas.AuditRecord{
		AuditID: fmt.Sprintf("incarnation/%s/%d", i.Topic, i.Number), Time: i.DecidedAt, TenantID: schemas.AllTenants,
		Actor: i.DecidedBy, From: i.DecidedBy, Action: action, Subject: string(i.Topic), Outcome: schemas.OutcomeDone,
		Detail: fmt.Sprintf("%s; its records have new positions from incarnation %d on", what, i.Number),
	})
	if err != nil {
		a.Logger.Warn("a new incarnation of a topic is not in the audit trail", "topic", i.Topic, "incarnation", i.Number, "error", err)
	}
}

// healer is the part of ingest and history that reads records again which ClickHouse has
// lost. group is the id of the consumer group that stored them.
func (a *App) healer(name, group string, topic schemas.Topic, r consumers.Rereader) role {
	h := consumers.Healer{GroupID: group, Topic: topic, Group: r, Log: a.offsets, Ledger: a.warehouse, Logger: a.Logger.With("role", name, "topic", string(topic))}
	if slices.Contains(schemas.SourceTopics(), topic) {
		book := account.Book{Log: a.offsets, Store: a.warehouse, Decisions: pipeline.WriteOffs{Store: a.bucket}, Publisher: a.publisher}
		h.Restore = func(ctx context.Context) error { return book.Restore(ctx, topic) }
	}
	return role{name + "." + string(topic), h.Run, func() error { return nil }}
}
