package app_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/ops/app"
	"cdds/ops/stack"
)

// A load balancer sees that a process is about to end before the process stops serving.
func TestReadinessFailsBeforeTheWebStopsServing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.config
	c.Web.ShutdownDelay = 5 * time.Second
	a, err := app.New(app.Options{Config: c, Roles: []string{"web"}, Name: "test", Registry: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	check(t, err)
	w.metrics = "http://" + a.MetricsAddr()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	w.awaitReady(http.StatusOK)
	cancel()
	if told := w.awaitReady(http.StatusServiceUnavailable); !strings.Contains(told, "stopping") {
		t.Errorf("/readyz says %s", told)
	}
	answer, err := http.Get(a.WebURL() + "/console/sign-in")
	check(t, err)
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the web answers %d while it may still be asked", answer.StatusCode)
	}
	check(t, <-done)
}

// People sign in, and programs hand in requests, while ClickHouse hangs.
func TestTheWebIsReadyAndSignsPeopleInWhileClickHouseHangs(t *testing.T) {
	t.Parallel()
	s := newSiteOf(t, []string{"web"})
	s.awaitReady(http.StatusOK)
	s.pause(stack.ClickHouse)
	s.awaitReady(http.StatusOK)
	began := time.Now()
	person := s.browser()
	person.must(200, "POST", "/session", map[string]any{"name": "admin", "password": s.password})
	person.must(200, "GET", "/session", nil)
	person.must(200, "GET", "/users?tenant=*", nil)
	person.must(204, "DELETE", "/session", nil)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("signing in and out took %s", took)
	}
}

func TestEachRoleNeedsItsServicesAndNoOthers(t *testing.T) {
	for _, role := range app.Roles() {
		want := 3
		if role == "web" {
			want = 1
		}
		if got := app.Needs([]string{role}); len(got) != want {
			t.Errorf("%s needs %v", role, got)
		}
	}
	if got := app.Needs([]string{"web", "export"}); len(got) != 3 {
		t.Errorf("web and export need %v", got)
	}
}

// TestAServiceThatRefusesIsAMetricBeforeARoleBegins: a process that waits at its start would
// otherwise say nothing to Prometheus but that it runs.
func TestAServiceThatRefusesIsAMetricBeforeARoleBegins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.config
	c.S3.SecretKey = "that of before it was changed"
	a, err := app.New(app.Options{
		Config: c, Roles: []string{"history"}, Name: "test", Registry: w.registry(), Logger: slog.New(slog.DiscardHandler),
		Prepare: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	})
	check(t, err)
	w.metrics = "http://" + a.MetricsAddr()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	var page string
	w.eventually(func() bool {
		answer, err := http.Get(w.metrics + "/metrics")
		check(t, err)
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		check(t, err)
		page = string(b)
		return strings.Count(page, "\ncdds_service_up{") == 3
	})
	for _, want := range []string{`cdds_service_up{service="kafka"} 1`, `cdds_service_up{service="clickhouse"} 1`, `cdds_service_up{service="s3"} 0`} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("%s is not on the page of metrics", want)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
