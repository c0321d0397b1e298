package admin

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"cdds/ops/auth"
	"cdds/pipeline/ledger"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Overview is how the system does, for a tenant or for all of them.
type Overview struct {
	Counts
	// Lag is how many records each source topic has that ingest has not stored yet, of
	// all tenants together.
	Lag map[schemas.Topic]int64
	// Expiring are certificates that end within 30 days, the first first.
	Expiring []schemas.CertificateRef
	// AsOf is when the counts were made. Lag is as of now.
	AsOf schemas.Time
}

// Counts are of everything that is stored, as of a moment ago: the more there is, the longer
// counting takes, and the less often it is done.
type Counts struct {
	ledger.Overview
	// Hours are the interactions that began in each of the last 24 hours that had any,
	// the earliest first.
	Hours []warehouse.HourCount
	// Stored is how much history there is.
	Stored warehouse.Stored
	// at is when they were made.
	at schemas.Time
}

func (s *Service) count(ctx context.Context, tenant string, now schemas.Time) (c Counts, err error) {
	c.at = now
	g, asking := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		c.Overview, err = s.History.Overview(asking, tenant)
		return err
	})
	g.Go(func() (err error) {
		c.Hours, err = s.Rows.Hours(asking, tenant, now)
		return err
	})
	g.Go(func() (err error) {
		c.Stored, err = s.Rows.Stored(asking, tenant)
		return err
	})
	return c, g.Wait()
}

const (
	// countEvery is how often all tenants together are counted although nobody looks.
	countEvery = time.Minute
	// countedLeast is how long those counts serve at least.
	countedLeast = 5 * countEvery
)

// KeepCounting counts all tenants together again and again, until ctx ends; it then returns nil.
// What there is to count grows for as long as the system runs. Whoever looks at all tenants so need
// not wait for it, not even the first time: there are counts of the last minute, or, where counting
// takes longer than three seconds, of twenty times as long as it took.
func (s *Service) KeepCounting(ctx context.Context) error {
	ticks := time.NewTicker(countEvery)
	defer ticks.Stop()
	for {
		if _, err := s.counts(ctx, schemas.AllTenants, schemas.TimeOf(s.Now())); err != nil && ctx.Err() == nil {
			s.Logger.DebugContext(ctx, "all tenants could not be counted", "error", err)
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// counts are of a moment ago.
func (s *Service) counts(ctx context.Context, tenant string, now schemas.Time) (Counts, error) {
	least := time.Duration(0)
	if tenant == schemas.AllTenants {
		least = countedLeast
	}
	return s.counted.get(ctx, tenant, least, func(ctx context.Context) (Counts, error) { return s.count(ctx, tenant, now) })
}

// Overview is how the system does now.
func (h *Handle) Overview(ctx context.Context) (Overview, error) {
	if err := h.reads(auth.Observe); err != nil {
		return Overview{}, err
	}
	now := schemas.TimeOf(h.Now())
	o := Overview{Lag: map[schemas.Topic]int64{}}
	g, asking := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		o.Counts, err = h.counts(asking, h.tenant, now)
		return err
	})
	behind := make([]int64, len(schemas.SourceTopics()))
	for n, topic := range schemas.SourceTopics() {
		g.Go(func() (err error) {
			behind[n], err = h.lag(asking, topic)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return o, err
	}
	o.AsOf = o.at
	for n, topic := range schemas.SourceTopics() {
		o.Lag[topic] = behind[n]
	}
	if h.tenant != schemas.AllTenants && h.who.May(auth.Read) {
		o.Expiring = h.expiring(ctx, now)
	}
	return o, nil
}

// Stored is how many interactions the tenant has, and from when to when.
func (h *Handle) Stored(ctx context.Context) (warehouse.Stored, error) {
	if err := h.reads(auth.Observe); err != nil {
		return warehouse.Stored{}, err
	}
	return h.Rows.Stored(ctx, h.tenant)
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
