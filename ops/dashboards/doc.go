// Package dashboards has no code: Prometheus rules with their tests, Grafana dashboards,
// and the test that holds both to the metrics there are (ops/docs/metrics.md).
package dashboards
