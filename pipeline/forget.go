package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"cdds/pipeline/bucket"
	"cdds/schemas"
)

const decidedPrefix = Reserved + "decided/"

// noteKey is where an export is on the list of a day.
func noteKey(day time.Time, tenantID, exportID string) string {
	return decidedPrefix + day.UTC().Format(time.DateOnly) + "/" + tenantID + "/" + exportID
}

// note puts an export on the list of those about which something was decided today. It
// comes before the decision, so that none is ever missed by Forget.
func (d Decisions) note(ctx context.Context, tenantID, exportID string) error {
	return d.noteOn(ctx, d.Now(), tenantID, exportID)
}

func (d Decisions) noteOn(ctx context.Context, day time.Time, tenantID, exportID string) error {
	err := d.Store.PutBytes(ctx, noteKey(day, tenantID, exportID), []byte("{}"), schemas.ContentTypeJSON)
	if errors.Is(err, bucket.ErrExists) {
		return nil
	}
	return err
}

// Forget removes all decisions about exports that have no artifact and about which nothing
// was decided since before, at most limit of them, and returns how many there were. Whoever
// reads a message from then must not take it for a new one. It looks only at what was
// decided on days that are over, once, so it costs what it removes.
//
// The acceptance goes last: as long as it is there the id is taken.
func (d Decisions) Forget(ctx context.Context, before time.Time, limit int) (forgotten int, err error) {
	last := before.UTC().Format(time.DateOnly)
	for day, err := range d.Store.Folders(ctx, decidedPrefix) {
		if err != nil {
			return forgotten, err
		}
		if strings.TrimSuffix(strings.TrimPrefix(day, decidedPrefix), "/") >= last {
			break
		}
		notes, err := d.Store.List(ctx, day)
		if err != nil {
			return forgotten, err
		}
		for _, note := range notes {
			if forgotten >= limit {
				return forgotten, nil
			}
			tenantID, exportID, ok := strings.Cut(strings.TrimPrefix(note.Key, day), "/")
			if !ok {
				continue
			}
			gone, err := d.forget(ctx, tenantID, exportID, before)
			if err != nil {
				return forgotten, err
			}
			if gone {
				forgotten++
			}
			if err := d.Store.Remove(ctx, note.Key); err != nil {
				return forgotten, err
			}
		}
	}
	return forgotten, nil
}

// forget removes the decisions about one export, or puts it on a later list.
func (d Decisions) forget(ctx context.Context, tenantID, exportID string, before time.Time) (bool, error) {
	prefix := schemas.ExportPrefix(tenantID, exportID)
	objects, err := d.Store.List(ctx, prefix)
	if err != nil {
		return false, err
	}
	var newest time.Time
	for _, o := range objects {
		if o.Modified.After(newest) {
			newest = o.Modified
		}
		if !isDecision(strings.TrimPrefix(o.Key, prefix)) {
			newest = d.Now()
			break
		}
	}
	if !newest.Before(before) {
		return false, d.noteOn(ctx, newest, tenantID, exportID)
	}
	accepted := prefix + acceptedName
	slices.SortStableFunc(objects, func(a, b bucket.Object) int { return last(a.Key == accepted) - last(b.Key == accepted) })
	for _, o := range objects {
		if err := d.Store.Remove(ctx, o.Key); err != nil {
			return false, err
		}
	}
	return len(objects) > 0, nil
}

func last(is bool) int {
	if is {
		return 1
	}
	return 0
}
