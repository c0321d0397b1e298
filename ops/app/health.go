package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"cdds/ops/admin"
	"cdds/ops/connect"
	"cdds/ops/provision"
	"cdds/ops/retention"
	"cdds/schemas"
)

const (
	// healthEvery is how often the web role looks at services and roles, and failingEvery
	// while something fails: people wait for it to end.
	healthEvery  = 10 * time.Second
	failingEvery = 2 * time.Second
	// healthTimeout bounds each check.
	healthTimeout = 5 * time.Second
)

// health is what the web role found when it last looked at services and roles.
type health struct {
	checks []Check

	mu    sync.RWMutex
	found []admin.Finding
	at    schemas.Time
}

// watchesHealth makes the checks that the web role has the rights for.
func (a *App) watchesHealth() *health {
	kafka := kadm.NewClient(a.client)
	checks := []Check{
		{"kafka", "", func(ctx context.Context) (string, error) {
			if err := connect.PingKafka(ctx, a.client); err != nil {
				return "", err
			}
			return schemas.Counted(len(schemas.Topics()), "topic"), provision.TopicsExist(ctx, kafka)
		}},
		{"clickhouse", "", func(ctx context.Context) (string, error) {
			version, err := a.tables.Version(ctx)
			if err != nil {
				return "", err
			}
			return "version " + version, provision.TablesAreCurrent(ctx, a.tables)
		}},
		{"s3", "", func(ctx context.Context) (string, error) {
			return "both buckets exist", provision.BucketsExist(ctx, a.bucket, a.Config.S3)
		}},
		{"retention", "", func(ctx context.Context) (string, error) {
			stop, confirmed, err := retention.Stopped(ctx, a.bucket)
			switch {
			case errors.Is(err, retention.ErrNotStopped):
				return "not stopped", nil
			case err != nil:
				return "", err
			case confirmed:
				return "confirmed: the next sweep goes on", nil
			}
			return "", fmt.Errorf("stopped since %s: bucket and history disagree about %d of %s", stop.At, stop.Exports, schemas.Counted(stop.Compared, "export"))
		}},
	}
	for _, role := range ImpliedRoles(a.Config) {
		checks = append(checks, Watch{Admin: kafka, Offsets: a.offsets}.OfRole(role)...)
	}
	return &health{checks: checks}
}

// run looks at once and then again and again until ctx ends.
func (h *health) run(ctx context.Context) error {
	for {
		every := healthEvery
		if !h.look(ctx) {
			every = failingEvery
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return nil
		}
	}
}

// look asks all checks at once and keeps what they say, the failing ones first. It reports
// whether all is well.
func (h *health) look(ctx context.Context) bool {
	found := make([]admin.Finding, len(h.checks))
	var asked sync.WaitGroup
	for n, c := range h.checks {
		asked.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, healthTimeout)
			defer cancel()
			detail, err := c.Do(ctx)
			found[n] = admin.Finding{Check: c.Name, Healthy: err == nil, Detail: detail}
			switch {
			case errors.Is(err, ErrNotRunning):
				found[n].Detail, found[n].Role = "no process runs this role", c.Role
			case err != nil:
				found[n].Detail = err.Error()
			}
		})
	}
	asked.Wait()
	if ctx.Err() != nil { // what failed, failed because this process ends
		return true
	}
	slices.SortStableFunc(found, func(a, b admin.Finding) int {
		switch {
		case a.Healthy == b.Healthy:
			return 0
		case b.Healthy:
			return -1
		}
		return 1
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.found, h.at = found, schemas.TimeOf(time.Now())
	return found[0].Healthy
}

// last is what the last look found.
func (h *health) last() ([]admin.Finding, schemas.Time) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.found, h.at
}
