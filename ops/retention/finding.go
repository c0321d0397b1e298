package retention

import "time"

// kind is what bucket and history disagree about.
type kind string

const (
	// orphan is of an export that history does not know and that is not, or no longer, to
	// be kept by what the bucket says.
	orphan kind = "orphan"
	// lost is a completed export of which objects are missing.
	lost kind = "lost"
	// leftover has artifacts although it ended without any, as the bucket says too.
	leftover kind = "leftover"
	// ended is completed or under way to history, while the bucket says that nothing of it may stay.
	ended kind = "ended"
	// unproven is left alone: what history says, or does not, is not borne out by the bucket.
	unproven kind = "unproven"
)

var kinds = []kind{orphan, lost, leftover, ended, unproven}

// proven reports whether the bucket's own decision is carried out, so that it is safe
// however many there are.
func (k kind) proven() bool { return k == leftover || k == ended }

// finding is a disagreement about one export.
type finding struct {
	kind           kind
	tenant, export string
	why            string
}

// sightings remembers when disagreements were first seen. A process that starts begins
// anew and replicas do not share it, so neither shortens the wait.
type sightings map[sighting]time.Time

type sighting struct {
	kind           kind
	tenant, export string
}

// maxSightings bounds what is remembered; the rest is for when those are settled.
const maxSightings = 100_000

// note remembers what was found, and forgets what was not if the look was whole.
func (s sightings) note(found []finding, now time.Time, whole bool) {
	still := make(map[sighting]bool, len(found))
	for _, f := range found {
		at := sighting{f.kind, f.tenant, f.export}
		still[at] = true
		if _, seen := s[at]; !seen && len(s) < maxSightings {
			s[at] = now
		}
	}
	for at := range s {
		if whole && !still[at] {
			delete(s, at)
		}
	}
}

// since reports whether a disagreement was seen at or before that time.
func (s sightings) since(f finding, at time.Time) bool {
	first, seen := s[sighting{f.kind, f.tenant, f.export}]
	return seen && !first.After(at)
}
