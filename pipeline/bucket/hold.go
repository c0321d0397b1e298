package bucket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/tags"

	"cdds/pipeline/answer"
)

// LockedError says that the store keeps an object from being removed, whoever wants it gone.
type LockedError struct {
	Key string
	// Until is when a retention of the store ends; zero is a legal hold, which ends when somebody
	// takes it off.
	Until time.Time
	// More is how many others of a RemoveAll it keeps.
	More int
}

func (e *LockedError) Error() string {
	if e.Until.IsZero() {
		return fmt.Sprintf("the store keeps %s under a legal hold", e.Key)
	}
	return fmt.Sprintf("the store keeps %s until %s (Object Lock)", e.Key, e.Until.UTC().Format(time.RFC3339))
}

// Means is answer.Locked.
func (e *LockedError) Means() answer.Meaning { return answer.Locked }

// lockOn is what locks a version, nil if nothing does or we may not know.
func (b *Bucket) lockOn(ctx context.Context, key, id string) error {
	if on, err := b.legalHold(ctx, key, id); err == nil && on {
		return &LockedError{Key: key}
	}
	mode, until, err := b.client.GetObjectRetention(ctx, b.name, key, id)
	if err == nil && mode != nil && until != nil && until.After(time.Now()) {
		return &LockedError{Key: key, Until: *until}
	}
	return nil
}

// legalHold reports whether a version is under one.
func (b *Bucket) legalHold(ctx context.Context, key, id string) (bool, error) {
	status, err := b.client.GetObjectLegalHold(ctx, b.name, key, minio.GetObjectLegalHoldOptions{VersionID: id})
	if err != nil {
		if unlocked(err) { // nobody ever put one on it
			return false, nil
		}
		return false, wrap("read the legal hold of", key, err)
	}
	return *status == minio.LegalHoldEnabled, nil
}

// locks reports whether the bucket, which has an object at key, has Object Lock.
func (b *Bucket) locks(ctx context.Context, key string) (bool, error) {
	if kept, err := b.keepsVersions(ctx, key); err != nil || !kept { // no locks without versions
		return false, err
	}
	v := b.versions
	v.mu.Lock()
	locks, fresh := v.locks, time.Since(v.lockAsked) < askAgain
	v.mu.Unlock()
	if locks || fresh { // it stays once it is there
		return locks, nil
	}
	retention, err := b.lockConfig(ctx)
	if err != nil {
		return false, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.locks, v.lockAsked = retention != nil, time.Now()
	return v.locks, nil
}

// defaultRetention is what a bucket with Object Lock does to every new object; zero is nothing.
type defaultRetention struct {
	mode string
	days uint
}

// lockConfig is nil for a bucket without Object Lock.
func (b *Bucket) lockConfig(ctx context.Context) (*defaultRetention, error) {
	enabled, mode, validity, unit, err := b.client.GetObjectLockConfig(ctx, b.name)
	switch {
	case err == nil && enabled != "Enabled", unlocked(err), notFound(err):
		return nil, nil
	case err != nil:
		if m, a := meaningOf(err); m == answer.Refused {
			err = &RefusedError{a.StatusCode, a.Code, false}
		} else {
			err = answered(err)
		}
		return nil, fmt.Errorf("read the Object Lock of bucket %s: %w", b.name, err)
	}
	is := &defaultRetention{}
	if mode != nil && validity != nil && unit != nil {
		is.mode, is.days = string(*mode), *validity
		if *unit == minio.Years {
			is.days *= 365
		}
	}
	return is, nil
}

// unlocked reports whether an answer says that a bucket has no Object Lock, or a version no lock.
func unlocked(err error) bool {
	a := minio.ErrorResponse{}
	if !errors.As(err, &a) {
		return false
	}
	switch a.Code {
	case "ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration":
		return true
	}
	return a.StatusCode == http.StatusNotImplemented
}

// notFound reports whether a store has no such configuration of a bucket, or no bucket, which
// whatever is done with it next finds out.
func notFound(err error) bool {
	_, a := meaningOf(err)
	return a.StatusCode == http.StatusNotFound
}

// Hold keeps an object that expires from being removed, or lets it go. Its tag takes it out of what
// ExpireAfter has the store remove, and where the bucket has Object Lock a legal hold on each of
// its versions keeps everybody else from removing it; see Lock. It is safe to repeat and changes
// nothing that is as it should be, and is ErrNotFound if there is no object. Other tags of the
// object are lost. Where the store has no tags it has no such rule, and nothing is to be done.
func (b *Bucket) Hold(ctx context.Context, key string, held bool) error {
	kept, err := b.keepsVersions(ctx, key)
	if err != nil {
		return err
	}
	if !kept {
		return b.tag(ctx, key, "", held)
	}
	// A rule removes older versions by their own tags.
	all, err := b.eachContent(ctx, key, func(id string) error { return b.tag(ctx, key, id, held) })
	if err != nil {
		return err
	}
	return b.lock(ctx, key, all, held)
}

// Lock is Hold of an object that does not expire: the legal hold alone, where the bucket has
// Object Lock.
func (b *Bucket) Lock(ctx context.Context, key string, held bool) error {
	locks, err := b.locks(ctx, key)
	if err != nil || !locks {
		return err
	}
	all, err := b.eachContent(ctx, key, func(string) error { return nil })
	if err != nil {
		return err
	}
	return b.lock(ctx, key, all, held)
}

// eachContent calls do with each version of an object that has a content.
func (b *Bucket) eachContent(ctx context.Context, key string, do func(id string) error) (ids []string, err error) {
	all, err := b.versionsOf(ctx, key)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if v.marker {
			continue
		}
		if err := do(v.id); err != nil {
			return nil, err
		}
		ids = append(ids, v.id)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("hold %s: %w", key, ErrNotFound)
	}
	return ids, nil
}

