package export_test

import (
	"testing"

	"cdds/pipeline/pipelinetest"
	"cdds/schemas"
)

// A message that is never handled stops all requests behind it.
func TestARequestThatContinuesWhatTheStoreForgotIsRefusedAndStopsNoOther(t *testing.T) {
	s := newScene(pipelinetest.Records(100)...)
	r := request("continues")
	r.SinceExport = "forgotten"
	check(t, s.handle(t.Context(), s.worker(nil, nil), r))
	if all := s.statuses("continues"); len(all) == 0 || all[len(all)-1].State != schemas.Refused {
		t.Errorf("reported is %+v", all)
	}
}
