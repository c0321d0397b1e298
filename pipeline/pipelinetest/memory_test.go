package pipelinetest_test

import (
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// notes are records of about 50 KB each, which copies under other names make twice as long.
func notes(t *testing.T, n int) []schemas.Record[*schemas.Interaction] {
	t.Helper()
	from := pipelinetest.Everything(int64(n)).Filter.From
	var all []schemas.Record[*schemas.Interaction]
	for i := range n {
		at := schemas.TimeOf(from.Add(time.Duration(i) * time.Second))
		e, err := schemas.DecodeInteraction(fmt.Appendf(nil, `{"interaction_id":"i%03d","tenant_id":%q,"media_type":"chat","started_at":%q,"notes":%q}`,
			i, pipelinetest.Tenant, at, strings.Repeat("a note ", 7_000)))
		check(t, err)
		all = append(all, schemas.Record[*schemas.Interaction]{Event: e, Offset: int64(i), Time: at})
	}
	return all
}

func TestPartsAreMadeSmallEnoughForTheMemoryThereIs(t *testing.T) {
	records := notes(t, 60)
	source := pipelinetest.NewSource(records...)
	cert, key := pair()
	q := pipelinetest.Everything(int64(len(records)))
	for name, change := range map[string]func(*pipeline.Export){
		"a large split size":                func(*pipeline.Export) {},
		"sealed whole":                      func(x *pipeline.Export) { x.Cipher = schemas.CipherGCM },
		"other field names":                 func(x *pipeline.Export) { x.Names = schemas.NamesGenesys },
		"sealed whole, other field names":   func(x *pipeline.Export) { x.Cipher, x.Names = schemas.CipherGCM, schemas.NamesGenesys },
		"other names, and parts of one row": func(x *pipeline.Export) { x.Names, x.SplitSize = schemas.NamesGenesys, 64<<10 },
	} {
		t.Run(name, func(t *testing.T) {
			e := pipeline.New(pipeline.Options{
				Source: source, Store: pipelinetest.NewStore(), Spools: pipeline.NewSpools(2 << 20), Certificate: cert, Key: key, Lifetime: time.Hour, Now: time.Now,
			})
			x := pipeline.Export{ID: "e1", Filter: q.Filter, Snapshot: q.Snapshot, SplitSize: 64 << 20, Recipients: []*x509.Certificate{cert}}
			change(&x)
			plan, err := e.Plan(t.Context(), x)
			check(t, err)
			x.Snapshot, x.Scattered = plan.Snapshot, plan.Scattered
			var rows int64
			for _, part := range plan.Parts {
				r, err := e.Export(t.Context(), x, part)
				if err != nil {
					t.Fatalf("part %d of %d, with %d bytes: %v", part.Number, len(plan.Parts), part.Bytes, err)
				}
				rows += r.Rows
			}
			if rows != int64(len(records)) || len(plan.Parts) < 2 || x.SplitSize > 1<<20 && len(plan.Parts) > 20 {
				t.Errorf("%d rows in %d parts", rows, len(plan.Parts))
			}
		})
	}
}
