package admin

import (
	"sync"

	"cdds/schemas"
)

// recent remembers the requests that were published here last, for the moments until
// history knows them.
type recent struct {
	mu    sync.Mutex
	byID  map[string]*schemas.ExportRequest
	order []string
}

// maxRecent bounds what is remembered; a request is some kilobytes.
const maxRecent = 512

func newRecent() *recent { return &recent{byID: map[string]*schemas.ExportRequest{}} }

func (r *recent) add(e *schemas.ExportRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := e.TenantID + "/" + e.ExportID
	if r.byID[key] == nil {
		r.order = append(r.order, key)
	}
	r.byID[key] = e
	if len(r.order) > maxRecent {
		delete(r.byID, r.order[0])
		r.order = append(r.order[:0:0], r.order[1:]...)
	}
}

func (r *recent) find(tenant, id string) (*schemas.ExportRequest, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.byID[tenant+"/"+id]
	return e, ok
}
