package warehouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/schemas"
)

// Impact is what an erasure is about as it is stored: every version of its subjects, what
// exports choose and filter by, and no content. It is read before anything is removed, and
// afterwards still says which exports hold a row of the subjects.
type Impact struct {
	erasure schemas.Erasure
	// Versions is how many versions Erase removes.
	Versions int64

	rows map[string][]erasableRow // by entity, in order of their keys
	// recorded is when erasures of the rows' ids were recorded before, by entity and id.
	recorded map[string]map[string][]time.Time
	// texts has one of equal texts: media types, contacts and so on repeat.
	texts map[string]string
}

// erasableRow is a row of a subject with all its versions, those of each partition by
// offset, the highest first.
type erasableRow struct {
	key      schemas.RowKey
	versions []erasableVersion
}

type erasableVersion struct {
	partition                       int32
	offset                          int64
	published                       time.Time
	media, direction, status, queue string
	contact                         string
	attributes                      map[string]string
	// unreadable says that the attributes are not known.
	unreadable, attached bool
}

// Impact reads what an erasure is about.
func (w *Warehouse) Impact(ctx context.Context, e schemas.Erasure) (Impact, error) {
	ctx = withAged(ctx)
	impact := Impact{erasure: e, rows: map[string][]erasableRow{}, recorded: map[string]map[string][]time.Time{}, texts: map[string]string{}}
	for _, t := range erasable {
		columns := "'', '', '', '', toBool(0)"
		if t.media {
			columns = "media_type, direction, status, queue, " + t.attached()
		}
		// Versions at or past the erasure's snapshot stay, but an export that chose one of
		// them does not hold what is erased.
		err := w.db.Each(ctx, "look for what erasure "+e.Request.ErasureID+" is about", fmt.Sprintf(`
SELECT %[1]s, %[2]s, source_partition, source_offset, published_at, %[3]s, contact_id, attributes, if(stated, '', body)
FROM %[4]s WHERE tenant_id = {tenant:String} AND %[5]s
ORDER BY %[1]s, %[2]s, source_partition, source_offset DESC, stated DESC
LIMIT 1 BY %[1]s, %[2]s, source_partition, source_offset`, t.time, t.id, columns, t.name, t.about(e)), eraseArguments(e),
			func(rows driver.Rows) error { return impact.scan(rows, t) })
		if err != nil {
			return impact, err
		}
		err = w.db.Each(ctx, "look for what was erased before erasure "+e.Request.ErasureID, fmt.Sprintf(`
SELECT id, recorded_at FROM erased_subjects
WHERE tenant_id = {tenant:String} AND kind = '%[1]s'
  AND id IN (SELECT %[2]s FROM %[3]s WHERE tenant_id = {tenant:String} AND %[4]s)`, t.kind, t.id, t.name, t.about(e)), eraseArguments(e),
			func(rows driver.Rows) error {
				var id string
				var at time.Time
				err := rows.Scan(&id, &at)
				impact.wasErased(t.kind, id, at)
				return err
			})
		if err != nil {
			return impact, err
		}
	}
	return impact, nil
}

// wasErased notes that an erasure of an id was recorded.
func (i *Impact) wasErased(kind, id string, at time.Time) {
	if i.recorded[kind] == nil {
		i.recorded[kind] = map[string][]time.Time{}
	}
	i.recorded[kind][id] = append(i.recorded[kind][id], at)
}

// about selects the versions of what an erasure is about, whatever their position.
func (t erasableTable) about(e schemas.Erasure) string {
	contacts, interactions := idsOf(e.Erasable())
	named := among("contact_id", contacts)
	if t.kind == schemas.ErasedContact {
		return named
	}
	// Versions that do not name the contact go with those that do.
	return fmt.Sprintf(`(%s OR interaction_id IN (
  SELECT interaction_id FROM interactions WHERE tenant_id = {tenant:String} AND %s AND %s))`, among("interaction_id", interactions), named, t.below())
}

