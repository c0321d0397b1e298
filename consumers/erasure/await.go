package erasure

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// log is a topic and the group that must have stored it up to a snapshot.
type log struct {
	group string
	topic schemas.Topic
	to    schemas.Snapshot
}

// look waits until everything that topics have by now is stored, and says whether the tenant is
// known and what the erasure is about: what exports chose lies below their snapshots, which may be
// later than the erasure's. ClickHouse may lose what it has before it answers: then it is read
// again, and looked at again. It may have it back by then, so that there is nothing is believed
// when it was found twice. Of the erasure's snapshot it leaves what topics have not lost.
func (h *Handler) look(ctx context.Context, e *schemas.Erasure) (known bool, impact warehouse.Impact, err error) {
	for sure := false; ; {
		logs := []log{{topic: schemas.TopicInteractions, to: e.Interactions}, {topic: schemas.TopicContacts, to: e.Contacts}}
		for n, l := range logs {
			end, err := h.Log.EndOffsets(ctx, l.topic)
			if err != nil {
				return false, impact, err
			}
			logs[n] = log{schemas.IngestGroup(l.topic), l.topic, l.to.Joined(end)}
		}
		if err := h.await(ctx, *e, "ingest", h.storing(logs...)); err != nil {
			return false, impact, err
		}
		if e.Interactions, err = h.still(ctx, schemas.TopicInteractions, e.Interactions); err != nil {
			return false, impact, err
		}
		if e.Contacts, err = h.still(ctx, schemas.TopicContacts, e.Contacts); err != nil {
			return false, impact, err
		}
		if known, err = h.Rows.HasTenant(ctx, e.Request.TenantID); err != nil {
			return false, impact, err
		}
		if impact, err = h.Rows.Impact(ctx, *e); err != nil {
			return false, impact, err
		}
		lost, err := h.storing(logs...)(ctx)
		if err != nil || lost == 0 && (sure || known && impact.Versions > 0) {
			return known, impact, err
		}
		sure = lost == 0
	}
}

// behind is how many records a role has not stored, or lost since.
type behind func(ctx context.Context) (int64, error)

// storing counts the records of logs that are not stored.
func (h *Handler) storing(logs ...log) behind {
	return func(ctx context.Context) (all int64, err error) {
		for _, l := range logs {
			n, err := h.behind(ctx, l)
			if err != nil {
				return 0, err
			}
			all += n
		}
		return all, nil
	}
}

// showing counts the status events that are not stored. If all are, it counts the exports of a
// tenant, one at most, that history shows without their last events: events are stored before the
// export that they change is saved, also when history is read again after a loss.
func (h *Handler) showing(tenantID string, events log) behind {
	return func(ctx context.Context) (n int64, err error) {
		if n, err = h.behind(ctx, events); err != nil || n > 0 {
			return n, err
		}
		err = h.History.Unfolded(ctx, tenantID, 1, func(string, string) error { n++; return nil })
		return n, err
	}
}

// await waits until a role is not behind: what it stores later would not be found.
func (h *Handler) await(ctx context.Context, e schemas.Erasure, role string, behind behind) error {
	ctx, cancel := context.WithTimeout(ctx, waitAtMost)
	defer cancel()
	ticker := time.NewTicker(waitPoll)
	defer ticker.Stop()
	told := false
	for {
		left, err := behind(ctx)
		if err != nil {
			return err
		}
		if left == 0 {
			return nil
		}
		if !told {
			told = true
			e.Waiting = fmt.Sprintf("waiting for %s: %s behind", role, schemas.Counted(left, "record"))
			if err := h.History.SaveErasure(ctx, e); err != nil {
				return err
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is %s behind; check the %s role: %w", role, schemas.Counted(left, "record"), role, ctx.Err())
		}
	}
}

// behind is how many records are not stored: not read yet, or lost since, and still in
// Kafka, so that they come.
func (h *Handler) behind(ctx context.Context, l log) (int64, error) {
	to, err := h.still(ctx, l.topic, l.to)
	if err != nil {
		return 0, err
	}
	done, err := h.Log.Handled(ctx, l.group, l.topic)
	if err != nil {
		return 0, err
	}
	if n := to.Behind(done); n > 0 {
		return n, nil
	}
	present, err := h.Log.Present(ctx, l.topic, to)
	if err != nil {
		return 0, err
	}
	return h.Rows.Missing(ctx, l.topic, present)
}

// still is a snapshot without what its topic lost before anybody read it, as far as the log does
// not reach any more: that never comes, and what takes its place was produced later.
func (h *Handler) still(ctx context.Context, topic schemas.Topic, s schemas.Snapshot) (schemas.Snapshot, error) {
	end, err := h.Log.EndOffsets(ctx, topic)
	return below(s, end), err
}

// below is still for a log that ends there.
func below(s, end schemas.Snapshot) schemas.Snapshot {
	s = slices.Clone(s)
	for p := range min(len(s), len(end)) {
		if s[p]&^schemas.MaxOffset == end[p]&^schemas.MaxOffset { // brokers may still answer for a topic that is gone
			s[p] = min(s[p], end[p])
		}
	}
	return s
}
