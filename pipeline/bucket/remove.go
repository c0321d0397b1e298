package bucket

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"cdds/pipeline/answer"
)

// Remove removes the object at key, with all its versions where the bucket keeps them. An
// object that does not exist, or cannot exist, is not an error. What the store keeps by a lock is a
// *LockedError, and no longer visible to readers.
//
// The version that readers see goes last: what is left of an object whose removal broke off is
// still listed.
func (b *Bucket) Remove(ctx context.Context, key string) error {
	kept, err := b.keepsVersions(ctx, key)
	if err != nil {
		return fmt.Errorf("remove %s: %w", key, err)
	}
	if !kept {
		return b.remove(ctx, key, "")
	}
	all, err := b.versionsOf(ctx, key)
	if err != nil {
		return ignoreImpossible(err)
	}
	var locked error
	hidden := false
	for _, v := range all {
		if locked != nil && v.marker { // without it the older version would be seen again
			hidden = hidden || v.latest
			continue
		}
		err := b.remove(ctx, key, v.id)
		if l := (*LockedError)(nil); errors.As(err, &l) {
			locked = err
		} else if err != nil {
			return err
		}
	}
	if locked != nil && !hidden {
		if err := b.remove(ctx, key, ""); err != nil { // leaves a delete marker
			return err
		}
	}
	return locked
}

// remove removes one version, or with "" the object of a bucket that keeps none.
func (b *Bucket) remove(ctx context.Context, key, id string) error {
	err := b.client.RemoveObject(ctx, b.name, key, minio.RemoveObjectOptions{VersionID: id})
	if err == nil {
		return nil
	}
	if m, _ := meaningOf(err); id != "" && m == answer.Refused {
		if locked := b.lockOn(ctx, key, id); locked != nil {
			return fmt.Errorf("remove %s: %w", key, locked)
		}
	}
	err = wrap("remove", key, err)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return ignoreImpossible(err)
}

func isImpossible(err error) bool { return answer.Of(err) == answer.Impossible }

func ignoreImpossible(err error) error {
	if isImpossible(err) {
		return nil
	}
	return err
}

// RemoveAll is Remove of the objects at keys, in any order, a thousand with each request: an export
// can have a hundred thousand, and a request for each takes minutes. What the store did not
// remove so is removed one by one, which says why, and also works where it cannot remove many.
// What a lock keeps does not keep the others from going.
func (b *Bucket) RemoveAll(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	kept, err := b.keepsVersions(ctx, keys[0])
	if err != nil {
		return fmt.Errorf("remove objects: %w", err)
	}
	left := make(map[string]bool, len(keys))
	for _, key := range keys {
		left[key] = true
	}
	gone := func(o removal) { delete(left, o.key) }
	if kept {
		err = b.removeVersions(ctx, keys, gone)
	} else if len(keys) > 1 {
		err = b.removeTogether(ctx, func(yield func(removal) bool) {
			for _, key := range keys {
				if !yield(removal{key: key}) {
					return
				}
			}
		}, gone)
	}
	if err != nil {
		return fmt.Errorf("remove objects: %w", err)
	}
	var first *LockedError
	for _, key := range keys {
		if !left[key] {
			continue
		}
		err := b.Remove(ctx, key)
		if locked := (*LockedError)(nil); errors.As(err, &locked) {
			if first == nil {
				first = &LockedError{Key: locked.Key, Until: locked.Until, More: -1}
			}
			first.More++
		} else if err != nil {
			return err
		}
	}
	if first != nil {
		return first
	}
	return nil
}

// removal is a version to be removed, or with "" the object of a bucket that keeps none.
type removal struct{ key, id string }

// removeTogether removes what the store removes with many others, and calls gone with each that it
// did. Where a delete marker came of it, the bucket keeps versions and nothing is gone.
func (b *Bucket) removeTogether(ctx context.Context, all iter.Seq[removal], gone func(removal)) error {
	objects := func(yield func(minio.ObjectInfo) bool) {
		for o := range all {
			if !yield(minio.ObjectInfo{Key: o.key, VersionID: o.id}) {
				return
			}
		}
	}
	removed, err := b.client.RemoveObjectsWithIter(ctx, b.name, objects, minio.RemoveObjectsOptions{})
	if err != nil {
		return err
	}
	for r := range removed {
		switch {
		case r.Err != nil:
		case r.DeleteMarker && r.ObjectVersionID == "":
			b.versions.saw(r.DeleteMarkerVersionID)
		default:
			gone(removal{r.ObjectName, r.ObjectVersionID})
		}
	}
	return nil
}

// removeVersions removes every version of keys, those that readers see last, and calls gone with
// each key of which none is left.
func (b *Bucket) removeVersions(ctx context.Context, keys []string, gone func(removal)) error {
	wanted := make(map[string]int, len(keys)) // versions that are left
	for _, key := range keys {
		wanted[key] = 0
	}
	var older, latest []removal
	err := b.eachVersion(ctx, commonPrefix(keys), 0, func(v version) bool {
		if _, is := wanted[v.key]; !is {
			return true
		}
		if wanted[v.key]++; v.latest {
			latest = append(latest, removal{v.key, v.id})
		} else {
			older = append(older, removal{v.key, v.id})
		}
		return true
	})
	if err != nil {
		return err
	}
	for key, n := range wanted {
		if n == 0 {
			gone(removal{key: key})
		}
	}
	removed := func(o removal) {
		if wanted[o.key]--; wanted[o.key] == 0 {
			gone(o)
		}
	}
	if err := b.removeTogether(ctx, slices.Values(older), removed); err != nil {
		return err
	}
	// Of a key with an older version that stays, Remove decides.
	last := slices.DeleteFunc(latest, func(o removal) bool { return wanted[o.key] > 1 })
	return b.removeTogether(ctx, slices.Values(last), removed)
}

// commonPrefix is what all keys begin with.
func commonPrefix(keys []string) string {
	prefix := keys[0]
	for _, key := range keys {
		for !strings.HasPrefix(key, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	return prefix
}
