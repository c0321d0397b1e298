package provision

import (
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"cdds/ops/config"
	"cdds/pipeline/bucket"
	"cdds/pipeline/tables"
	"cdds/schemas"
)

// TopicsExist is nil once every topic exists.
func TopicsExist(ctx context.Context, admin *kadm.Client) error {
	existing, err := admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	var missing []string
	for _, topic := range schemas.Topics() {
		if !existing.Has(string(topic)) {
			missing = append(missing, string(topic))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("topics are missing: %s; `cdds provision` creates them", strings.Join(missing, ", "))
	}
	return nil
}

// TablesAreCurrent is nil once ClickHouse has the tables that this release needs. It is nil
// for the tables of a later release too.
func TablesAreCurrent(ctx context.Context, db *tables.Database) error {
	missing, err := db.Missing(ctx, Schemas()...)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("tables are missing: %s; `cdds provision` creates them", strings.Join(missing, ", "))
	}
	pending, err := db.Pending(ctx, Schemas()...)
	if err != nil {
		return err
	}
	if len(pending) > 0 {
		return fmt.Errorf("the tables are older than this release: %s of schema %s pending, from %s on; `cdds provision` of this release takes them",
			schemas.Counted(len(pending), "step"), tables.Version(Schemas()...), pending[0])
	}
	return nil
}

// BucketsExist is nil once the buckets exist.
func BucketsExist(ctx context.Context, b *bucket.Bucket, c config.S3) error {
	for _, name := range []string{c.Bucket, c.AttachmentsBucket} {
		ok, err := b.Sibling(name).Exists(ctx)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("bucket %s does not exist; `cdds provision` creates it", name)
		}
	}
	return nil
}
