package export_test

import (
	"fmt"
	"testing"

	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
	"cdds/schemas/sample"
)

// BenchmarkPolicy exports the same rows with and without field policies, from reading to storing.
func BenchmarkPolicy(b *testing.B) {
	var records []schemas.Record[*schemas.Interaction]
	var size int64
	for e := range sample.Interactions(7, 20_000) {
		e.TenantID, e.Attachments = pipelinetest.Tenant, nil
		e.StartedAt = pipelinetest.Everything().Filter.From
		body, err := schemas.Encode(e)
		if err != nil {
			b.Fatal(err)
		}
		e.Body = body
		size += int64(len(body)) + 1
		records = append(records, schemas.Record[*schemas.Interaction]{Event: e, Offset: int64(len(records)), Time: e.StartedAt})
	}
	for _, c := range []struct {
		name   string
		policy *schemas.FieldPolicy
	}{
		{"none", nil}, {"identifiers", &schemas.FieldPolicy{Preset: schemas.PresetIdentifiers}},
		{"identifiers+truncate", &schemas.FieldPolicy{Preset: schemas.PresetIdentifiers, Truncate: map[string]int{"/queue": 2}, Unknown: schemas.UnknownLeaveOut}},
		{"personal", &schemas.FieldPolicy{Preset: schemas.PresetPersonal}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newScene(records...)
			w := s.worker(nil, nil)
			b.SetBytes(size)
			for n := 0; b.Loop(); n++ {
				r := request(fmt.Sprint("e-", n))
				r.SplitSize, r.FieldPolicy = 16<<20, c.policy
				if err := s.handle(b.Context(), w, r); err != nil {
					b.Fatal(err)
				}
			}
			if e := schemas.Fold(s.statuses("e-0")...); e.State != schemas.Completed {
				b.Fatalf("it is %s, %+v", e.State, e.Failure)
			}
		})
	}
}
