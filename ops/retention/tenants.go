package retention

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/consumers"
)

// holding is what one tenant keeps.
type holding struct{ exports, bytes float64 }

// tenants reports what tenants keep: the consumers.MaxTenants of them that keep most bytes
// by name, and the rest together.
type tenants struct {
	exports, bytes *prometheus.Desc

	mu   sync.Mutex
	last map[string]holding
}

func newTenants() *tenants {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("cdds_tenant_artifacts_"+name, help+" of the tenants that keep most, as of the last pass.", []string{"tenant"}, nil)
	}
	return &tenants{exports: desc("exports", "Exports whose artifacts are kept,"), bytes: desc("bytes", "Sealed bytes of the artifacts that are kept,")}
}

// set replaces all values at once, so that no scrape sees half of them.
func (t *tenants) set(all map[string]holding) {
	told := map[string]holding{}
	for i, name := range slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(cmp.Compare(all[b].bytes, all[a].bytes), cmp.Compare(a, b))
	}) {
		of := all[name]
		if i >= consumers.MaxTenants {
			name = consumers.OtherTenants
		}
		told[name] = holding{told[name].exports + of.exports, told[name].bytes + of.bytes}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = told
}

// Describe implements prometheus.Collector.
func (t *tenants) Describe(ch chan<- *prometheus.Desc) {
	ch <- t.exports
	ch <- t.bytes
}

// Collect implements prometheus.Collector.
func (t *tenants) Collect(ch chan<- prometheus.Metric) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, of := range t.last {
		ch <- prometheus.MustNewConstMetric(t.exports, prometheus.GaugeValue, of.exports, name)
		ch <- prometheus.MustNewConstMetric(t.bytes, prometheus.GaugeValue, of.bytes, name)
	}
}
