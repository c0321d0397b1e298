package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"cdds/schemas"
)

// Quota limits the exports of a tenant. 0 means no limit.
type Quota struct {
	// Exports is how many of them may be open at once: requested and not ended.
	Exports int
	// Bytes is how many sealed bytes those that began on one day, in UTC, may have before no other
	// begins. One that began is always carried out.
	Bytes int64
}

// What a Quota bounds.
const (
	QuotaExports = "exports"
	QuotaBytes   = "bytes"
)

// QuotaUse is how much of a Quota a tenant uses.
type QuotaUse struct {
	Quota
	// Open and Sealed are the exports and bytes that count; 0 where nothing bounds them.
	Open   int
	Sealed int64
	// Resets is when the next day begins, seen from AsOf.
	Resets, AsOf schemas.Time
}

// Exceeded is which bound keeps the tenant from having another export, with the reason; empty
// if none does.
func (u QuotaUse) Exceeded() (bound, reason string) {
	switch {
	case u.Exports > 0 && u.Open >= u.Exports:
		return QuotaExports, fmt.Sprintf("quota: the tenant has %s that did not end, and may have %d at once; request it again when one has ended", schemas.Counted(u.Open, "export"), u.Exports)
	case u.Bytes > 0 && u.Sealed >= u.Bytes:
		return QuotaBytes, fmt.Sprintf("quota: the exports of the tenant that began today have %s, and the limit is %s a day; request it again after %s",
			humanize.IBytes(uint64(u.Sealed)), humanize.IBytes(uint64(u.Bytes)), u.Resets)
	}
	return "", ""
}

// Quotas knows what tenants may have and what they use. Everything it counts is in the bucket
// and in history, so that all processes find the same. Open exports are bounded when a request is
// decided, bytes when an export begins: they are known to history, which may be away.
type Quotas struct {
	// Of is a tenant's quota.
	Of func(tenantID string) Quota
	// Store has the decisions about exports.
	Store Store
	// History counts the sealed bytes of a tenant's exports that began since a time.
	History interface {
		SealedSince(ctx context.Context, tenantID string, since time.Time) (int64, error)
	}
	Now func() time.Time
	// Refused is called for each request that a bound keeps from being accepted.
	Refused func(tenantID, bound string)
}

// QuotaError says that a tenant's quota is used up.
type QuotaError struct {
	QuotaUse
	Reason string
	// After is when it may be worth another try.
	After time.Duration
}

func (e *QuotaError) Error() string { return e.Reason }

// openRetry is after how long it may be worth a try whether another export has ended.
const openRetry = 30 * time.Second

// Bounds reports whether anything bounds a tenant's exports.
func (q *Quotas) Bounds(tenantID string) bool { return q != nil && q.Of(tenantID) != (Quota{}) }

// BoundsBytes reports whether the bytes of a tenant's exports are bounded.
func (q *Quotas) BoundsBytes(tenantID string) bool { return q != nil && q.Of(tenantID).Bytes > 0 }

// Use is how much of its quota a tenant uses now. It asks for what is bounded only.
func (q *Quotas) Use(ctx context.Context, tenantID string) (u QuotaUse, err error) {
	if q == nil {
		return u, nil
	}
	return q.use(ctx, tenantID, "", q.Of(tenantID), q.Now())
}

func (q *Quotas) use(ctx context.Context, tenantID, but string, of Quota, at time.Time) (u QuotaUse, err error) {
	if of == (Quota{}) {
		return u, nil
	}
	today := at.UTC().Truncate(24 * time.Hour)
	u.Quota, u.AsOf, u.Resets = of, schemas.TimeOf(at), schemas.TimeOf(today.Add(24*time.Hour))
	if u.Exports > 0 {
		if u.Open, err = (Decisions{Store: q.Store}).OpenOf(ctx, tenantID, but); err != nil {
			return u, err
		}
	}
	if u.Bytes > 0 {
		u.Sealed, err = q.History.SealedSince(ctx, tenantID, today)
	}
	return u, err
}

// AdmitOpen is a *QuotaError if a tenant may not have another open export now, beside one that it
// takes the place of, or "". It asks the bucket alone: what is decided about requests must not wait
// for history.
func (q *Quotas) AdmitOpen(ctx context.Context, tenantID, instead string) error {
	if q == nil {
		return nil
	}
	return q.admit(ctx, tenantID, instead, Quota{Exports: q.Of(tenantID).Exports}, q.Now())
}

// AdmitBytes is a *QuotaError if the exports of a tenant that began on the day of at have the bytes
// it may have.
func (q *Quotas) AdmitBytes(ctx context.Context, tenantID string, at time.Time) error {
	if q == nil {
		return nil
	}
	return q.admit(ctx, tenantID, "", Quota{Bytes: q.Of(tenantID).Bytes}, at)
}

func (q *Quotas) admit(ctx context.Context, tenantID, but string, of Quota, at time.Time) error {
	u, err := q.use(ctx, tenantID, but, of, at)
	if err != nil {
		return err
	}
	bound, reason := u.Exceeded()
	if bound == "" {
		return nil
	}
	if q.Refused != nil {
		q.Refused(tenantID, bound)
	}
	refused := &QuotaError{QuotaUse: u, Reason: reason, After: openRetry}
	if bound == QuotaBytes {
		refused.After = u.Resets.Sub(u.AsOf.Time)
	}
	return refused
}
