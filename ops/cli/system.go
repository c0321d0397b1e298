//go:build !receiver

package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"cdds/ops/app"
	"cdds/ops/config"
	"cdds/ops/connect"
	"cdds/ops/metrics"
	"cdds/ops/provision"
)

// system is a set of roles and, where nothing is configured, the stack below them.
type system struct {
	config config.Config
	local  *app.Local // nil where services are configured
	app    *app.App   // nil until it is wired
	up     func() error
}

// start starts the embedded stack where no service is configured, and wires the roles.
// The caller calls run, which waits for the services up to within, or closes.
func (s *session) start(ctx context.Context, c config.Config, roles []string, within time.Duration, log *slog.Logger) (_ *system, err error) {
	sys := &system{config: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, sys.close())
		}
	}()
	if c.Embedded() {
		sys.local, err = app.StartLocal(ctx, s.dataDir, c, log, func(step string) { s.say("%s", step) })
		if errors.Is(err, app.ErrNoStack) {
			return nil, usageError{withHint(err, "set CDDS_KAFKA_BROKERS, CDDS_CLICKHOUSE_ADDR and CDDS_S3_ENDPOINT")}
		}
		if err != nil {
			return nil, unreachable(err)
		}
		sys.config = sys.local.Config
	}
	host, _ := os.Hostname()
	registry := metrics.NewRegistry()
	metrics.Version(registry, buildVersion())
	sys.app, err = app.New(app.Options{
		Config: sys.config, Roles: roles, Name: fmt.Sprintf("%s/%d", host, os.Getpid()),
		Logger: log, Registry: registry, FirstUser: s.firstUser,
		Prepare: func(ctx context.Context) error {
			if err := s.prepare(ctx, sys, roles, within, log); err != nil {
				return err
			}
			return sys.up()
		},
	})
	return sys, err
}

// prepare waits for the services of the roles. Those of the embedded stack are provisioned
// here too; others by `cdds provision`, which may have rights that no role has.
func (s *session) prepare(ctx context.Context, sys *system, roles []string, within time.Duration, log *slog.Logger) error {
	services, err := connectAll(sys.config)
	if err != nil {
		return err
	}
	defer func() { _ = services.close() }()
	if sys.local == nil {
		names := app.Needs(roles)
		if err := connect.Await(ctx, within, services.needed(sys.config, names, true), log); err != nil {
			return notThere(err)
		}
		if !slices.Contains(names, app.S3) {
			return nil
		}
		return fit(provision.Probe(ctx, services.bucket, sys.config)) // it may be another one than provisioning saw
	}
	return s.awaitAndProvision(ctx, services, sys.config, within, log)
}

// awaitAndProvision waits for all services and creates in them what is missing. It waits
// again for a service that goes away in between.
func (s *session) awaitAndProvision(ctx context.Context, services *services, c config.Config, within time.Duration, log *slog.Logger) error {
	for until := time.Now().Add(within); ; {
		if err := connect.Await(ctx, within, services.needed(c, app.AllServices(), false), log); err != nil {
			return notThere(err)
		}
		err := s.provision(ctx, services, c)
		if err == nil || !connect.Away(err) || time.Now().After(until) {
			return err
		}
		log.Warn("a service went away while topics, tables and buckets were created; trying again", "error", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// needed are the services of these names, ready once they answer and, with provisioned,
// hold what this release needs.
func (s *services) needed(c config.Config, names []string, provisioned bool) []connect.Service {
	all := map[string]connect.Service{
		app.Kafka:      {Name: "Kafka", At: c.Kafka.Brokers, Ask: s.client.Ping},
		app.ClickHouse: {Name: "ClickHouse", At: c.ClickHouse.Addr, Ask: s.conn.Ping},
		app.S3: {Name: "S3", At: []string{c.S3.Endpoint}, Ask: func(ctx context.Context) error {
			_, err := s.bucket.Exists(ctx)
			return err
		}},
	}
	holds := map[string]func(context.Context) error{
		app.Kafka:      func(ctx context.Context) error { return provision.TopicsExist(ctx, s.admin) },
		app.ClickHouse: func(ctx context.Context) error { return provision.TablesAreCurrent(ctx, s.tables) },
		app.S3: func(ctx context.Context) error {
			return provision.BucketsExist(ctx, s.bucket, c.S3)
		},
	}
	var services []connect.Service
	for _, name := range names {
		service := all[name]
		if provisioned {
			answers := service.Ask
			service.Ask = func(ctx context.Context) error {
				if err := answers(ctx); err != nil {
					return err
				}
				return holds[name](ctx)
			}
		}
		services = append(services, service)
	}
	return services
}

// notThere adds the ways out to the error of services that did not answer.
func notThere(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if connect.Refuses(err) {
		return usageError{withHint(err, "correct its user, password, rights or certificates: `cdds config print` shows what is configured")}
	}
	return unreachable(withHint(err, "start them, correct their addresses (`cdds config print` shows them), or run `cdds provision`",
		"--startup-timeout says how long to wait for them"))
}

// run runs the roles until ctx ends, or a role or the stack fails for good. It calls up
// when the roles begin.
func (sys *system) run(ctx context.Context, up func() error) error {
	sys.up = up
	if sys.local == nil {
		return sys.app.Run(ctx)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		if err := sys.local.Wait(ctx); err != nil && ctx.Err() == nil {
			stop(err)
		}
	}()
	err := sys.app.Run(ctx)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return errors.Join(err, sys.close())
}

// close gives back what start acquired, also after run.
func (sys *system) close() error {
	var problems []error
	if sys.app != nil {
		problems = append(problems, sys.app.Close())
	}
	if sys.local != nil {
		problems = append(problems, sys.local.Close())
	}
	return errors.Join(problems...)
}
