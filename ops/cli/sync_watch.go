package cli

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"cdds/pipeline/mirror"
)

// longPoll is how many seconds a server is asked to wait for a run.
const longPoll = 30

// syncMetrics say how a copy does.
type syncMetrics struct {
	number, rows, applied, looked prometheus.Gauge
	failures                      prometheus.Counter
}

func newSyncMetrics(r prometheus.Registerer) *syncMetrics {
	f := promauto.With(r)
	return &syncMetrics{
		number:   f.NewGauge(prometheus.GaugeOpts{Name: "cdds_sync_run_number", Help: "Number of the run that was applied last."}),
		rows:     f.NewGauge(prometheus.GaugeOpts{Name: "cdds_sync_rows", Help: "Rows of the copy."}),
		applied:  f.NewGauge(prometheus.GaugeOpts{Name: "cdds_sync_applied_timestamp_seconds", Help: "When the last run was applied."}),
		looked:   f.NewGauge(prometheus.GaugeOpts{Name: "cdds_sync_current_timestamp_seconds", Help: "When the copy was last known to have every run there is."}),
		failures: f.NewCounter(prometheus.CounterOpts{Name: "cdds_sync_failures_total", Help: "Times runs could not be looked for or applied; it is tried again."}),
	}
}

func (m *syncMetrics) at(p mirror.Position) {
	m.number.Set(float64(p.Number))
	m.rows.Set(float64(p.Rows))
	if !p.AppliedAt.IsZero() {
		m.applied.Set(float64(p.AppliedAt.Unix()))
	}
}

// follow applies runs as they come, until ctx ends or something is wrong that waiting does
// not mend.
func (s *session) follow(ctx context.Context, f syncFlags, follower *mirror.Follower) error {
	registry := prometheus.NewRegistry()
	metrics := newSyncMetrics(registry)
	if f.metrics != "" {
		stop, err := serveMetrics(f.metrics, registry)
		if err != nil {
			return usageError{err}
		}
		defer stop()
	}
	pause := backoff.NewExponentialBackOff()
	pause.MaxInterval = time.Minute
	for {
		_, at, err := follower.Follow(ctx)
		if ctx.Err() != nil {
			return nil // asked to end; the copy is whole
		}
		metrics.at(at)
		wait := f.every
		switch {
		case err == nil:
			pause.Reset()
			metrics.looked.SetToCurrentTime()
		case lasting(err):
			return copying(err)
		default:
			metrics.failures.Inc()
			wait = pause.NextBackOff()
			s.say("%v; trying again in %s", err, wait.Round(time.Second))
		}
		if remote, ok := follower.Feed.(*remoteFeed); ok && err == nil {
			if _, err := remote.c.Chain(ctx, remote.tenant, remote.job, at.Number, longPoll); err == nil {
				continue
			}
			wait = pause.NextBackOff()
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// lasting reports whether waiting does not mend an error.
func lasting(err error) bool {
	code := codeOf(copying(err))
	return code == exitRefused || code == exitUnproven || code == exitUsage
}

// serveMetrics serves metrics until stop is called.
func serveMetrics(address string, registry *prometheus.Registry) (stop func(), err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with Close
	}()
	return func() {
		_ = errors.Join(server.Close())
		<-done
	}, nil
}
