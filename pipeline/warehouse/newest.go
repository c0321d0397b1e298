package warehouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// Newest is the newest version that is stored of a row.
type Newest struct {
	Partition   int32
	PublishedAt schemas.Time
	// Sum is the SHA-256 of its body, in hex.
	Sum string
	// Last is the highest position of a version in the partition that was asked about; -1 if
	// none exists.
	Last int64
}

// Supersedes reports whether a version with a body that was published at a position of the
// partition asked about is older than the newest, and differs from it. Within a partition
// positions say so. The times of records may be from their producers' clocks, and are compared
// only between partitions, as readers do.
func (n Newest) Supersedes(partition int32, position int64, published schemas.Time, body []byte) bool {
	if sum := sha256.Sum256(body); n.Sum == "" || n.Sum == hex.EncodeToString(sum[:]) {
		return false
	}
	return n.Last > position || n.Partition != partition && n.PublishedAt.After(published.Time)
}

// Newest returns the newest version of a row, and the last one of a partition; the zero value
// if none exists. at is when the interaction began or the contact was created.
func (w *Warehouse) Newest(ctx context.Context, topic schemas.Topic, tenantID, id string, at schemas.Time, partition int32) (n Newest, err error) {
	table, time0, column := "interactions", "started_at", "interaction_id"
	if topic == schemas.TopicContacts {
		table, time0, column = "contacts", "created_at", "contact_id"
	}
	var versions uint64
	var published time.Time
	err = w.db.Scan(ctx, "look for versions", `SELECT count(), argMax(p, (t, p)), argMax(t, (t, p)), argMax(sum, (t, p)), maxIf(o, p = {partition:Int32}) - if(countIf(p = {partition:Int32}) = 0, 1, 0)
FROM (SELECT source_partition AS p, max(source_offset) AS o, argMax(published_at, source_offset) AS t, argMax(lower(hex(SHA256(body))), source_offset) AS sum
  FROM `+table+` WHERE tenant_id = {tenant:String} AND `+time0+` = fromUnixTimestamp64Milli({at:Int64}, 'UTC') AND `+column+` = {id:String} GROUP BY p)`,
		[]any{tables.Named("tenant", tenantID), tables.Named("at", at.UnixMilli()), tables.Named("id", id), tables.Named("partition", partition)},
		&versions, &n.Partition, &published, &n.Sum, &n.Last)
	if err != nil || versions == 0 {
		return Newest{}, err
	}
	n.PublishedAt = schemas.TimeOf(published)
	return n, nil
}
