package admin

import (
	"context"
	"slices"
	"sync"
	"time"

	"cdds/ops/auth"
	"cdds/pipeline/ledger"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Overview is how the system does, for a tenant or for all of them.
type Overview struct {
	ledger.Overview
	// Hours are the interactions that began in each of the last 24 hours that had any,
	// the earliest first.
	Hours []warehouse.HourCount
	// Lag is how many records each source topic has that ingest has not stored yet, of
	// all tenants together.
	Lag map[schemas.Topic]int64
	// Expiring are certificates that end within 30 days, the first first.
	Expiring []schemas.CertificateRef
	AsOf     schemas.Time
}

// Overview is how the system does now.
func (h *Handle) Overview(ctx context.Context) (Overview, error) {
	if err := h.reads(auth.Observe); err != nil {
		return Overview{}, err
	}
	now := schemas.TimeOf(h.Now())
	o := Overview{Lag: map[schemas.Topic]int64{}, AsOf: now}
	var err error
	if o.Overview, err = h.History.Overview(ctx, h.tenant); err != nil {
		return o, err
	}
	if o.Hours, err = h.Rows.Hours(ctx, h.tenant, now); err != nil {
		return o, err
	}
	for _, topic := range schemas.SourceTopics() {
		if o.Lag[topic], err = h.lag(ctx, topic); err != nil {
			return o, err
		}
	}
	if h.tenant != schemas.AllTenants && h.who.May(auth.Read) {
		o.Expiring = h.expiring(ctx, now)
	}
	return o, nil
}

// lagTimeout keeps a broker that does not answer from holding up a page.
const lagTimeout = 5 * time.Second

func (h *Handle) lag(ctx context.Context, topic schemas.Topic) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	end, err := h.Positions.EndOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	done, err := h.Positions.Ingested(ctx, topic)
	if err != nil {
		return 0, err
	}
	var behind int64
	for p := range end {
		if p < len(done) {
			behind += max(0, end[p]-done[p])
		} else {
			behind += end[p]
		}
	}
	return behind, nil
}

// tenantList is the last answer to which tenants there are: it reads a column of
// whole tables.
type tenantList struct {
	mu   sync.Mutex
	all  []string
	read time.Time
}

const (
	tenantsKept = 30 * time.Second
	maxTenants  = 1000
)

// Tenants lists the tenants the principal sees: those that have history, at most 1000, and
// those that were set up and wait for their first.
func (s *Service) Tenants(ctx context.Context, p auth.Principal) ([]string, error) {
	if !p.May(auth.Observe) {
		return nil, auth.ErrForbidden
	}
	if p.Tenant != schemas.AllTenants {
		return []string{p.Tenant}, nil
	}
	have, err := s.haveHistory(ctx)
	if err != nil {
		return nil, err
	}
	all := slices.Concat(have, s.Definitions.Tenants())
	for _, u := range s.Directory.Users(schemas.AllTenants) {
		if u.TenantID != schemas.AllTenants {
			all = append(all, u.TenantID)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func (s *Service) haveHistory(ctx context.Context) ([]string, error) {
	s.tenants.mu.Lock()
	defer s.tenants.mu.Unlock()
	if now := s.Now(); s.tenants.read.IsZero() || now.Sub(s.tenants.read) > tenantsKept {
		all, err := s.Rows.Tenants(ctx, maxTenants)
		if err != nil {
			return nil, err
		}
		exported, err := s.History.Tenants(ctx, maxTenants)
		if err != nil {
			return nil, err
		}
		if all = append(all, exported...); len(all) == 0 { // whoever waits for the first looks again
			return nil, nil
		}
		s.tenants.all, s.tenants.read = all, now
	}
	return s.tenants.all, nil
}
