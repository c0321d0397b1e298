package webhooks

import (
	"sync"
	"sync/atomic"
)

// pending bounds how many facts wait, so that receivers that do not answer cost bounded
// memory and never hold up those that do.
type pending struct {
	limit   int
	total   atomic.Int64
	mu      sync.Mutex
	tenants map[string]int
}

// enter counts a fact of a tenant in until leave is called. mayWait is false if it is
// one too many.
func (p *pending) enter(tenantID string) (leave func(), mayWait bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tenants[tenantID]++
	total := p.total.Add(1)
	mayWait = int(total) <= p.limit && p.tenants[tenantID] <= max(1, p.limit/4)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.total.Add(-1)
		if p.tenants[tenantID]--; p.tenants[tenantID] == 0 {
			delete(p.tenants, tenantID)
		}
	}, mayWait
}
