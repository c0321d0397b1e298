package pipelinetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// TestStore holds an empty Store to the contract of pipeline.Store.
func TestStore(t *testing.T, s pipeline.Store) {
	t.Run("what is not there is not found, and may be removed", func(t *testing.T) {
		_, statErr := s.Stat(t.Context(), "none")
		_, getErr := s.GetBytes(t.Context(), "none", 10)
		if !errors.Is(statErr, bucket.ErrNotFound) || !errors.Is(getErr, bucket.ErrNotFound) {
			t.Errorf("stat says %v, get says %v", statErr, getErr)
		}
		if err := s.Remove(t.Context(), "none"); err != nil {
			t.Error(err)
		}
	})
	t.Run("of many writers one succeeds and the others learn that it exists", func(t *testing.T) {
		var won atomic.Int32
		var writing sync.WaitGroup
		for i := range 8 {
			writing.Go(func() {
				content := contentOf(bytes.Repeat([]byte{byte(i)}, 1000+i))
				content.Metadata = map[string]string{"n": string(rune('0' + i))}
				err := s.Put(t.Context(), "race/one", content)
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, bucket.ErrExists) {
					t.Error(err)
				}
			})
		}
		writing.Wait()
		o, err := s.Stat(t.Context(), "race/one")
		content, getErr := s.GetBytes(t.Context(), "race/one", 2000)
		if won.Load() != 1 || err != nil || getErr != nil {
			t.Fatalf("%d won, %v, %v", won.Load(), err, getErr)
		}
		n := content[0]
		if o.Metadata["n"] != string(rune('0'+n)) || o.Size != int64(len(content)) || len(content) != 1000+int(n) {
			t.Errorf("content of %d with metadata %v and size %d of %d", n, o.Metadata, o.Size, len(content))
		}
	})
	t.Run("a body of another digest than its own is refused", func(t *testing.T) {
		content := contentOf([]byte("what was sealed"))
		content.Body = bytes.NewReader([]byte("what was sent..."[:content.Size]))
		if err := s.Put(t.Context(), "altered", content); err == nil || errors.Is(err, bucket.ErrExists) {
			t.Errorf("Put says %v", err)
		}
		if _, err := s.Stat(t.Context(), "altered"); !errors.Is(err, bucket.ErrNotFound) {
			t.Errorf("Stat says %v", err)
		}
	})
	t.Run("a limit is a limit, a listing is in order, and what is removed is gone", func(t *testing.T) {
		for _, key := range []string{"list/b", "list/a", "other/c"} {
			if err := s.PutBytes(t.Context(), key, []byte("12345"), schemas.ContentTypeJSON); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.GetBytes(t.Context(), "list/a", 4); err == nil {
			t.Error("five bytes are within a limit of four")
		}
		all, err := s.List(t.Context(), "list/")
		if err != nil || len(all) != 2 || all[0].Key != "list/a" || all[1].Key != "list/b" || all[0].Size != 5 {
			t.Errorf("listed %+v, %v", all, err)
		}
		if err := s.Remove(t.Context(), "list/a"); err != nil {
			t.Error(err)
		}
		if _, err := s.Stat(t.Context(), "list/a"); !errors.Is(err, bucket.ErrNotFound) {
			t.Error("it is still there:", err)
		}
	})
	t.Run("many are removed together, those that are not there as well, and nothing else", func(t *testing.T) {
		var keys []string
		for n := range 1010 {
			keys = append(keys, fmt.Sprintf("many/%04d", n))
			if n%5 > 0 && n < 1005 {
				continue
			}
			if err := s.PutBytes(t.Context(), keys[n], []byte("1"), schemas.ContentTypeJSON); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.PutBytes(t.Context(), "many/other", []byte("1"), schemas.ContentTypeJSON); err != nil {
			t.Fatal(err)
		}
		if err := s.RemoveAll(t.Context(), keys); err != nil {
			t.Fatal(err)
		}
		if all, err := s.List(t.Context(), "many/"); err != nil || len(all) != 1 || all[0].Key != "many/other" {
			t.Errorf("left are %d, %v", len(all), err)
		}
	})
}

// Tenant of the records that TestSource wants its Source to hold.
const Tenant = "conformance"

// Records are what TestSource wants its Source to hold: n interactions in two
// partitions, every third published a second time as of another medium.
func Records(n int) (all []schemas.Record[*schemas.Interaction]) {
	offsets := [2]int64{}
	add := func(i int, media, text string) {
		e := &schemas.Interaction{
			InteractionID: string(rune('a'+i%26)) + time.Duration(i).String(), TenantID: Tenant, MediaType: media,
			StartedAt: schemas.TimeOf(start.Add(time.Duration(i%50) * time.Hour)), Text: text,
			Queue: []string{"sales", "support"}[(i/2+len(media))%2], Direction: schemas.Directions()[i%3],
			Status: []string{"open", "closed"}[i/3%2], Attributes: attributes[i%len(attributes)],
			ContactID: contacts[(i+len(media))%len(contacts)], // which the second version corrects
		}
		e.Attachments = attachmentsOf(i, media)
		body, err := schemas.Encode(e)
		if err != nil {
			panic(err)
		}
		e.Body = body
		p := i % 2
		all = append(all, schemas.Record[*schemas.Interaction]{Event: e, Partition: int32(p), Offset: offsets[p]})
		offsets[p]++
	}
	for i := range n {
		add(i, "voice", "first")
	}
	for i := 0; i < n; i += 3 {
		add(i, "chat", "the second version is longer")
	}
	return all
}

// attachmentsOf gives every seventh interaction files, and takes them away again from
// every twenty-first with its second version.
func attachmentsOf(i int, media string) []schemas.Attachment {
	if i%7 != 0 || media == "chat" && i%2 == 0 {
		return nil
	}
	content := AttachmentObject(i)
	sum := sha256.Sum256(content)
	all := []schemas.Attachment{
		{AttachmentID: "inline", Name: "inline.txt", ContentType: "text/plain", Content: base64.StdEncoding.EncodeToString([]byte("content of " + media))},
	}
	if i%49 > 0 {
		return all
	}
	return append(all, schemas.Attachment{
		AttachmentID: "object", Name: "../../object.bin", Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Object: AttachmentKey(i),
	})
}

// AttachmentKey is the key of the object interaction i of Records refers to, if it has
// attachments: if 49 divides i.
func AttachmentKey(i int) string { return fmt.Sprintf("%s/%d", Tenant, i) }

// AttachmentObject is what that object should hold.
func AttachmentObject(i int) []byte { return bytes.Repeat([]byte{byte(i), byte(i >> 8), 7}, 100+i) }

// PutAttachments stores the objects that Records(n) refer to.
func PutAttachments(ctx context.Context, s pipeline.Store, n int) error {
	for i := 0; i < n; i += 49 {
		if err := s.PutBytes(ctx, AttachmentKey(i), AttachmentObject(i), "application/octet-stream"); err != nil {
			return err
		}
	}
	return nil
}

// contacts of Records: as ids come, and none.
var contacts = []string{"ann", "Ann", `it's "} \ , {x:String}`, "ünï", "bob", ""}

// attributes of Records: some have to be quoted, and an empty value is not an absent one.
var attributes = []map[string]string{
	nil, {"region": "north", `it's "}`: `\ {x:String}`}, {"region": ""}, {"region": "north"}, {"region": "south"},
}

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// manyContacts are as many ids as a request takes, and as long, but for one.
func manyContacts() (ids []string) {
	for i := range schemas.MaxContacts - 1 {
		ids = append(ids, fmt.Sprintf("nobody-of-this-name-has-ever-called-us-and-so-%d", i))
	}
	return ids
}

// Everything is a query over all Records that are before a snapshot.
func Everything(snapshot ...int64) warehouse.Query {
	return warehouse.Query{Snapshot: snapshot, Filter: schemas.Filter{
		TenantID: Tenant, Entity: schemas.EntityInteraction,
		From: schemas.TimeOf(start), To: schemas.TimeOf(start.AddDate(0, 1, 0)),
	}}
}

// TestSource holds a Source that has Records(n) to what the twin in memory says.
func TestSource(t *testing.T, s pipeline.Source, n int) {
	twin := NewSource(Records(n)...)
	chats, window := Everything(int64(n), int64(n)), Everything(int64(n), int64(n))
	chats.Filter.MediaTypes = []string{"chat"}
	match := func(m schemas.Match) warehouse.Query {
		q := Everything(int64(n), int64(n))
		q.Filter.Match = m
		return q
	}
	since := func(f schemas.Filter) warehouse.Query {
		q := Everything(int64(n), int64(n))
		q.Filter = f
		before := Everything().Filter
		before.MediaTypes = f.MediaTypes
		q.Before = &warehouse.Before{Filter: before, Snapshot: schemas.Snapshot{int64(n / 2)}}
		return q
	}
	widened := since(Everything().Filter)
	widened.Before.Filter.MediaTypes = []string{"voice"}
	narrowed := since(Everything().Filter)
	narrowed.Filter.Queues = []string{"sales"}
	earlier := since(Everything().Filter)
	earlier.Before.Filter.From = schemas.TimeOf(start.Add(20 * time.Hour))
	window.Filter.From, window.Filter.To = schemas.TimeOf(start.Add(5*time.Hour)), schemas.TimeOf(start.Add(20*time.Hour))
	of := func(q warehouse.Query, ids ...string) warehouse.Query {
		q.Filter.Contacts = ids
		return q
	}
	sinceOthers := func(before ...string) warehouse.Query {
		q := of(since(Everything().Filter), "ann", "Ann")
		q.Before.Filter.Contacts = before
		return q
	}
	for name, q := range map[string]warehouse.Query{
		"contacts since the same ones": sinceOthers("ann", "Ann"), "contacts since others": sinceOthers("ann", "bob"),
		"a contact": of(Everything(int64(n), int64(n)), "ann"), "contacts as ids come": of(chats, contacts[1], contacts[2], contacts[3]),
		"contacts of an early snapshot": of(Everything(int64(n/3), int64(n/2)), "bob", "ann"), "a contact since a snapshot": of(since(Everything().Filter), "ann"),
		"the most contacts that are allowed": of(window, append(manyContacts(), "ann")...),
		"everything":                         Everything(int64(n), int64(n)), "an early snapshot": Everything(int64(n/3), int64(n/2)),
		"one partition": Everything(int64(n)), "nothing": Everything(), "the newest version's medium": chats, "a window": window,
		"since a snapshot": since(Everything().Filter), "since a snapshot, of a medium": since(chats.Filter), "since a wider filter": narrowed,
		"since a narrower filter": widened, "since fewer hours": earlier,
		"a queue":        match(schemas.Match{Queues: []string{"sales", "none"}}),
		"two conditions": match(schemas.Match{Directions: []string{"inbound"}, Statuses: []string{"closed"}}),
		"attributes":     match(schemas.Match{Queues: []string{"sales"}, Attributes: map[string]string{"region": "north", `it's "}`: `\ {x:String}`}}),
		"an empty value": match(schemas.Match{Attributes: map[string]string{"region": ""}}),
	} {
		t.Run(name, func(t *testing.T) {
			extent, err := s.Extent(t.Context(), q)
			wantExtent, _ := twin.Extent(t.Context(), q)
			if err != nil || extent != wantExtent {
				t.Errorf("it selects %+v, want %+v, %v", extent, wantExtent, err)
			}
			chunks, err := Chunks(t.Context(), s, q, 7)
			want, _ := Chunks(t.Context(), twin, q, 7)
			if len(want) == 0 && name != "nothing" {
				t.Fatal("the query selects nothing and compares nothing")
			}
			if err != nil || len(chunks) != len(want) {
				t.Fatalf("%d chunks, want %d, %v", len(chunks), len(want), err)
			}
			if got, wanted := removed(t, s, q), removed(t, twin, q); got != wanted {
				t.Errorf("it removes %q, want %q", got, wanted)
			}
			for i, c := range chunks {
				if c.Rows != want[i].Rows || c.Attached != want[i].Attached || c.Bytes != want[i].Bytes || c.Versions != want[i].Versions || c.AttachedVersions != want[i].AttachedVersions || c.First.Compare(want[i].First) != 0 || c.Last.Compare(want[i].Last) != 0 {
					t.Errorf("chunk %d is %+v, want %+v", i, c, want[i])
				}
				if got, wanted := lines(t, s, q, c), lines(t, twin, q, c); got != wanted {
					t.Errorf("chunk %d reads %q, want %q", i, got, wanted)
				}
				if got, wanted := attached(t, s, q, c), attached(t, twin, q, c); got != wanted {
					t.Errorf("chunk %d has attachments in %q, want %q", i, got, wanted)
				}
			}
		})
	}
}

// removed are the removals of a query, each of them read in a range of its own too.
func removed(t *testing.T, s pipeline.Source, q warehouse.Query) string {
	t.Helper()
	var all []schemas.Removal
	collect := func(to *[]schemas.Removal) func(schemas.Removal) error {
		return func(r schemas.Removal) error { *to = append(*to, r); return nil }
	}
	n, err := s.CountRemoved(t.Context(), q)
	if err == nil {
		err = s.Removed(t.Context(), q, schemas.RowKey{}, nil, collect(&all))
	}
	if err != nil || n != int64(len(all)) {
		t.Errorf("%d removals of %d: %v", len(all), n, err)
	}
	for i := 0; i+2 < len(all); i += 3 {
		var some []schemas.Removal
		last := all[i+2].Key()
		if err := s.Removed(t.Context(), q, all[i].Key(), &last, collect(&some)); err != nil || !slices.Equal(some, all[i:i+3]) {
			t.Errorf("between %v and %v it removes %v: %v", all[i], all[i+2], some, err)
		}
	}
	return fmt.Sprint(all)
}

// lines are the rows of a chunk, and which versions they are.
func lines(t *testing.T, s pipeline.Source, q warehouse.Query, c warehouse.Chunk) string {
	t.Helper()
	r, err := s.Rows(t.Context(), q, c.First, c.Last)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if r.Sum() != c.Versions {
		t.Errorf("the versions read come to %016x, and the chunk says %016x", r.Sum(), c.Versions)
	}
	return string(content)
}

// attached are the rows of a chunk that have attachments, as Attached gives them and as
// AttachmentSizes does.
func attached(t *testing.T, s pipeline.Source, q warehouse.Query, c warehouse.Chunk) string {
	t.Helper()
	var rows strings.Builder
	err := s.Attached(t.Context(), q, c.First, c.Last, func(version uint64, body []byte) error {
		_, err := fmt.Fprintf(&rows, "%016x %s\n", version, body)
		return err
	})
	if err == nil {
		err = s.AttachmentSizes(t.Context(), q, c.First, c.Last, func(key schemas.RowKey, version uint64, sizes []uint64) {
			fmt.Fprintf(&rows, "%v %016x %d\n", key, version, sizes)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return rows.String()
}
