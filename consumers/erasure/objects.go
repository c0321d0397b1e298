package erasure

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"cdds/pipeline/answer"
	"cdds/schemas"
)

// removeAttachments removes the objects that any erased version refers to, also those
// that another interaction refers to as well: what they hold is to be forgotten.
// Objects outside of the tenant's prefix are never removed. ClickHouse, which alone says where
// they are, may lose rows meanwhile: it has told of all if it lacks none and has as many after.
func (h *Handler) removeAttachments(ctx context.Context, e *schemas.Erasure) error {
	removed := map[string]bool{}
	kept := keptObjects{}
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
			err := h.Objects.Remove(ctx, key)
			if answer.Of(err) == answer.Locked {
				h.Logger.WarnContext(ctx, "the store keeps an object that an erasure is to remove", "tenant", e.Request.TenantID, "erasure", e.Request.ErasureID, "object", key, "error", err)
				kept.keys, kept.first = append(kept.keys, key), cmp.Or(kept.first, err)
				return nil
			}
			return err
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
	e.Objects = max(e.Objects, int64(len(removed)-len(kept.keys)))
	e.Reason = cmp.Or(kept.reason(), e.Reason)
	return h.History.SaveErasure(ctx, *e) // once the rows are gone nobody can count them
}

// keptObjects are those that the store keeps by locks that are not ours: nobody can remove them now,
// and once the rows are gone nobody knows of them but the report.
type keptObjects struct {
	keys  []string
	first error
}

// keptNamed is how many of them a report names.
const keptNamed = 20

// reason is "" if there are none.
func (k keptObjects) reason() string {
	if len(k.keys) == 0 {
		return ""
	}
	named, more := k.keys, ""
	if n := len(named) - keptNamed; n > 0 {
		named, more = named[:keptNamed], fmt.Sprintf(" and %d more, which the log names", n)
	}
	return fmt.Sprintf("%s of attachments could not be removed (%v); remove once that is lifted: %s%s",
		schemas.Counted(len(k.keys), "object"), k.first, strings.Join(named, ", "), more)
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
