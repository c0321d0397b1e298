package pipelinetest_test

import (
	"fmt"
	"testing"

	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// An ingest of before took members in capitals for unknown ones. The plan was made from
// what it read, so the parts must be, too: read otherwise, the row would make every
// export over it fail.
func TestAStoredInteractionHasTheAttachmentsThatIngestReadInIt(t *testing.T) {
	e := &schemas.Interaction{
		InteractionID: "fold-1", TenantID: pipelinetest.Tenant, MediaType: "email", StartedAt: pipelinetest.Everything().Filter.From,
		Attachments: []schemas.Attachment{{AttachmentID: "a"}},
	}
	e.Body = fmt.Appendf(nil, `{"interaction_id":"fold-1","tenant_id":%q,"media_type":"email","started_at":%q,"text":"\ud83d","attachments":[{"attachment_id":"a","CONTENT":"QUJD"}]}`,
		e.TenantID, e.StartedAt)
	source := pipelinetest.NewSource(schemas.Record[*schemas.Interaction]{Event: e})
	c, err := worker(t, pipelinetest.NewStore(), source, pipelinetest.NewStore())
	if err != nil {
		t.Fatal(err)
	}
	if c.Totals.Rows != 1 || c.Totals.Attachments != 1 || c.Totals.AttachmentBytes != 0 {
		t.Errorf("the export has %+v", c.Totals)
	}
}
