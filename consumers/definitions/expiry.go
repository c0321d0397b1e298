package definitions

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/consumers"
)

// expiry reports when recipients' certificates end. It reads them at each scrape, because
// the windows move with time. Certificates that were removed or replaced do not
// count: nothing is sealed for them any more.
type expiry struct {
	of            *Definitions
	now           func() time.Time
	first, counts *prometheus.Desc
}

func newExpiry(of *Definitions, now func() time.Time) expiry {
	return expiry{
		of: of, now: now,
		first: prometheus.NewDesc("cdds_recipient_certificate_expiry_timestamp_seconds",
			"When the first recipient certificate in use of a tenant ends, in Unix time; of the tenants where that is soonest.", []string{"tenant"}, nil),
		counts: prometheus.NewDesc("cdds_recipient_certificates",
			"Recipient certificates in use, by what is left of them: ended, 7d, 30d, 90d (less than that), later.", []string{"left"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (e expiry) Describe(ch chan<- *prometheus.Desc) {
	ch <- e.first
	ch <- e.counts
}

// Collect implements prometheus.Collector.
func (e expiry) Collect(ch chan<- prometheus.Metric) {
	now := e.now()
	counts := map[string]float64{"ended": 0, "7d": 0, "30d": 0, "90d": 0, "later": 0}
	first := map[string]time.Time{}
	e.of.mu.RLock()
	for k, h := range e.of.certificates {
		c := h.value
		if c.Removed || c.ReplacedBy != "" {
			continue
		}
		counts[left(c.NotAfter.Sub(now))]++
		if at, ok := first[k.tenantID]; !ok || c.NotAfter.Before(at) {
			first[k.tenantID] = c.NotAfter.Time
		}
	}
	e.of.mu.RUnlock()
	for window, n := range counts {
		ch <- prometheus.MustNewConstMetric(e.counts, prometheus.GaugeValue, n, window)
	}
	soonest := slices.SortedFunc(maps.Keys(first), func(a, b string) int {
		return cmp.Or(first[a].Compare(first[b]), cmp.Compare(a, b))
	})
	for _, tenant := range soonest[:min(len(soonest), consumers.MaxTenants)] {
		ch <- prometheus.MustNewConstMetric(e.first, prometheus.GaugeValue, float64(first[tenant].Unix()), tenant)
	}
}

// left names the window that a remaining time falls in.
func left(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d <= 0:
		return "ended"
	case d < 7*day:
		return "7d"
	case d < 30*day:
		return "30d"
	case d < 90*day:
		return "90d"
	}
	return "later"
}
