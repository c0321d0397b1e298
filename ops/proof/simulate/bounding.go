package simulate

import (
	"context"
	"strings"

	"cdds/pipeline"
	"cdds/schemas"
)

// mayBeOpen is how many exports a tenant may have open where there is a quota.
const mayBeOpen = 2

// quotas are what tenants may have, as a process knows it; nil: anything.
func (p *process) quotas() *pipeline.Quotas {
	if !p.w.bounded {
		return nil
	}
	return &pipeline.Quotas{
		Of: func(string) pipeline.Quota { return pipeline.Quota{Exports: mayBeOpen} }, Store: objects{p}, Now: p.now,
	}
}

// openOf counts the exports of a tenant that are open.
func (w *world) openOf(tenantID string) int {
	all, err := w.objects.List(context.Background(), pipeline.Reserved+"open/")
	if err != nil {
		w.failf("the open exports cannot be listed: %v", err)
	}
	open := map[string]bool{}
	for _, o := range all {
		if names := strings.Split(o.Key, "/"); len(names) == 5 && names[3] == tenantID {
			open[names[4][:strings.LastIndexByte(names[4], '.')]] = true
		}
	}
	return len(open)
}

// opened notes that an export was opened: a tenant has no more than its quota, but for one that each
// process may have given the last place to at the same moment, and a dead one a moment ago.
func (m *model) opened(key string) {
	names := strings.Split(key, "/")
	if !m.w.bounded || !strings.HasPrefix(key, pipeline.Reserved+"open/") || len(names) != 5 {
		return
	}
	n := m.w.openOf(names[3])
	if n > mayBeOpen+len(m.w.living()) {
		m.w.failf("%s has %d open exports, and may have %d", names[3], n, mayBeOpen)
	}
	if n >= mayBeOpen {
		if m.full == nil {
			m.full = map[string]int{}
		}
		m.full[names[3]] = m.w.steps
	}
}

// refusedForQuota reports whether an export was refused for the tenant's quota, which was used up
// then or since it was requested.
func (w *world) refusedForQuota(x *asked, e schemas.Export) bool {
	if e.State != schemas.Refused || !strings.Contains(e.Reason, "quota: ") {
		return false
	}
	w.coverage["an export is refused for a quota"]++
	if at, was := w.model.full[x.request.TenantID]; !w.bounded || !was || at < 0 {
		w.failf("%s was refused for a quota that was never used up", x.name())
	}
	return true
}
