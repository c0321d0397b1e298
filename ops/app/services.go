package app

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/ops/connect"
	"cdds/ops/provision"
)

// Names of the services, as /readyz has them.
const (
	Kafka      = "kafka"
	ClickHouse = "clickhouse"
	S3         = "s3"
)

// AllServices are the names of all services.
func AllServices() []string { return []string{Kafka, ClickHouse, S3} }

// Needs lists the services without which the roles cannot work. The web role signs people
// in and takes requests with Kafka alone; pages that need another service say so.
func Needs(roles []string) []string {
	for _, role := range roles {
		if role != "web" {
			return AllServices()
		}
	}
	if len(roles) == 0 {
		return nil
	}
	return []string{Kafka}
}

// services are the services that this process' roles need, and how each is asked whether it
// answers.
func (a *App) services() map[string]func(context.Context) error {
	all := map[string]func(context.Context) error{
		Kafka:      func(ctx context.Context) error { return connect.PingKafka(ctx, a.client) },
		ClickHouse: a.tables.Ping,
		S3:         func(ctx context.Context) error { return provision.BucketsExist(ctx, a.bucket, a.Config.S3) },
	}
	needed := map[string]func(context.Context) error{}
	for _, name := range Needs(a.Options.Roles) {
		needed[name] = all[name]
	}
	return needed
}

// How often services are asked for the metric, and how long they have to answer.
const (
	askEvery  = 15 * time.Second
	askWithin = 5 * time.Second
)

// newUp is the metric that says which services answer: what waits for one that is away
// counts nothing, so no other metric tells.
func newUp() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "cdds_service_up", Help: "1 if the service answered when this process last asked, 0 if not.",
	}, []string{"service"})
}

// asks asks the services again and again until ctx ends, each in its own time.
func (a *App) asks(ctx context.Context) {
	var asking sync.WaitGroup
	for name, ask := range a.services() {
		asking.Go(func() {
			for {
				within, cancel := context.WithTimeout(ctx, askWithin)
				err := ask(within)
				cancel()
				if ctx.Err() != nil {
					return
				}
				up := 1.0
				if err != nil {
					up = 0
				}
				a.up.WithLabelValues(name).Set(up)
				select {
				case <-time.After(askEvery):
				case <-ctx.Done():
					return
				}
			}
		})
	}
	asking.Wait()
}