// lock puts versions under a legal hold or takes it off, where the bucket has Object Lock.
func (b *Bucket) lock(ctx context.Context, key string, ids []string, held bool) error {
	locks, err := b.locks(ctx, key)
	if err != nil || !locks {
		return err
	}
	status := minio.LegalHoldDisabled
	if held {
		status = minio.LegalHoldEnabled
	}
	for _, id := range ids {
		if on, err := b.legalHold(ctx, key, id); err == nil && on == held {
			continue
		}
		err := b.client.PutObjectLegalHold(ctx, b.name, key, minio.PutObjectLegalHoldOptions{VersionID: id, Status: &status})
		if err != nil {
			return wrap("put a legal hold on", key, err)
		}
	}
	return nil
}

// tag sets the tag of a version, "" being the one there is, that ExpireAfter goes by.
func (b *Bucket) tag(ctx context.Context, key, id string, held bool) error {
	value := expiresValue
	if held {
		value = heldValue
	}
	if is, err := b.tagOf(ctx, key, id); err != nil || is == value {
		return err
	}
	all, err := tags.NewTags(map[string]string{expiresTag: value}, true)
	if err == nil {
		err = b.client.PutObjectTagging(ctx, b.name, key, all, minio.PutObjectTaggingOptions{VersionID: id})
	}
	if err != nil && minio.ToErrorResponse(err).StatusCode != http.StatusNotImplemented {
		return wrap("tag", key, err)
	}
	return nil
}

// tagOf is the value of our tag, "" if it has none or we may not read tags, which takes a right
// that nothing else needs.
func (b *Bucket) tagOf(ctx context.Context, key, id string) (string, error) {
	v := b.versions
	v.mu.Lock()
	untold := v.untold
	v.mu.Unlock()
	if untold {
		return "", nil
	}
	all, err := b.client.GetObjectTagging(ctx, b.name, key, minio.GetObjectTaggingOptions{VersionID: id})
	switch m, a := meaningOf(err); {
	case err == nil:
		return all.ToMap()[expiresTag], nil
	case m == answer.Refused:
		v.mu.Lock()
		v.untold = true
		v.mu.Unlock()
	case m == answer.Absent && a.Code == "NoSuchTagSet":
	default:
		return "", wrap("read the tags of", key, err)
	}
	return "", nil
}
