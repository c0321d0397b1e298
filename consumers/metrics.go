package consumers

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/schemas"
)

// groupMetrics are the series of one group.
type groupMetrics struct {
	records, batches, retries, trimmed, resets, commitFailures prometheus.Counter

	deadLetters *prometheus.CounterVec // by code
	handle      prometheus.Observer
	lag         prometheus.Gauge
	lagSeconds  *lagSeconds
}

func newGroupMetrics(reg prometheus.Registerer, group string) (groupMetrics, error) {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	var failed error
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c, err := Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name, Help: help}, append([]string{"group"}, labels...)))
		failed = errors.Join(failed, err)
		return c
	}
	seconds, err := Register(reg, &lagSeconds{desc: prometheus.NewDesc("cdds_consumer_lag_seconds",
		"Age of the oldest record in owned partitions not yet handled; 0 without one.", []string{"group"}, nil)})
	failed = errors.Join(failed, err)
	records := counter("cdds_consumer_records_total", "Records handled or dead-lettered.")
	batches := counter("cdds_consumer_batches_total", "Batches done.")
	retries := counter("cdds_consumer_retries_total", "Failed attempts of a handler or of the dead-letter sink.")
	trimmed := counter("cdds_consumer_trimmed_records_total", "Records the broker deleted before they were read.")
	resets := counter("cdds_consumer_resets_total", "Times a partition went back to an earlier offset because the log lost records.")
	commits := counter("cdds_consumer_commit_failures_total", "Commits refused or timed out.")
	letters := counter("cdds_consumer_dead_letters_total", "Records dead-lettered.", "code")
	handle, err := Register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "cdds_consumer_handle_seconds", Help: "Duration of one call of the handler.",
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 10), NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160}, []string{"group"}))
	failed = errors.Join(failed, err)
	lag, err := Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "cdds_consumer_lag_records", Help: "Records in owned partitions not yet handled."}, []string{"group"}))
	if failed = errors.Join(failed, err); failed != nil {
		return groupMetrics{}, failed
	}
	for _, code := range []string{schemas.CodeTooLarge, schemas.CodeUTF8, schemas.CodeJSON, schemas.CodeEvent} {
		letters.WithLabelValues(group, code) // a series that appears with its first letter hides it from rate()
	}
	return groupMetrics{
		lagSeconds:     seconds,
		records:        records.WithLabelValues(group),
		batches:        batches.WithLabelValues(group),
		retries:        retries.WithLabelValues(group),
		trimmed:        trimmed.WithLabelValues(group),
		resets:         resets.WithLabelValues(group),
		commitFailures: commits.WithLabelValues(group),
		deadLetters:    letters.MustCurryWith(prometheus.Labels{"group": group}),
		handle:         handle.WithLabelValues(group),
		lag:            lag.WithLabelValues(group),
	}, nil
}

// lagSeconds asks the groups of a process when they are asked: an age grows by itself.
type lagSeconds struct {
	desc *prometheus.Desc

	mu  sync.Mutex
	ask map[string][]func() time.Time // by group; zero: not behind
}

// add makes a group one of those that are asked.
func (l *lagSeconds) add(group string, since func() time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ask == nil {
		l.ask = map[string][]func() time.Time{}
	}
	l.ask[group] = append(l.ask[group], since)
}

// Describe implements prometheus.Collector.
func (l *lagSeconds) Describe(ch chan<- *prometheus.Desc) { ch <- l.desc }

// Collect implements prometheus.Collector.
func (l *lagSeconds) Collect(ch chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for group, ask := range l.ask {
		age := 0.0
		for _, since := range ask {
			if at := since(); !at.IsZero() {
				age = max(age, time.Since(at).Seconds())
			}
		}
		ch <- prometheus.MustNewConstMetric(l.desc, prometheus.GaugeValue, age, group)
	}
}
