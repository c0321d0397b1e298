package bucket

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
	"github.com/minio/minio-go/v7/pkg/tags"
)

// lifecycleRule is the id of the rule CDDS sets; other rules of the bucket stay.
const lifecycleRule = "cdds-expire"

// The tag of objects that the rule is about. The others decide what exports are, and which
// logs of a topic are one and the same: if the store removed them by age, an old request
// that is read again would run as if it were new. What a hold keeps has another value.
const expiresTag, expiresValue, heldValue = "cdds", "artifact", "held"

// ErrNoLifecycle says that the store has no bucket lifecycle.
var ErrNoLifecycle = errors.New("the object store has no bucket lifecycle")

// ExpireAfter makes the store itself remove objects that expire at that age, rounded up to
// whole days: the backstop where nothing else does. It is ErrNoLifecycle where the store
// cannot (versitygw). It is safe to repeat.
func (b *Bucket) ExpireAfter(ctx context.Context, age time.Duration) error {
	days := lifecycle.ExpirationDays(math.Ceil(age.Hours() / 24))
	rules, err := b.lifecycle(ctx)
	if err != nil {
		return err
	}
	kept := rules.Rules[:0]
	for _, r := range rules.Rules {
		if r.ID != lifecycleRule {
			kept = append(kept, r)
		} else if r.Expiration.Days == days && r.RuleFilter.Tag.Key == expiresTag {
			return nil
		}
	}
	rules.Rules = append(kept, lifecycle.Rule{
		ID: lifecycleRule, Status: "Enabled",
		RuleFilter: lifecycle.Filter{Tag: lifecycle.Tag{Key: expiresTag, Value: expiresValue}},
		Expiration: lifecycle.Expiration{Days: days},
	})
	err = b.client.SetBucketLifecycle(ctx, b.name, rules)
	if minio.ToErrorResponse(err).StatusCode == http.StatusNotImplemented {
		return ErrNoLifecycle
	}
	if err != nil {
		return fmt.Errorf("set the lifecycle of bucket %s: %w", b.name, err)
	}
	return nil
}

// Hold takes an object that expires out of what ExpireAfter has the store remove, or puts it back.
// It is safe to repeat, and ErrNotFound if none exists. Other tags of the object are lost: to
// read them takes a right that nothing else needs. Where the store has no tags it has no such rule,
// and nothing is to be done.
func (b *Bucket) Hold(ctx context.Context, key string, held bool) error {
	value := expiresValue
	if held {
		value = heldValue
	}
	all, err := tags.NewTags(map[string]string{expiresTag: value}, true)
	if err == nil {
		err = b.client.PutObjectTagging(ctx, b.name, key, all, minio.PutObjectTaggingOptions{})
	}
	if err != nil && minio.ToErrorResponse(err).StatusCode != http.StatusNotImplemented {
		return wrap("tag", key, err)
	}
	return nil
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
