//go:build unix

package export_test

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
	"cdds/schemas/sample"
)

// BenchmarkPolicy says how many times the processor time of an export without a field policy
// one with it takes, from reading to storing. The exports take turns, and the medians are
// compared, so that whatever else the machine does slows all of them.
func BenchmarkPolicy(b *testing.B) {
	var records []schemas.Record[*schemas.Interaction]
	for e := range sample.Interactions(7, 20_000) {
		e.TenantID, e.Attachments = pipelinetest.Tenant, nil
		e.StartedAt = pipelinetest.Everything().Filter.From
		body, err := schemas.Encode(e)
		if err != nil {
			b.Fatal(err)
		}
		e.Body = body
		records = append(records, schemas.Record[*schemas.Interaction]{Event: e, Time: e.StartedAt})
	}
	// The source in memory sorts rows for each question; of sorted ones it makes little work.
	slices.SortFunc(records, func(a, b schemas.Record[*schemas.Interaction]) int {
		return cmp.Compare(a.Event.InteractionID, b.Event.InteractionID)
	})
	for i := range records {
		records[i].Offset = int64(i)
	}
	cases := []struct {
		name   string
		policy *schemas.FieldPolicy
		took   []time.Duration
	}{
		{name: "none"},
		{name: "identifiers", policy: &schemas.FieldPolicy{Preset: schemas.PresetIdentifiers}},
		{name: "identifiers+truncate", policy: &schemas.FieldPolicy{Preset: schemas.PresetIdentifiers, Truncate: map[string]int{"/queue": 2}, Unknown: schemas.UnknownLeaveOut}},
		{name: "personal", policy: &schemas.FieldPolicy{Preset: schemas.PresetPersonal}},
	}
	s := newScene(records...)
	w := s.worker(nil, nil)
	for n := 0; b.Loop(); n++ {
		for i := range cases {
			c := &cases[i]
			r := request(fmt.Sprint("e-", n, "-", i))
			r.SplitSize, r.FieldPolicy = 16<<20, c.policy
			runtime.GC() // what earlier exports left is not this one's
			begin := processorTime()
			if err := s.handle(b.Context(), w, r); err != nil {
				b.Fatal(err)
			}
			c.took = append(c.took, processorTime()-begin)
			if e := schemas.Fold(s.statuses(r.ExportID)...); e.State != schemas.Completed {
				b.Fatalf("%s: it is %s, %+v", c.name, e.State, e.Failure)
			}
		}
	}
	for _, c := range cases {
		b.ReportMetric(median(c.took)/median(cases[0].took), c.name+"/none")
	}
}

// processorTime is what this process used so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail for this process
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(all []time.Duration) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2].Seconds()
}
