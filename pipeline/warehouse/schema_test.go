package warehouse_test

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

func TestColumnsCoverEveryField(t *testing.T) {
	// What other products know of interactions is in the body alone: nothing filters or counts by
	// it, and each column costs every insert.
	inBody := []string{
		"entity_type", "subtype", "external_id", "time_shift", "structured_text", "structured_text_type", "subtenant_id",
		"thread_hash", "can_be_parent", "creator_app_id", "is_spam", "web_safe_email_status", "category_approved", "stopped_reason",
	}
	own := []string{"body", "body_bytes", "ingested_at", "source_offset", "source_partition"}
	for name, v := range map[string]any{"0001_interactions": schemas.Interaction{}, "0002_contacts": schemas.Contact{}} {
		var columns []string
		for _, s := range warehouse.Schema().Statements() {
			if s.Name == name {
				for _, m := range regexp.MustCompile(`(?m)^    ([a-z_0-9]+) +[A-Z]`).FindAllStringSubmatch(s.SQL, -1) {
					columns = append(columns, m[1])
				}
			}
		}
		want := slices.Clone(own)
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "" && tag != "-" && !slices.Contains(inBody, tag) {
				want = append(want, tag)
			}
		}
		slices.Sort(columns)
		slices.Sort(want)
		if !slices.Equal(columns, want) {
			t.Errorf("%s: columns = %v, want %v", name, columns, want)
		}
	}
}
