package bucket

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
)

// The ids of the rules CDDS sets; other rules of the bucket stay. In a bucket that keeps versions
// the first one leaves a delete marker without any, which the second removes: markers have no tag.
const lifecycleRule, markersRule = "cdds-expire", "cdds-expire-markers"

// The tag of objects that the rule is about. The others decide what exports are, and which
// logs of a topic are one and the same: if the store removed them by age, an old request
// that is read again would run as if it were new. What a hold keeps has another value.
const expiresTag, expiresValue, heldValue = "cdds", "artifact", "held"

// ErrNoLifecycle says that the store has no bucket lifecycle.
var ErrNoLifecycle = errors.New("the object store has no bucket lifecycle")

// ExpireAfter makes the store itself remove objects that expire at that age, rounded up to
// whole days: the backstop where nothing else does. Older versions of them go a day after they
// became older. It is ErrNoLifecycle where the store cannot (versitygw). It is safe to repeat.
func (b *Bucket) ExpireAfter(ctx context.Context, age time.Duration) error {
	days := lifecycle.ExpirationDays(math.Ceil(age.Hours() / 24))
	rules, err := b.lifecycle(ctx)
	if err != nil {
		return err
	}
	versions, err := b.keepsVersions(ctx, "")
	if err != nil {
		return err
	}
	ours := []lifecycle.Rule{{
		ID: lifecycleRule, Status: "Enabled",
		RuleFilter: lifecycle.Filter{Tag: lifecycle.Tag{Key: expiresTag, Value: expiresValue}},
		Expiration: lifecycle.Expiration{Days: days},
	}}
	if versions {
		ours[0].NoncurrentVersionExpiration.NoncurrentDays = 1
		ours = append(ours, lifecycle.Rule{ID: markersRule, Status: "Enabled", Expiration: lifecycle.Expiration{DeleteMarker: true}})
	}
	others, there := rules.Rules[:0], 0
	for _, r := range rules.Rules {
		switch {
		case r.ID != lifecycleRule && r.ID != markersRule:
			others = append(others, r)
		case slices.ContainsFunc(ours, func(o lifecycle.Rule) bool { return same(o, r) }):
			there++
		}
	}
	if there == len(ours) {
		return nil
	}
	rules.Rules = append(others, ours...)
	err = b.client.SetBucketLifecycle(ctx, b.name, rules)
	if minio.ToErrorResponse(err).StatusCode == http.StatusNotImplemented {
		return ErrNoLifecycle
	}
	if err != nil {
		return fmt.Errorf("set the lifecycle of bucket %s: %w", b.name, err)
	}
	return nil
}

// same reports whether a rule that the store has is one of ours.
func same(ours, is lifecycle.Rule) bool {
	return is.ID == ours.ID && is.Expiration.Days == ours.Expiration.Days && is.Expiration.DeleteMarker == ours.Expiration.DeleteMarker &&
		is.NoncurrentVersionExpiration.NoncurrentDays == ours.NoncurrentVersionExpiration.NoncurrentDays && is.RuleFilter.Tag.Key == ours.RuleFilter.Tag.Key
}

// lifecycle returns the bucket's rules, or is ErrNoLifecycle.
func (b *Bucket) lifecycle(ctx context.Context) (*lifecycle.Configuration, error) {
	rules, err := b.client.GetBucketLifecycle(ctx, b.name)
	switch response := minio.ToErrorResponse(err); {
	case err == nil:
		return rules, nil
	case response.Code == "NoSuchLifecycleConfiguration":
		return lifecycle.NewConfiguration(), nil
	case response.StatusCode == http.StatusNotImplemented:
		return nil, ErrNoLifecycle
	}
	return nil, fmt.Errorf("read the lifecycle of bucket %s: %w", b.name, answered(err))
}

// Folders yields, one level below prefix, every part of a key up to and including the
// next slash, in order: "acme/" below "", "acme/e1/" below "acme/". It reads pages as
// it goes, so a large bucket costs no memory. An error is yielded last.
func (b *Bucket) Folders(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for info := range b.client.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: prefix}) {
			if info.Err != nil {
				yield("", fmt.Errorf("list %s: %w", prefix, answered(info.Err)))
				return
			}
			if strings.HasSuffix(info.Key, "/") && !yield(info.Key, nil) {
				return
			}
		}
	}
}
