// Package provision creates what CDDS needs: topics, tables and the buckets, and probes
// the object store. It is safe to repeat, on embedded and real services alike, and changes
// nothing that is there.
package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"cdds/ops/config"
	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/ledger"
	"cdds/pipeline/tables"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Topics creates the missing topics and returns their names. Source topics are kept
// for ever unless a size is configured: they are the log of truth.
func Topics(ctx context.Context, admin *kadm.Client, c config.Kafka) ([]schemas.Topic, error) {
	var created []schemas.Topic
	existing, err := admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	for _, topic := range schemas.Topics() {
		if existing.Has(string(topic)) {
			continue
		}
		_, err := admin.CreateTopic(ctx, c.Partitions, replicas(c), topicConfig(topic, c), string(topic))
		if errors.Is(err, kerr.TopicAlreadyExists) { // somebody else was first
			continue
		}
		if errors.Is(err, kerr.InvalidReplicationFactor) {
			return created, fmt.Errorf("create topic %s: %w: Kafka has fewer than %d brokers; add brokers, or set kafka.replication (CDDS_KAFKA_REPLICATION) to 1 where losing a broker may lose records", topic, err, replicas(c))
		}
		if err != nil {
			return created, fmt.Errorf("create topic %s: %w", topic, err)
		}
		created = append(created, topic)
	}
	return created, nil
}

// defaultReplicas are those of a topic where kafka.replication is not set: Kafka is the log
// of truth, and must survive the loss of a broker.
const defaultReplicas = 3

func replicas(c config.Kafka) int16 {
	if c.Replication == 0 {
		return defaultReplicas
	}
	return c.Replication
}

// topicConfig is the configuration of a topic. With several replicas a record is
// acknowledged once all but one of them have it, so that losing a broker loses no record
// and stops no producer.
func topicConfig(topic schemas.Topic, c config.Kafka) map[string]*string {
	config := retentionConfig(topic, c)
	inSync := strconv.Itoa(max(1, int(replicas(c))-1))
	config["min.insync.replicas"] = &inSync
	return config
}

func retentionConfig(topic schemas.Topic, c config.Kafka) map[string]*string {
	limit := schemas.MaxRecordBytes
	if schemas.IsDeadLetter(topic) {
		limit = schemas.MaxDeadLetterBytes
	}
	text := func(n int64) *string { s := strconv.FormatInt(n, 10); return &s }
	if schemas.Compacted(topic) {
		// Bounded by its keys; a size would delete definitions that still hold.
		compact := "compact"
		return map[string]*string{
			"cleanup.policy":    &compact,
			"max.message.bytes": text(int64(limit)),
			"retention.ms":      text(-1),
			"retention.bytes":   text(-1),
		}
	}
	config := map[string]*string{
		"max.message.bytes": text(int64(limit)),
		"retention.ms":      text(-1),
		"retention.bytes":   text(int64(c.RetentionBytes)),
	}
	if slices.Contains(schemas.SourceTopics(), topic) {
		// Of versions in several partitions the one appended last counts; a producer's clock
		// could make an old one win.
		appendTime := schemas.LogAppendTime
		config[schemas.TimestampType] = &appendTime
	}
	return config
}

// Schemas are all tables there are.
func Schemas() []tables.Schema {
	return []tables.Schema{tables.Steps(), warehouse.Schema(), ledger.Schema()}
}

// All creates topics, tables, the bucket and, beside it, that for attachments, and refuses
// an object store that cannot keep what CDDS promises. It reports each step to progress.
func All(ctx context.Context, admin *kadm.Client, db *tables.Database, b *bucket.Bucket, c config.Config, progress func(string)) error {
	created, err := Topics(ctx, admin, c.Kafka)
	if err != nil {
		return err
	}
	progress(fmt.Sprintf("topics: %d of %d created", len(created), len(schemas.Topics())))
	pending, err := db.Pending(ctx, Schemas()...)
	if err != nil {
		return err
	}
	if err := db.Create(ctx, Schemas()...); err != nil {
		return err
	}
	progress(fmt.Sprintf("tables: schema %s, %s taken", tables.Version(Schemas()...), schemas.Counted(len(pending), "step")))
	create := b.Create
	if c.S3.ObjectLock {
		create = b.CreateLocked
	}
	if err := create(ctx, c.S3.Region); err != nil {
		return err
	}
	progress("bucket " + c.S3.Bucket + ": in place")
	if err := b.Sibling(c.S3.AttachmentsBucket).Create(ctx, c.S3.Region); err != nil {
		return err
	}
	progress("bucket " + c.S3.AttachmentsBucket + ": in place")
	if err := b.ExpireAfter(ctx, c.Export.LongestLifetime()+backstop); err != nil && !errors.Is(err, bucket.ErrNoLifecycle) {
		return err // without lifecycles the retention role is all there is
	}
	if err := Probe(ctx, b, c); err != nil {
		return err
	}
	progress("object store: fit")
	return nil
}

// Probe tries whether the object store does what CDDS needs; if not it is a
// *bucket.UnfitError.
func Probe(ctx context.Context, b *bucket.Bucket, c config.Config) error {
	return errors.Join(
		locked(ctx, b, c.S3),
		b.Probe(ctx, probes, c.Export.LongestLifetime(), time.Now),
		b.Sibling(c.S3.AttachmentsBucket).ProbeAttachments(ctx, probes),
	)
}

// locked is an *bucket.UnfitError if the bucket is to have Object Lock and has none.
func locked(ctx context.Context, b *bucket.Bucket, c config.S3) error {
	if !c.ObjectLock {
		return nil
	}
	_, locks, err := b.Guards(ctx)
	if err != nil || locks {
		return err
	}
	return &bucket.UnfitError{Bucket: c.Bucket, Problems: []string{
		"it has no Object Lock, which s3.object_lock (CDDS_S3_OBJECT_LOCK) promises: turn on versioning and Object Lock in it, name another bucket in s3.bucket, which `cdds provision` makes with it, or set s3.object_lock to false: then what a hold keeps is only out of the lifecycle rule"}}
}

// probes is where the objects of a probe are for a moment.
const probes = pipeline.Reserved + "probe/"

// backstop is how much later than retention the store itself removes objects.
const backstop = 7 * 24 * time.Hour
