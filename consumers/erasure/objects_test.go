package erasure_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cdds/schemas"
)

// TestWhatTheStoreKeepsOfAnErasureIsReported: an object of an attachment is under a legal hold that
// is not ours. The rest is forgotten, and the report says what stays, also if the process dies.
func TestWhatTheStoreKeepsOfAnErasureIsReported(t *testing.T) {
	for name, dies := range map[string]bool{"at once": false, "after a process died": true} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				s.store.Locks = true
				sum := strings.Repeat("0", 64)
				e, err := schemas.DecodeInteraction(fmt.Appendf(nil, `{"interaction_id":"i1","tenant_id":%q,"contact_id":"eve","media_type":"chat","started_at":"2024-01-01T00:00:00.000Z","attachments":[`+
					`{"attachment_id":"a","name":"a","content_type":"text/plain","object":"acme/a","size":1,"sha256":%q},{"attachment_id":"b","name":"b","content_type":"text/plain","object":"acme/b","size":1,"sha256":%q}]}`, tenant, sum, sum))
				s.check(err)
				s.records = append(s.records, schemas.Record[*schemas.Interaction]{Event: e, Time: schemas.TimeOf(time.Now())})
				s.ingest()
				for _, key := range []string{"acme/a", "acme/b"} {
					s.check(s.store.PutBytes(s.Context(), key, []byte("x"), "text/plain"))
				}
				s.check(s.store.Lock(s.Context(), "acme/b", true))
				request := s.erasureOf("forget")
				if dies {
					s.breaksOff(request, beforeCounting)
				}
				s.check(s.handle(request))
				shown := s.shown("forget")
				if shown.State != schemas.ErasureDone || shown.Rows != 1 || shown.Objects != 1 ||
					!strings.Contains(shown.Reason, "1 object of attachments could not be removed") || !strings.Contains(shown.Reason, "under a legal hold") || !strings.HasSuffix(shown.Reason, ": acme/b") {
					t.Errorf("it is %s, %d versions and %d objects, %q", shown.State, shown.Rows, shown.Objects, shown.Reason)
				}
			})
		})
	}
}
