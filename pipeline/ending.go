package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cdds/pipeline/answer"
	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// ending is the stored decision how an export ended for good.
type ending struct {
	State schemas.State `json:"state"`
	// Reason is of an export that nobody cancelled and that ended so all the same.
	Reason string       `json:"reason,omitempty"`
	At     schemas.Time `json:"at"`
}

// ErrGone says that the export was cancelled, deleted or expired while it was worked
// on: nothing of it may stay.
var ErrGone = errors.New("the export was cancelled, deleted or expired meanwhile")

// End records that the export ended in state, completed, cancelled or deleted, and
// returns the state that counts: the one recorded first. So of a worker that
// completes an export and another that cancels it, one finds out that it is late.
func (d Decisions) End(ctx context.Context, tenantID, exportID string, state schemas.State) (schemas.State, error) {
	return d.EndBecause(ctx, tenantID, exportID, state, "")
}

// EndBecause is End for a reason.
func (d Decisions) EndBecause(ctx context.Context, tenantID, exportID string, state schemas.State, reason string) (schemas.State, error) {
	var end ending
	_, err := once(ctx, d.Store, schemas.ExportPrefix(tenantID, exportID)+endedName, &end, func() (ending, error) {
		return ending{state, reason, schemas.TimeOf(d.Now())}, nil
	})
	return end.State, err
}

// Ended returns the state End recorded, or "". It outlives the artifacts.
func (d Decisions) Ended(ctx context.Context, tenantID, exportID string) (schemas.State, error) {
	state, _, err := d.EndedBecause(ctx, tenantID, exportID)
	return state, err
}

// EndedBecause is Ended with the reason that EndBecause recorded.
func (d Decisions) EndedBecause(ctx context.Context, tenantID, exportID string) (state schemas.State, reason string, err error) {
	var end ending
	_, err = d.read(ctx, schemas.ExportPrefix(tenantID, exportID)+endedName, &end)
	return end.State, end.Reason, err
}

// MarkCancelled records that nothing of the export may stay, for whatever worker has
// it in hand or takes it up again: it was cancelled, deleted or expired.
func (d Decisions) MarkCancelled(ctx context.Context, tenantID, exportID string) error {
	err := d.Store.PutBytes(ctx, schemas.ExportPrefix(tenantID, exportID)+cancelledName, []byte("{}"), schemas.ContentTypeJSON)
	if errors.Is(err, bucket.ErrExists) {
		return nil
	}
	return err
}

// Cancelled reports whether MarkCancelled was called for the export.
func (d Decisions) Cancelled(ctx context.Context, tenantID, exportID string) (bool, error) {
	return d.exists(ctx, schemas.ExportPrefix(tenantID, exportID)+cancelledName)
}

// patience is how long the answer to a request that stores something is waited for after its
// export was ended.
const patience = 5 * time.Second

// answered is ctx for such a request: it ends a while later, if the export was ended, which is
// then the cause. A request that is broken off may have its effect all the same, after whoever
// ended the export has removed what there was; its answer says whether to withdraw. The caller
// calls stop.
func answered(ctx context.Context) (whole context.Context, stop func()) {
	whole, cancel := context.WithCancel(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), ErrGone) {
			select {
			case <-time.After(patience):
			case <-whole.Done():
			}
		}
		cancel()
	})
	return whole, func() { forget(); cancel() }
}

// withdraw removes an object that was stored although the export is gone. Who marks
// the export does so before removing what is there, so either they see this object
// or we see their mark.
func (d Decisions) withdraw(ctx context.Context, x Export, key string) error {
	gone, err := d.Cancelled(ctx, x.Filter.TenantID, x.ID)
	if err != nil || !gone {
		return err
	}
	if err := Unseen(d.Store.Remove(ctx, key)); err != nil {
		return err
	}
	return Permanent(ErrGone)
}

// Unseen is the error of a Remove after which readers see nothing: what the store keeps by a lock
// does no harm to whoever only looks whether it is there.
func Unseen(err error) error {
	if answer.Of(err) == answer.Locked {
		return nil
	}
	return err
}

// KeptError says that the store keeps files of an export by locks that are not ours. The others are
// gone, and readers see none; a sweep removes these once the locks are lifted.
type KeptError struct {
	Files int
	First error
}

func (e *KeptError) Error() string {
	return fmt.Sprintf("%s could not be removed: %v", schemas.Counted(e.Files, "file"), e.First)
}
func (e *KeptError) Unwrap() error { return e.First }

// Discarded is the reason to report for an export whose files were discarded with err, which has
// then no error: it names what the store keeps.
func Discarded(reason string, err error) (string, error) {
	var kept *KeptError
	if errors.As(err, &kept) {
		return reason + "; " + kept.Error(), nil
	}
	return reason, err
}

// Discard removes the artifacts of an export, the manifest first, and leaves the
// documents that say what it is and how it ended. It is a *KeptError if that is all that is left.
func (d Decisions) Discard(ctx context.Context, tenantID, exportID string) error {
	prefix := schemas.ExportPrefix(tenantID, exportID)
	objects, err := d.Store.Remains(ctx, prefix)
	if err != nil {
		return err
	}
	var keys []string
	for _, o := range objects {
		if name := strings.TrimPrefix(o.Key, prefix); name != schemas.SignatureName && name != schemas.ManifestName && !isDecision(name) {
			keys = append(keys, o.Key)
		}
	}
	return RemoveFiles(ctx, d.Store, []string{prefix + schemas.SignatureName, prefix + schemas.ManifestName}, keys)
}

// RemoveFiles removes objects, the first ones one after the other before the rest. It is a
// *KeptError if locks of the store keep some and the others are gone.
func RemoveFiles(ctx context.Context, s interface {
	Remove(ctx context.Context, key string) error
	RemoveAll(ctx context.Context, keys []string) error
}, first, rest []string) error {
	kept := &KeptError{}
	add := func(err error) error {
		locked := (*bucket.LockedError)(nil)
		if !errors.As(err, &locked) {
			return err
		}
		kept.Files += 1 + locked.More
		kept.First = cmp.Or(kept.First, err)
		return nil
	}
	for _, key := range first {
		if err := add(s.Remove(ctx, key)); err != nil {
			return err
		}
	}
	if err := add(s.RemoveAll(ctx, rest)); err != nil {
		return err
	}
	if kept.Files > 0 {
		return kept
	}
	return nil
}
