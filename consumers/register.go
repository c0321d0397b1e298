package consumers

import (
	"errors"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Register registers c, or returns the collector of the same name that is registered
// already: every Group and handler of a process shares one set. Its error is the
// registry's.
func Register[C prometheus.Collector](reg prometheus.Registerer, c C) (C, error) {
	err := reg.Register(c)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if same, ok := already.ExistingCollector.(C); ok {
			return same, nil
		}
	}
	return c, err
}

const (
	// MaxTenants is how many tenants a process names in the labels of one metric.
	MaxTenants = 100
	// OtherTenants is the label of all the rest. No tenant can have this id.
	OtherTenants = "~other"
)

// Tenants is a counter with a tenant label that never has more than MaxTenants+1
// values for each combination of the others: the first tenants that are counted are
// named, the rest are counted together as OtherTenants. Anybody who may produce can
// invent tenants; nobody can make a process hold series without end.
type Tenants struct {
	counter *prometheus.CounterVec

	mu    sync.Mutex
	named map[string]string
}

// NewTenants makes the counter; labels come after tenant. The caller registers it.
func NewTenants(name, help string, labels ...string) *Tenants {
	return &Tenants{
		counter: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"tenant"}, labels...)),
		named:   map[string]string{},
	}
}

// Add counts n for a tenant, with the values of the other labels.
func (t *Tenants) Add(tenant string, n float64, values ...string) {
	t.counter.WithLabelValues(append([]string{t.label(tenant)}, values...)...).Add(n)
}

func (t *Tenants) label(tenant string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	name, known := t.named[tenant]
	if !known {
		if len(t.named) >= MaxTenants {
			return OtherTenants
		}
		name = strings.Clone(tenant) // it may share the memory of a whole fetch
		t.named[name] = name
	}
	return name
}

// Describe implements prometheus.Collector.
func (t *Tenants) Describe(ch chan<- *prometheus.Desc) { t.counter.Describe(ch) }

// Collect implements prometheus.Collector.
func (t *Tenants) Collect(ch chan<- prometheus.Metric) { t.counter.Collect(ch) }
