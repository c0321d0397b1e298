package importer_test

import (
	"fmt"
	"strings"
	"testing"

	"cdds/producers/importer"
	"cdds/schemas"
)

func TestImportReadsTheNamesOfAnotherProduct(t *testing.T) {
	cluster, p := newKafka(t, schemas.TopicInteractions)
	long := strings.Repeat("n", schemas.MaxEventBytes-200) // a copy of it makes a line that is too long for an event
	lines := []string{
		`{"ixnId":"i-1","tenantId":"acme","mediaTypeId":"Email","typeId":"Inbound","startDate":"2026-10-05T07:13:35.364Z","ownerId":17,"isSpam":"true"}`,
		fmt.Sprintf(`{"interaction_id":"i-2","tenant_id":"acme","media_type":"chat","started_at":"2026-10-05T07:13:35.364Z","notes":%q,"ixnId":"i-2","theComment":%q}`, long, long),
		`{"interaction_id":"i-3","ixnId":"i-4","tenant_id":"acme","media_type":"chat","started_at":"2026-10-05T07:13:35.364Z"}`,
		fmt.Sprintf(`{"ixnId":"i-5","tenantId":"acme","mediaTypeId":"chat","startDate":"2026-10-05T07:13:35.364Z","theComment":%q}`, long+long),
	}
	r, err := importer.Import(t.Context(), importer.Options{
		Publisher: p, Topic: schemas.TopicInteractions, Names: schemas.NamesGenesys, Files: []string{file(t, "theirs.json", join(lines))},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Read != 4 || r.Published != 2 || len(r.Refusals) != 2 {
		t.Fatalf("report = %+v", r)
	}
	if first := r.Refusals[0]; first.Line != 3 || !strings.Contains(first.Reason, `"ixnId" and "interaction_id"`) {
		t.Errorf("refused: %+v", first)
	}
	if second := r.Refusals[1]; second.Line != 4 || second.Code != schemas.CodeTooLarge {
		t.Errorf("refused: %+v", second)
	}
	got := map[string]string{}
	for _, record := range consume(t, cluster, schemas.TopicInteractions, 2) {
		got[string(record.Key)] = string(record.Value)
	}
	if want := `{"interaction_id":"i-1","tenant_id":"acme","media_type":"email","direction":"inbound","started_at":"2026-10-05T07:13:35.364Z","agent_id":"17","is_spam":true}`; got["i-1"] != want {
		t.Errorf("published %s, want %s", got["i-1"], want)
	}
	if want := fmt.Sprintf(`{"interaction_id":"i-2","tenant_id":"acme","media_type":"chat","started_at":"2026-10-05T07:13:35.364Z","notes":%q}`, long); got["i-2"] != want {
		t.Errorf("the long one was published with %d bytes, want %d", len(got["i-2"]), len(want))
	}
}
