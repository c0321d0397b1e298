package schemas_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"cdds/schemas"
)

func TestInteractionsSurviveEncodingAndDecoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := interactions().Draw(t, "interaction")
		encoded := []byte(mustEncode(e))
		read, err := schemas.DecodeInteraction(encoded)
		if err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		if !bytes.Equal(read.Body, encoded) {
			t.Fatalf("the body of %s is %s", encoded, read.Body)
		}
		read.Body = nil
		if !reflect.DeepEqual(read, e) {
			t.Fatalf("%+v became %+v", e, read)
		}
	})
}

func TestContactsSurviveEncodingAndDecoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &schemas.Contact{
			ContactID: ids(1).Draw(t, "id"), TenantID: "acme", CreatedAt: times().Draw(t, "created"),
			DisplayName: rapid.StringN(0, 40, 200).Draw(t, "name"), Notes: rapid.String().Draw(t, "notes"),
			Emails: lists(ids(1)).Draw(t, "emails"), Phones: lists(ids(1)).Draw(t, "phones"), Attributes: attributeMaps().Draw(t, "attributes"),
		}
		encoded := []byte(mustEncode(c))
		read, err := schemas.DecodeContact(encoded)
		if err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		read.Body = nil
		if !reflect.DeepEqual(read, c) {
			t.Fatalf("%+v became %+v", c, read)
		}
	})
}

func TestBodyIsTheInputToAnyJSONReaderExceptForTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.MapOf(rapid.String(), values(3)).Draw(t, "members")
		maps.DeleteFunc(members, func(name string, _ any) bool { return clashes(name) })
		members["interaction_id"], members["tenant_id"], members["media_type"] = "i", "acme", "chat"
		times := map[string]time.Time{"started_at": {}, "ended_at": {}, "modified_at": {}}
		for name := range times {
			when := zonedTimes().Draw(t, name)
			times[name] = when
			members[name] = when.Format(time.RFC3339Nano)
		}
		input, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "indented") {
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, input, "\t", " "); err != nil {
				t.Fatal(err)
			}
			input = pretty.Bytes()
		}

		e, err := schemas.DecodeInteraction(input)
		if err != nil {
			t.Fatalf("%s: %v", input, err)
		}
		want, got := generic(t, input), generic(t, e.Body)
		for name, when := range times {
			want[name] = when.UTC().Truncate(time.Millisecond).Format("2006-01-02T15:04:05.000Z")
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s became %s", input, e.Body)
		}
		if bytes.ContainsAny(e.Body, "\r\n") {
			t.Fatalf("%s is more than one line", e.Body)
		}
	})
}

func generic(t *rapid.T, b []byte) map[string]any {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return m
}

// clashes reports whether name is one that has a meaning, in any letter case.
func clashes(name string) bool {
	for known := range reflect.TypeFor[schemas.Interaction]().Fields() {
		if tag, _, _ := strings.Cut(known.Tag.Get("json"), ","); strings.EqualFold(name, tag) {
			return true
		}
	}
	return false
}

// values draws any JSON value, at most depth levels deep.
func values(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{
		rapid.String().AsAny(), rapid.Bool().AsAny(), rapid.Int64().AsAny(), rapid.Float64Range(-1e300, 1e300).AsAny(), rapid.Just[any](nil),
	}
	if depth > 0 {
		kinds = append(kinds, rapid.SliceOfN(values(depth-1), 0, 4).AsAny(), rapid.MapOfN(rapid.String(), values(depth-1), 0, 4).AsAny())
	}
	return rapid.OneOf(kinds...)
}

func interactions() *rapid.Generator[*schemas.Interaction] {
	short := rapid.StringN(0, 40, 200)
	return rapid.Custom(func(t *rapid.T) *schemas.Interaction {
		return &schemas.Interaction{
			InteractionID: ids(1).Draw(t, "id"), TenantID: rapid.StringMatching(`[a-z0-9][a-z0-9._-]{0,62}`).Draw(t, "tenant"),
			MediaType: rapid.SampledFrom(schemas.MediaTypes()).Draw(t, "media"),
			Direction: rapid.SampledFrom(append(schemas.Directions(), "")).Draw(t, "direction"),
			Status:    rapid.SampledFrom([]string{"", "open", "closed"}).Draw(t, "status"),
			StartedAt: times().Draw(t, "started"), EndedAt: rapid.Ptr(times(), true).Draw(t, "ended"), ModifiedAt: rapid.Ptr(times(), true).Draw(t, "modified"),
			ParentID: ids(0).Draw(t, "parent"), ThreadID: ids(0).Draw(t, "thread"), ContactID: ids(0).Draw(t, "contact"), AgentID: ids(0).Draw(t, "agent"),
			Queue: short.Draw(t, "queue"), Category: short.Draw(t, "category"), Subject: short.Draw(t, "subject"),
			Text: rapid.String().Draw(t, "text"), Notes: rapid.String().Draw(t, "notes"),
			Language: short.Draw(t, "language"), Disposition: short.Draw(t, "disposition"),
			EntityType: short.Draw(t, "entity type"), Subtype: short.Draw(t, "subtype"), ExternalID: ids(0).Draw(t, "external"),
			TimeShift: rapid.Ptr(rapid.Int64Range(-1440, 1440), true).Draw(t, "shift"), StructuredText: rapid.String().Draw(t, "structured"),
			StructuredTextType: short.Draw(t, "structured type"), SubtenantID: ids(0).Draw(t, "subtenant"), ThreadHash: short.Draw(t, "hash"),
			CanBeParent: rapid.Ptr(rapid.Bool(), true).Draw(t, "parent too"), CreatorAppID: ids(0).Draw(t, "app"), IsSpam: rapid.Ptr(rapid.Bool(), true).Draw(t, "spam"),
			WebSafeEmailStatus: short.Draw(t, "safe"), CategoryApproved: rapid.Ptr(rapid.Bool(), true).Draw(t, "approved"), StoppedReason: short.Draw(t, "stopped"),
			Attributes:  attributeMaps().Draw(t, "attributes"),
			Attachments: lists(rapid.Just(schemas.Attachment{AttachmentID: "a", Content: "QUJD", Size: 3})).Filter(func(l []schemas.Attachment) bool { return len(l) < 2 }).Draw(t, "attachments"),
		}
	})
}

func ids(least int) *rapid.Generator[string] {
	return rapid.StringN(least, 60, 250).Filter(func(s string) bool { return !strings.ContainsFunc(s, unicode.IsControl) })
}

// lists draws nil for empty, as decoding an absent member does.
func lists[E any](of *rapid.Generator[E]) *rapid.Generator[[]E] {
	return rapid.OneOf(rapid.Just[[]E](nil), rapid.SliceOfN(of, 1, 4))
}

func attributeMaps() *rapid.Generator[map[string]string] {
	return rapid.OneOf(rapid.Just[map[string]string](nil), rapid.MapOfN(rapid.StringN(1, 40, 200), rapid.String(), 1, 8))
}

func times() *rapid.Generator[schemas.Time] {
	return rapid.Map(zonedTimes(), schemas.TimeOf)
}

// zonedTimes draws instants of the years 1970 to 2199 to the nanosecond, in any zone.
func zonedTimes() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		const end = 7_258_118_400 // 2200-01-01
		zone := time.FixedZone("", 60*rapid.IntRange(-23*60, 23*60).Draw(t, "zone"))
		return time.Unix(rapid.Int64Range(0, end-1).Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanosecond")).In(zone)
	})
}
