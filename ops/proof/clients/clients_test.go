package clients

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestOtherPeoplesClients(t *testing.T) {
	d := newDesk(t)
	t.Run("PublishWhatIsExported", d.publish)
	d.fill(t)
	t.Run("FetchWhatIsStored", d.fetch)
	t.Run("OpenWhatTheTableSays", d.open)
}

// anInteraction is one in the text of a block.
var anInteraction = regexp.MustCompile(`\{"interaction_id".*?\}`)

// publish runs the blocks that publish, and compares what the exports they ask for hold
// with what stands in the blocks.
func (d *desk) publish(t *testing.T) {
	for _, b := range chapter(t, "Publish") {
		t.Run(b.section, func(t *testing.T) {
			d.need(t, b)
			want := anInteraction.FindAllString(b.text, -1)
			if len(want) != 2 {
				t.Fatalf("the block holds %d interactions", len(want))
			}
			d.run(t, b.text)
			id := strings.ToLower(b.section) // of the export
			if rows := d.await(t, id); rows != len(want) {
				t.Errorf("%d rows of %d", rows, len(want))
			}
			var got []string
			for _, line := range d.lines(t, id) {
				got = append(got, compact(t, line)) // the SDK of CloudEvents writes JSON with blanks
			}
			if !slices.Equal(got, want) {
				t.Errorf("exported is\n%s\npublished was\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func compact(t *testing.T, line string) string {
	t.Helper()
	var out bytes.Buffer
	check(t, json.Compact(&out, []byte(line)))
	return out.String()
}