// idsOf are the ids of subjects, by kind.
func idsOf(subjects []schemas.Subject) (contacts, interactions []string) {
	for _, s := range subjects {
		if s.Kind == schemas.ErasedContact {
			contacts = append(contacts, s.ID)
		} else {
			interactions = append(interactions, s.ID)
		}
	}
	return contacts, interactions
}

func (i *Impact) scan(rows driver.Rows, t erasableTable) error {
	var at time.Time
	var id, body string
	var v erasableVersion
	if err := rows.Scan(&at, &id, &v.partition, &v.offset, &v.published, &v.media, &v.direction, &v.status, &v.queue, &v.attached, &v.contact, &v.attributes, &body); err != nil {
		return err
	}
	for _, text := range []*string{&v.media, &v.direction, &v.status, &v.queue, &v.contact} {
		*text = i.once(*text)
	}
	if body != "" { // stored by a release that did not state them
		v.attributes, v.unreadable = statedIn(t.kind, body)
	}
	i.add(t.kind, schemas.RowKey{Time: schemas.TimeOf(at), ID: id}, v)
	return nil
}

// add adds a version. They come in order of their keys, partitions and offsets, the highest first.
func (i *Impact) add(kind string, key schemas.RowKey, v erasableVersion) {
	all := i.rows[kind]
	if n := len(all); n == 0 || all[n-1].key != key {
		all = append(all, erasableRow{key: key})
	}
	last := &all[len(all)-1]
	last.versions = append(last.versions, v)
	i.rows[kind] = all
	if i.erased(kind, v) {
		i.Versions++
	}
}

// ImpactOf is the Impact of an erasure on rows that are at hand, each once, rather than in
// ClickHouse: by entity, contacts as interactions that have what their table has. recorded is when
// erasures of ids of the tenant were recorded before, by entity.
func ImpactOf(e schemas.Erasure, stored map[string][]schemas.Record[*schemas.Interaction], recorded map[string]map[string][]time.Time) Impact {
	impact := Impact{erasure: e, rows: map[string][]erasableRow{}, recorded: recorded}
	contacts, interactions := idsOf(e.Erasable())
	for _, r := range stored[schemas.EntityInteraction] { // versions that do not name the contact go with those that do
		below := int(r.Partition) < len(e.Interactions) && r.Offset < e.Interactions[r.Partition]
		if below && r.Event.TenantID == e.Request.TenantID && slices.Contains(contacts, r.Event.ContactID) {
			interactions = append(interactions, r.Event.InteractionID)
		}
	}
	impact.addAll(schemas.EntityInteraction, stored[schemas.EntityInteraction], func(i *schemas.Interaction) bool {
		return slices.Contains(contacts, i.ContactID) || slices.Contains(interactions, i.InteractionID)
	})
	impact.addAll(schemas.EntityContact, stored[schemas.EntityContact], func(i *schemas.Interaction) bool {
		return slices.Contains(contacts, i.ContactID)
	})
	return impact
}

// addAll adds the versions of rows of the erasure's tenant that it is about.
func (i *Impact) addAll(entity string, stored []schemas.Record[*schemas.Interaction], is func(*schemas.Interaction) bool) {
	about := slices.DeleteFunc(slices.Clone(stored), func(r schemas.Record[*schemas.Interaction]) bool {
		return r.Event.TenantID != i.erasure.Request.TenantID || !is(r.Event)
	})
	slices.SortFunc(about, func(a, b schemas.Record[*schemas.Interaction]) int {
		return cmp.Or(a.Event.StartedAt.Compare(b.Event.StartedAt), cmp.Compare(a.Event.InteractionID, b.Event.InteractionID), cmp.Compare(a.Partition, b.Partition), cmp.Compare(b.Offset, a.Offset))
	})
	for _, r := range about {
		i.add(entity, schemas.RowKey{Time: r.Event.StartedAt, ID: r.Event.InteractionID}, erasableVersion{
			partition: r.Partition, offset: r.Offset, published: r.Time.Time,
			media: r.Event.MediaType, direction: r.Event.Direction, status: r.Event.Status, queue: r.Event.Queue,
			contact: r.Event.ContactID, attributes: r.Event.Attributes, attached: len(r.Event.Attachments) > 0,
		})
	}
}

