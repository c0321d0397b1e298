package warehouse_test

import (
	"fmt"
	"strings"
	"testing"

	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// What a job or a request may filter by must be what ClickHouse can be asked. Quotes and
// backslashes grow most on their way there.
func TestTheLargestFilterThatIsAcceptedCanBeAsked(t *testing.T) {
	w := open(t)
	for _, text := range []string{"x", "'", "ü", `\`} {
		m := schemas.Match{Attributes: map[string]string{}}
		for n := range 64 {
			name := fmt.Sprintf("%03d", n) + strings.Repeat(text, 253/len(text))
			m.Queues = append(m.Queues, name)
			m.Attributes[name] = strings.Repeat(text, 256/len(text))
		}
		r := schemas.ExportRequest{
			TenantID: "largest", ExportID: "e", Entity: schemas.EntityInteraction, From: from, To: until, Match: m,
			Recipients: []schemas.Recipient{{Fingerprint: strings.Repeat("0", 64)}},
		}
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		q := ofTenant("largest", nil)
		q.Filter.Match = m
		if _, err := w.Extent(t.Context(), q); err != nil {
			t.Errorf("%s: %.300s", text, err)
		}
		if _, err := pipelinetest.Chunks(t.Context(), w, q, 100); err != nil {
			t.Errorf("%s: %.300s", text, err)
		}
		if text == "x" {
			continue
		}
		// One more byte, and it is refused where it is defined.
		m.Attributes["z"] = strings.Repeat("x", 256)
		delete(m.Attributes, m.Queues[0])
		m.Attributes[m.Queues[1]] += "x"
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), "together; the limit is 16384") {
			t.Errorf("%s: got %v", text, err)
		}
	}
}
