package export

import (
	"testing"

	"cdds/pipeline"
	"cdds/schemas"
)

// An export that waits goes with the partition, also to the same worker: taken for one that is
// there already, nobody would carry it out.
func TestWhatWaitsForAnOwnerThatIsGoneIsTakenInAnewByTheNext(t *testing.T) {
	q := newQueue(4)
	first, second := &owner{}, &owner{}
	exports := func(o *owner) []*open {
		return []*open{
			{Open: pipeline.Open{TenantID: "acme", ExportID: "waits", Attempt: 1}, owner: o, topic: schemas.TopicInteractions, snapshot: schemas.Snapshot{1}},
			{Open: pipeline.Open{TenantID: "acme", ExportID: "is ready", Attempt: 1}, owner: o},
		}
	}
	for _, e := range exports(first) {
		if !q.add(e) {
			t.Fatalf("%s is there already", e.ExportID)
		}
	}
	for _, e := range q.of(first) { // as own does when the partition goes
		q.remove(e)
	}
	for _, e := range exports(second) {
		if !q.add(e) {
			t.Errorf("%s is still the first owner's", e.ExportID)
		}
	}
}