// once returns a text that is held already, if an equal one is.
func (i *Impact) once(text string) string {
	if held, ok := i.texts[text]; ok {
		return held
	}
	i.texts[text] = text
	return text
}

// Outcomes says of each subject of the erasure how many of its versions are stored.
func (i Impact) Outcomes() []schemas.SubjectOutcome {
	rows := map[schemas.Subject]int64{}
	for kind, all := range i.rows {
		for _, row := range all {
			goes := int64(0)
			named := map[schemas.Subject]bool{{Kind: kind, ID: row.key.ID}: true}
			for _, v := range row.versions {
				if i.erased(kind, v) {
					goes++
					named[schemas.Subject{Kind: schemas.ErasedContact, ID: v.contact}] = true
				}
			}
			for s := range named {
				rows[s] += goes
			}
		}
	}
	var all []schemas.SubjectOutcome
	for _, s := range i.erasure.Request.Subjects() {
		outcome := schemas.SubjectOutcome{Subject: s, Outcome: schemas.SubjectFound, Rows: rows[s]}
		if outcome.Rows == 0 {
			outcome.Outcome = schemas.ErasureNothingFound
		}
		all = append(all, outcome)
	}
	return all
}

// statedIn reads the attributes of a stored event.
func statedIn(kind, body string) (attributes map[string]string, unreadable bool) {
	if kind == schemas.ErasedContact {
		c, err := schemas.DecodeContact([]byte(body))
		if err != nil {
			return nil, true
		}
		return c.Attributes, false
	}
	e, err := schemas.DecodeInteraction([]byte(body))
	if err != nil {
		return nil, true
	}
	return e.Attributes, false
}

// erased reports whether a version goes: it is below the erasure's snapshot.
func (i Impact) erased(kind string, v erasableVersion) bool {
	snapshot := i.erasure.Interactions
	if kind == schemas.ErasedContact {
		snapshot = i.erasure.Contacts
	}
	return within(snapshot, v)
}

// within reports whether a version is below a snapshot.
func within(s schemas.Snapshot, v erasableVersion) bool {
	return int(v.partition) < len(s) && v.offset < s[v.partition]
}

// Affects is what to say of an export that holds some of what was found; false if it holds none.
func (i Impact) Affects(x schemas.Export) (held schemas.AffectedExport, is bool) {
	n := i.HeldBy(x)
	held = schemas.AffectedExport{ExportID: x.ExportID, State: x.State, Rows: n, Recipients: x.Recipients}
	if x.Completion != nil {
		held.ExpiresAt = x.Completion.ExpiresAt
	}
	return held, n > 0
}

// HeldBy counts the rows of the subjects that an export holds: as the version that it
// chose, if that passes its filter and is not what the export that it continues has. Of a
// failed export only the parts count that it stored; one that is still at work counts for
// what it is to hold.
func (i Impact) HeldBy(x schemas.Export) (n int64) {
	if x.Request == nil {
		return 0
	}
	q := selectedBy(x)
	for _, row := range i.between(q) {
		if v, found := i.heldBy(x, q, row); found && (x.State != schemas.Failed || stored(x.Parts, row.key, v.attached)) {
			n++
		}
	}
	return n
}

// selectedBy is the query of an export.
func selectedBy(x schemas.Export) Query {
	q := Query{Filter: x.Request.Filter(), Snapshot: x.Snapshot}
	if x.HistoryFrom.Compare(q.Filter.From) > 0 {
		q.Filter.From = x.HistoryFrom
	}
	return q
}

