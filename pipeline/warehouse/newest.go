package warehouse

import (
	"context"
	"time"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// Newest returns when the newest version of a row was published; the zero time if there is
// none. at is when the interaction began or the contact was created.
func (w *Warehouse) Newest(ctx context.Context, topic schemas.Topic, tenantID, id string, at schemas.Time) (schemas.Time, error) {
	table, time0, column := "interactions", "started_at", "interaction_id"
	if topic == schemas.TopicContacts {
		table, time0, column = "contacts", "created_at", "contact_id"
	}
	var newest time.Time
	var versions uint64
	err := w.db.Scan(ctx, "look for versions", "SELECT max(published_at), count() FROM "+table+" WHERE tenant_id = {tenant:String} AND "+
		time0+" = fromUnixTimestamp64Milli({at:Int64}, 'UTC') AND "+column+" = {id:String}",
		[]any{tables.Named("tenant", tenantID), tables.Named("at", at.UnixMilli()), tables.Named("id", id)}, &newest, &versions)
	if err != nil || versions == 0 {
		return schemas.Time{}, err
	}
	return schemas.TimeOf(newest), nil
}
