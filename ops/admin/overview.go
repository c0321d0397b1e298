package admin

import (
	"context"
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