// PartsOf names the files of an export that hold rows of the subjects, or attachments of
// such rows. x comes with its parts.
func (i Impact) PartsOf(x schemas.Export) (names []string) {
	if x.Request == nil {
		return nil
	}
	q := selectedBy(x)
	var held []erasableRow // each with the version that the export chose
	for _, row := range i.between(q) {
		if v, found := i.heldBy(x, q, row); found {
			held = append(held, erasableRow{row.key, []erasableVersion{v}})
		}
	}
	for _, p := range x.Parts {
		first, _ := slices.BinarySearchFunc(held, p.First, func(row erasableRow, key schemas.RowKey) int { return row.key.Compare(key) })
		for _, row := range held[first:] {
			if row.key.Compare(p.Last) > 0 {
				break
			}
			if covers(p, row.key, row.versions[0].attached) {
				names = append(names, p.Name)
				break
			}
		}
	}
	return names
}

// between returns the rows in the range of a query.
func (i Impact) between(q Query) []erasableRow {
	all := i.rows[q.Filter.Entity]
	at := func(t schemas.Time) int {
		n, _ := slices.BinarySearchFunc(all, t, func(row erasableRow, t schemas.Time) int { return row.key.Time.Compare(t) })
		return n
	}
	from, to := at(q.Filter.From), at(q.Filter.To)
	return all[from:max(from, to)]
}

// heldBy is the version of a row that an export has, or is to have, if that goes.
func (i Impact) heldBy(x schemas.Export, q Query, row erasableRow) (v erasableVersion, held bool) {
	v, found := q.newestOf(row)
	return v, found && q.passes(v) && i.erased(q.Filter.Entity, v) && (!hadBefore(x.Continues, row, v) || i.toldOf(x.Continues, q.Filter.Entity, row))
}

// toldOf reports whether an export carries an erasure of a row: it has what is left of it, whether
// or not the export that it continues has that too. See Query.upserts.
func (i Impact) toldOf(c *schemas.Continued, kind string, row erasableRow) bool {
	return slices.ContainsFunc(i.recorded[kind][row.key.ID], func(at time.Time) bool {
		return !at.Before(c.ErasedFrom.Time) && at.Before(c.ErasedTo.Time)
	})
}

// hadBefore reports whether the export that another one continues selected a version.
func hadBefore(c *schemas.Continued, row erasableRow, v erasableVersion) bool {
	if c == nil {
		return false
	}
	q := Query{Filter: c.Filter, Snapshot: c.Snapshot}
	had, found := q.newestOf(row)
	return found && had.partition == v.partition && had.offset == v.offset && q.passes(had)
}

// newestOf is the version that the query chooses: see newest.
func (q Query) newestOf(row erasableRow) (newest erasableVersion, found bool) {
	if row.key.Time.Before(q.Filter.From.Time) || !row.key.Time.Before(q.Filter.To.Time) {
		return newest, false
	}
	looked := int32(-1)
	for _, v := range row.versions {
		if v.partition == looked || !within(q.Snapshot, v) {
			continue
		}
		looked = v.partition                                 // whose newest it is
		if !found || !v.published.Before(newest.published) { // the higher partition, if both are as old
			newest, found = v, true
		}
	}
	return newest, found
}

// passes is passing, of a version that was read.
func (q Query) passes(v erasableVersion) bool {
	for _, in := range []struct {
		asked []string
		value string
	}{{q.Filter.MediaTypes, v.media}, {q.Filter.Queues, v.queue}, {q.Filter.Directions, v.direction}, {q.Filter.Statuses, v.status}, {q.Filter.Contacts, v.contact}} {
		if len(in.asked) > 0 && !slices.Contains(in.asked, in.value) {
			return false
		}
	}
	for name, value := range q.Filter.Attributes {
		if got, has := v.attributes[name]; !v.unreadable && (!has || got != value) {
			return false
		}
	}
	return true
}

// stored reports whether one of the parts covers a row, or its attachments.
func stored(parts []schemas.Receipt, key schemas.RowKey, attached bool) bool {
	return slices.ContainsFunc(parts, func(p schemas.Receipt) bool { return covers(p, key, attached) })
}

// covers reports whether a part has a row, or its attachments. One with removals has none.
func covers(p schemas.Receipt, key schemas.RowKey, attached bool) bool {
	return (p.Kind == "" || p.Kind == schemas.KindAttachments && attached) && p.First.Compare(key) <= 0 && key.Compare(p.Last) <= 0
}
