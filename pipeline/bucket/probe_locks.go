package bucket

import (
	"context"
	"errors"

	"github.com/minio/minio-go/v7"

	"cdds/pipeline/answer"
	"cdds/schemas"
)

// retention: what the store keeps for so long whatever happens can neither expire nor be cancelled,
// deleted or erased, and the probe would leave its own objects.
func (p *probe) retention(ctx context.Context) error {
	is, err := p.lockConfig(ctx)
	if err != nil || is == nil || is.days == 0 {
		if refused(err) { // a bucket without versions has no locks; else see locking
			return nil
		}
		return err
	}
	p.retained = true
	p.problem("its Object Lock keeps every new object for %s (%s), so that nothing can expire, be cancelled or be deleted before: take the default retention off the bucket (`aws s3api put-object-lock-configuration --bucket %s --object-lock-configuration ObjectLockEnabled=Enabled`), or use another bucket; holds lock what they keep by themselves",
		schemas.Counted(int(is.days), "day"), is.mode, p.name)
	return nil
}

// locking: where the bucket has Object Lock, what a hold keeps cannot be removed.
func (p *probe) locking(ctx context.Context) error {
	if !p.written {
		return nil
	}
	key := p.prefix + "once"
	locks, err := p.locks(ctx, key)
	if refused(err) {
		p.problem("it keeps versions and does not say whether it has Object Lock (%v): allow s3:GetBucketObjectLockConfiguration", err)
		return nil
	}
	if err != nil || !locks {
		return err
	}
	const rights = "s3:PutObjectLegalHold, s3:GetObjectLegalHold, s3:ListBucketVersions and s3:DeleteObjectVersion"
	err = p.Lock(ctx, key, true)
	if refused(err) {
		p.problem("it has Object Lock and lets us put no legal hold on objects (%v): allow %s", err, rights)
		return nil
	} else if err != nil {
		return err
	}
	removed := p.Remove(ctx, key)
	if err := p.Lock(ctx, key, false); err != nil && !errors.Is(err, ErrNotFound) {
		p.problem("it does not take a legal hold off an object (%v): allow %s", err, rights)
		return nil
	}
	switch {
	case removed == nil:
		p.written = false
		p.problem("it removes what is under a legal hold: use a store whose Object Lock holds, or a bucket without it")
	case refused(removed):
		p.problem("it does not say why an object under a legal hold cannot be removed (%v): allow %s", removed, rights)
	case answer.Of(removed) != answer.Locked:
		return removed
	}
	return nil
}

// leavingNothing: an object that was removed must not come back.
func (p *probe) leavingNothing(ctx context.Context) error {
	kept, err := p.keepsVersions(ctx, p.prefix+"raced")
	if err != nil || !kept {
		return err
	}
	left, err := p.versionsOf(ctx, p.prefix+"once")
	if len(left) > 0 {
		p.problem("a version of an object that was removed is still there")
	}
	return err
}

// versionsRemovable is removable of a bucket that keeps versions; there it takes another right.
func (p *probe) versionsRemovable(ctx context.Context) error {
	kept, err := p.keepsVersions(ctx, "")
	if err != nil || !kept {
		return err
	}
	err = p.eachVersion(ctx, p.prefix, 1, func(version) bool { return false })
	if err == nil {
		err = p.client.RemoveObject(ctx, p.name, p.prefix+"absent", minio.RemoveObjectOptions{VersionID: "null"})
		if err != nil {
			err = wrap("remove", p.prefix+"absent", err)
		}
	}
	switch {
	case refused(err):
		p.problem("it keeps versions, which erasures must remove as well (%v): allow s3:ListBucketVersions and s3:DeleteObjectVersion", err)
		return nil
	case errors.Is(err, ErrNotFound):
		return nil
	}
	return err
}

// Guards reports whether the bucket keeps older versions, and whether it has Object Lock.
func (b *Bucket) Guards(ctx context.Context) (versions, locks bool, err error) {
	if versions, err = b.keepsVersions(ctx, ""); err == nil {
		locks, err = b.locks(ctx, "")
	}
	return versions, locks, err
}
