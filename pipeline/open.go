package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// Open is an attempt at an export that has not ended.
type Open struct {
	// Shard is the partition through which the request came.
	Shard              int32
	TenantID, ExportID string
	// Attempt counts from 1.
	Attempt int
	// Since is when it was opened; Opened says so.
	Since time.Time
}

const openPrefix = Reserved + "open/"

func shardPrefix(shard int32) string { return fmt.Sprintf("%s%06d/", openPrefix, shard) }

func (o Open) key() string {
	return fmt.Sprintf("%s%s/%s.%04d", shardPrefix(o.Shard), o.TenantID, o.ExportID, o.Attempt)
}

// openOf reads the key of an open attempt; false if it is not one.
func openOf(key string) (o Open, ok bool) {
	names := strings.Split(strings.TrimPrefix(key, openPrefix), "/")
	if len(names) != 3 {
		return o, false
	}
	dot := strings.LastIndexByte(names[2], '.') // export ids have dots too
	if dot < 0 {
		return o, false
	}
	shard, err := strconv.ParseInt(names[0], 10, 32)
	attempt, notANumber := strconv.Atoi(names[2][dot+1:])
	o = Open{Shard: int32(shard), TenantID: names[1], ExportID: names[2][:dot], Attempt: attempt}
	return o, errors.Join(err, notANumber) == nil && o.key() == key
}

// Open makes an attempt one that is to be carried out. It is safe to repeat.
func (d Decisions) Open(ctx context.Context, o Open) error {
	err := d.Store.PutBytes(ctx, o.key(), []byte("{}"), schemas.ContentTypeJSON)
	if errors.Is(err, bucket.ErrExists) {
		return nil
	}
	return err
}

// IsOpen reports whether an attempt is to be carried out.
func (d Decisions) IsOpen(ctx context.Context, o Open) (bool, error) { return d.exists(ctx, o.key()) }

// Close ends that. What came of the attempt must be recorded and reported before.
func (d Decisions) Close(ctx context.Context, o Open) error {
	return Unseen(d.Store.Remove(ctx, o.key()))
}

// Opened lists the attempts of a shard that are to be carried out, oldest first.
func (d Decisions) Opened(ctx context.Context, shard int32) ([]Open, error) {
	objects, err := d.Store.List(ctx, shardPrefix(shard))
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(objects, func(a, b bucket.Object) int { return a.Modified.Compare(b.Modified) })
	all := make([]Open, 0, len(objects))
	for _, at := range objects {
		if o, ok := openOf(at.Key); ok {
			o.Since = at.Modified
			all = append(all, o)
		}
	}
	return all, nil
}

// OpenOf counts the exports of a tenant that have an open attempt, in all shards, without one of an
// id.
func (d Decisions) OpenOf(ctx context.Context, tenantID, but string) (int, error) {
	shards, err := d.Shards(ctx)
	if err != nil {
		return 0, err
	}
	exports := map[string]bool{}
	for _, shard := range shards {
		objects, err := d.Store.List(ctx, shardPrefix(shard)+tenantID+"/")
		if err != nil {
			return 0, err
		}
		for _, at := range objects {
			if o, ok := openOf(at.Key); ok && o.ExportID != but {
				exports[o.ExportID] = true
			}
		}
	}
	return len(exports), nil
}

// Shards lists those that have open attempts.
func (d Decisions) Shards(ctx context.Context) (all []int32, err error) {
	for prefix, err := range d.Store.Folders(ctx, openPrefix) {
		if err != nil {
			return nil, err
		}
		shard, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(prefix, openPrefix), "/"), 10, 32)
		if err == nil && shardPrefix(int32(shard)) == prefix {
			all = append(all, int32(shard))
		}
	}
	return all, nil
}
