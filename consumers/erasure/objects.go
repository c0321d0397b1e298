package erasure

import (
	"context"

	"cdds/schemas"
)

// removeAttachments removes the objects that any erased version refers to, also those
// that another interaction refers to as well: what they hold is to be forgotten.
// Objects outside of the tenant's prefix are never removed. ClickHouse, which alone says where
// they are, may lose rows meanwhile: it has told of all if it lacks none and has as many after.
func (h *Handler) removeAttachments(ctx context.Context, e *schemas.Erasure) error {
	removed := map[string]bool{}
	behind := h.storing(log{schemas.IngestGroup(schemas.TopicInteractions), schemas.TopicInteractions, e.Interactions})
	for {
		if err := h.await(ctx, *e, "ingest", behind); err != nil {
			return err
		}
		told, err := h.eachObject(ctx, *e, func(key string) error {
			if removed[key] {
				return nil
			}
			removed[key] = true
			return h.Objects.Remove(ctx, key)
		})
		if err != nil {
			return err
		}
		lost, err := behind(ctx)
		if err != nil {
			return err
		}
		if lost > 0 {
			continue
		}
		after, err := h.eachObject(ctx, *e, func(string) error { return nil })
		if err != nil {
			return err
		}
		if after == told {
			break
		}
	}
	if len(removed) == 0 {
		return nil
	}
	e.Objects = max(e.Objects, int64(len(removed)))
	return h.History.SaveErasure(ctx, *e) // once the rows are gone nobody can count them
}

// eachObject calls do for each object that any erased version refers to, and returns how many
// versions have attachments.
func (h *Handler) eachObject(ctx context.Context, e schemas.Erasure, do func(key string) error) (versions int, err error) {
	err = h.Rows.ErasableBodies(ctx, e, func(body string) error {
		versions++
		_, attachments, err := schemas.StoredAttachments([]byte(body))
		if err != nil {
			return err
		}
		for _, a := range attachments {
			if a.Object == "" || a.CheckObject(e.Request.TenantID) != nil {
				continue
			}
			if err := do(a.Object); err != nil {
				return err
			}
		}
		return nil
	})
	return versions, err
}
