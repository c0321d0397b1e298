package retention

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/consumers"
)

func TestTheTenantsThatKeepMostAreNamedAndTheRestAddedUp(t *testing.T) {
	told := newTenants()
	reg := prometheus.NewRegistry()
	reg.MustRegister(told)
	// holdings is what the metrics report, by tenant.
	holdings := func() map[string]holding {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]holding{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				name := m.GetLabel()[0].GetValue()
				of := all[name]
				if f.GetName() == "cdds_tenant_artifacts_bytes" {
					of.bytes = m.GetGauge().GetValue()
				} else {
					of.exports = m.GetGauge().GetValue()
				}
				all[name] = of
			}
		}
		return all
	}
	all := map[string]holding{}
	for n := range consumers.MaxTenants + 7 {
		all[fmt.Sprintf("t%03d", n)] = holding{exports: 2, bytes: float64(n)}
	}
	told.set(all)
	got := holdings()
	if len(got) != consumers.MaxTenants+1 || got["t007"] != all["t007"] || got[consumers.OtherTenants] != (holding{14, 0 + 1 + 2 + 3 + 4 + 5 + 6}) {
		t.Errorf("%d tenants are reported, t007 keeps %v, the rest %v", len(got), got["t007"], got[consumers.OtherTenants])
	}
	told.set(map[string]holding{"acme": {3, 70}})
	if got := holdings(); len(got) != 1 || got["acme"] != (holding{3, 70}) {
		t.Errorf("after a pass that found one tenant: %v", got)
	}
}
