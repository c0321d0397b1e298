package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"cdds/ops/metrics"
)

// Run prepares, then runs the roles until ctx ends or one fails, lets work in hand drain,
// and closes everything. It returns nil when ctx ends the roles, and ctx's error when ctx
// ends before they begin.
//
// When ctx ends, /readyz fails first and the web role goes on serving for
// web.shutdown_delay, so that a load balancer can take it out. Then the roles end. The
// metrics listener answers until they have.
func (a *App) Run(ctx context.Context) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go func() {
		select {
		case <-ctx.Done():
		case <-working.Done():
			return
		}
		a.stopping.Store(true)
		if a.web != nil && a.running.Load() {
			select {
			case <-time.After(a.Config.Web.ShutdownDelay):
			case <-working.Done(): // a role failed meanwhile
			}
		}
		stop()
	}()
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	var failed error
	served := make(chan struct{})
	go func() {
		defer close(served)
		failed = metrics.Server{Gatherer: a.Registry, Ready: a.Ready}.Serve(serving, a.listener)
	}()

	group, groupCtx := errgroup.WithContext(working)
	group.Go(func() error {
		select {
		case <-served:
			return failed
		case <-groupCtx.Done():
			return nil
		}
	})
	group.Go(func() error { return a.begin(groupCtx, group) })
	group.Go(func() error { a.asks(groupCtx); return nil })
	err := group.Wait()
	stopServing()
	<-served
	return errors.Join(err, a.Close())
}

// begin prepares and starts the roles in group.
func (a *App) begin(ctx context.Context, group *errgroup.Group) error {
	if a.Prepare != nil {
		if err := a.Prepare(ctx); err != nil {
			return err
		}
	}
	a.running.Store(true)
	for _, r := range a.roles {
		group.Go(func() error {
			if err := r.run(ctx); err != nil {
				return fmt.Errorf("role %s: %w", r.name, err)
			}
			return nil
		})
	}
	a.Logger.Info("running", "roles", strings.Join(a.Options.Roles, ","), "metrics", "http://"+a.MetricsAddr())
	return nil
}

// Ready says, by name, which service or role is not ready and why. It asks the services
// that this process' roles need.
func (a *App) Ready(ctx context.Context) map[string]string {
	if a.stopping.Load() {
		return map[string]string{"process": "stopping"}
	}
	checks := a.services()
	for _, r := range a.roles {
		checks[r.name] = func(context.Context) error { return r.ready() }
	}
	type result struct {
		name string
		err  error
	}
	results := make(chan result, len(checks))
	for name, check := range checks {
		go func() { results <- result{name, check(ctx)} }()
	}
	problems := map[string]string{}
	for range checks {
		if r := <-results; r.err != nil {
			problems[r.name] = r.err.Error()
		}
	}
	return problems
}
