package consumers_test

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/consumers"
)

func TestTenantsBeyondTheBoundAreCountedTogether(t *testing.T) {
	rows := consumers.NewTenants("rows_total", "Rows.", "state")
	for range 2 {
		for n := range 10 * consumers.MaxTenants {
			rows.Add(fmt.Sprintf("t%d", n), 1, "done")
		}
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(rows)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if got := len(families[0].GetMetric()); got != consumers.MaxTenants+1 {
		t.Errorf("there are %d series", got)
	}
	values, total := map[string]float64{}, 0.0
	for _, m := range families[0].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "tenant" {
				values[l.GetValue()] = m.GetCounter().GetValue()
			}
		}
		total += m.GetCounter().GetValue()
	}
	if values["t0"] != 2 || values[consumers.OtherTenants] != 2*9*consumers.MaxTenants || total != 2*10*consumers.MaxTenants {
		t.Errorf("t0 %v, others %v, all %v", values["t0"], values[consumers.OtherTenants], total)
	}
}

func TestWhatIsRegisteredTwiceIsShared(t *testing.T) {
	reg := prometheus.NewRegistry()
	counter := func() prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "one_total", Help: "One."})
	}
	a, err := consumers.Register(reg, counter())
	if err != nil {
		t.Fatal(err)
	}
	b, err := consumers.Register(reg, counter())
	if err != nil || a != b {
		t.Errorf("the second is another one: %v", err)
	}
	if _, err := consumers.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{Name: "one_total", Help: "Two."})); err == nil {
		t.Error("another metric of the same name was taken")
	}
}
