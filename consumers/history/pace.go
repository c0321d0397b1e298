package history

import (
	"sync"

	"cdds/schemas"
)

// id is an export.
type id struct{ tenant, export string }

// mark is how many events an export was folded from, and how many came since.
type mark struct{ events, since int }

const (
	// stale is the share of its events that the fold of a running export may lack: a
	// fold reads and writes all of them, so doing it for each of n parts costs n squared.
	stale = 64
	// maxMarks bounds what is remembered; forgetting one only makes the next fold early.
	maxMarks = 10_000
)

// pace says when a running export is worth folding again. Whatever is no part's event
// always is, so what it leaves out is never left out for good.
type pace struct {
	mu sync.Mutex
	at map[id]mark
}

func (p *pace) due(of id, arrived []*schemas.ExportStatus) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, known := p.at[of]
	if !known {
		return true
	}
	m.since += len(arrived)
	p.at[of] = m
	for _, e := range arrived {
		if e.State != schemas.Running {
			return true
		}
	}
	return m.since*stale >= m.events
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
		p.at[of] = mark{events: e.Events}
	}
}
