package history

import (
	"slices"
	"sync"

	"cdds/schemas"
)

// id is an export.
type id struct{ tenant, export string }

// mark is an export as it was folded last, as far as its artifacts need it, and how many events
// came since.
type mark struct {
	export schemas.Export
	since  int
}

const (
	// stale is the share of its events that the fold of a running export may lack: a
	// fold adds up all its parts, so doing it for each of n parts costs n squared.
	stale = 64
	// maxMarks bounds what is remembered; forgetting one only makes the next fold early.
	maxMarks = 10_000
)

// pace says when a running export is worth folding again. Whatever is no part's event
// always is, so what it leaves out is never left out for good.
type pace struct {
	mu sync.Mutex
	at map[id]mark
	// next is where the next batch of a partition begins, unless another replica had the
	// partition meanwhile, or it is read again: then what is remembered may be out of date.
	next map[int32]int64
}

func newPace() *pace { return &pace{at: make(map[id]mark), next: make(map[int32]int64)} }

// follow forgets what was remembered, unless a batch follows the one before.
func (p *pace) follow(b schemas.Batch[*schemas.ExportStatus]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if next, known := p.next[b.Partition]; known && next != b.First {
		clear(p.at)
	}
	p.next[b.Partition] = b.Next
}

// due reports whether an export is to be folded, or else how it was folded last.
func (p *pace) due(of id, arrived []*schemas.ExportStatus) (last schemas.Export, due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, known := p.at[of]
	if !known {
		return last, true
	}
	m.since += len(arrived)
	p.at[of] = m
	return m.export, !allParts(arrived) || m.since*stale >= m.export.Events
}

// allParts reports whether events do nothing but store parts.
func allParts(events []*schemas.ExportStatus) bool {
	return !slices.ContainsFunc(events, func(s *schemas.ExportStatus) bool { return !s.StoresPart() })
}

func (p *pace) folded(exports []schemas.Export) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.at) > maxMarks {
		clear(p.at)
	}
	for _, e := range exports {
		of := id{e.TenantID, e.ExportID}
		if e.State.Ended() {
			delete(p.at, of)
			continue
		}
		p.at[of] = mark{export: schemas.Export{
			TenantID: e.TenantID, ExportID: e.ExportID, UpdatedAt: e.UpdatedAt, Events: e.Events,
			Request: &schemas.ExportRequest{Entity: e.Entity()},
		}}
	}
}
