package schemas_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cdds/schemas"
)

func status(event string, state schemas.State, second int) *schemas.ExportStatus {
	return &schemas.ExportStatus{
		TenantID: "acme", ExportID: "e-1", EventID: event, State: state,
		Time: schemas.TimeOf(at("2026-11-01T00:00:00Z").Add(time.Duration(second) * time.Second)),
	}
}

// history is the events of an export that is at work on its second part.
func history() []*schemas.ExportStatus {
	requested := status("requested", schemas.Requested, 1)
	requested.Request, requested.RequestDigest = validRequest(), "d-1"
	requested.Snapshot = schemas.Snapshot{1, 2}
	waiting := status("waiting/1", schemas.Requested, 2)
	waiting.Waiting = "for ingest"
	planned := status("planned", schemas.Planned, 3)
	parts := validManifest().Parts
	planned.Planned = &schemas.Totals{Parts: 2, Rows: 3, JSONLBytes: 2100}
	stored := status(schemas.PartEventID(1), schemas.Running, 13)
	stored.Part = &parts[0]
	return []*schemas.ExportStatus{requested, waiting, planned, stored}
}

func TestFoldOfNothingIsTheZeroExport(t *testing.T) {
	if got := string(encode(t, schemas.Fold())); got != string(encode(t, schemas.Export{})) {
		t.Errorf("got %s", got)
	}
}

func TestFoldFollowsAnExport(t *testing.T) {
	e := schemas.Fold(history()...)
	if e.State != schemas.Running || e.Done.Rows != 2 || e.Planned.Rows != 3 || e.Planned.Parts != 2 || e.Waiting != "" {
		t.Errorf("folded to %+v", e)
	}
	if left, ok := e.Remaining(e.PlannedAt.Add(20 * time.Second)); !ok || left != 10*time.Second {
		t.Errorf("remaining = %s, %t; two thirds took 20s", left, ok)
	}
	waiting := schemas.Fold(history()[:2]...)
	if waiting.State != schemas.Requested || waiting.Waiting != "for ingest" || !waiting.RequestedAt.Equal(history()[0].Time.Time) {
		t.Errorf("folded to %+v", waiting)
	}
}

func TestFoldLetsCompletedPrevailOverLateFailure(t *testing.T) {
	completed := status("completed", schemas.Completed, 20)
	completed.Completion = &schemas.Completion{ManifestKey: "k"}
	failed := status("failed", schemas.Failed, 30)
	failed.Failure = &schemas.Failure{Reason: "the worker was believed dead"}
	e := schemas.Fold(append(history(), completed, failed)...)
	if e.State != schemas.Completed || e.Failure != nil || e.Completion == nil || !e.EndedAt.Equal(completed.Time.Time) {
		t.Errorf("folded to %+v", e)
	}
}

func TestFoldKeepsWhatWasStoredOfACompletedExportWhateverIsSaidLater(t *testing.T) {
	completed := status("completed", schemas.Completed, 20)
	completed.Completion = &schemas.Completion{ManifestKey: "k"}
	waiting := status("waiting/1", schemas.Completed, 30)
	waiting.Waiting = "for the store"
	if e := schemas.Fold(completed, waiting); e.Completion == nil || e.Completion.ManifestKey != "k" {
		t.Errorf("it is %s with %+v", e.State, e.Completion)
	}
}

func TestFoldPutsTheLatestAttemptInForce(t *testing.T) {
	failed := status("failed", schemas.Failed, 20)
	failed.Failure = &schemas.Failure{Reason: "no space"}
	retried := status("retried/2", schemas.Requested, 30)
	retried.Attempt = 2
	again := status("failed/2", schemas.Failed, 40)
	again.Failure, again.Attempt = &schemas.Failure{Reason: "still no space"}, 2
	if e := schemas.Fold(append(history(), failed)...); e.State != schemas.Failed || e.Attempt != 1 || e.Failure.Reason != "no space" {
		t.Errorf("failed: folded to %+v", e)
	}
	e := schemas.Fold(append(history(), failed, retried)...)
	if e.State != schemas.Running || e.Attempt != 2 || e.Failure != nil || !e.EndedAt.IsZero() || e.Done.Parts != 1 {
		t.Errorf("retried: folded to %+v", e)
	}
	e = schemas.Fold(append(history(), again, retried, failed)...)
	if e.State != schemas.Failed || e.Attempt != 2 || e.Failure.Reason != "still no space" || !e.EndedAt.Equal(again.Time.Time) {
		t.Errorf("failed again: folded to %+v", e)
	}
	third := status("retried/3", schemas.Requested, 50)
	third.Attempt = 3
	completed := status("completed", schemas.Completed, 45) // by the second attempt, believed dead
	completed.Attempt, completed.Completion = 2, &schemas.Completion{ManifestKey: "k"}
	if e := schemas.Fold(append(history(), third, completed, again)...); e.State != schemas.Completed || e.Failure != nil || e.Attempt != 3 {
		t.Errorf("completed: folded to %+v", e)
	}
}

func TestFoldSaysWhenAndWhyAnExportWasDeleted(t *testing.T) {
	completed := status("completed", schemas.Completed, 20)
	deleted := status("deleted", schemas.Deleted, 30)
	deleted.Reason = "deleted by ada"
	e := schemas.Fold(deleted, completed, deleted)
	if e.State != schemas.Deleted || e.Reason != "deleted by ada" || !e.RemovedAt.Equal(deleted.Time.Time) || !e.EndedAt.Equal(completed.Time.Time) {
		t.Errorf("folded to %+v", e)
	}
}

func TestFoldKeepsAnotherRequestOfTheSameIDApart(t *testing.T) {
	other := status("refused/d-2", schemas.Refused, 5)
	other.RequestDigest, other.Reason = "d-2", "the id is in use"
	e := schemas.Fold(append(history(), other)...)
	if e.State != schemas.Running || e.RequestDigest != "d-1" || e.Reason != "" || !e.EndedAt.IsZero() {
		t.Errorf("folded to %+v", e)
	}
	if len(e.Conflicts) != 1 || e.Conflicts[0].RequestDigest != "d-2" || e.Conflicts[0].Reason != other.Reason {
		t.Errorf("conflicts = %+v", e.Conflicts)
	}
}

func TestFoldKnowsTheRequestThatFailedToBeAccepted(t *testing.T) {
	failed := status("failed", schemas.Failed, 5)
	failed.RequestDigest, failed.Failure = "d-2", &schemas.Failure{Stage: "accept", Reason: "the store is away"}
	refused := status("refused/retry", schemas.Refused, 9)
	refused.RequestDigest, refused.Reason = "retry", "there is no export of this id to retry"
	e := schemas.Fold(failed, refused)
	if e.State != schemas.Failed || e.RequestDigest != "d-2" || e.Failure == nil || len(e.Conflicts) != 1 || e.Conflicts[0].Reason != refused.Reason {
		t.Errorf("folded to %+v", e)
	}
	// Another request was accepted under the id later on.
	e = schemas.Fold(append(history(), failed)...)
	if e.State != schemas.Running || e.RequestDigest != "d-1" || len(e.Conflicts) != 1 || e.Conflicts[0].Reason != "the store is away" {
		t.Errorf("another one accepted: folded to %+v", e)
	}
}

func TestFoldKeepsTheReasonOfARefusalWhenARetryIsRefusedToo(t *testing.T) {
	refused := status("refused/d-1", schemas.Refused, 5)
	refused.RequestDigest, refused.Reason, refused.Request = "d-1", "the certificate is not registered", &schemas.ExportRequest{}
	corrected := status("refused/d-0", schemas.Refused, 7)
	corrected.RequestDigest, corrected.Reason, corrected.Request = "d-0", "the range is empty", &schemas.ExportRequest{}
	retried := status("refused/retry", schemas.Refused, 9)
	retried.RequestDigest, retried.Reason, retried.Request = "retry", "there is no export of this id to retry", &schemas.ExportRequest{Action: schemas.ActionRetry}
	e := schemas.Fold(retried, refused, corrected)
	if e.State != schemas.Refused || e.RequestDigest != "d-0" || e.Reason != corrected.Reason || len(e.Conflicts) != 2 {
		t.Errorf("folded to %+v", e)
	}
	// Of what was never asked for, there is nothing else to tell.
	if e = schemas.Fold(retried); e.State != schemas.Refused || e.Reason != retried.Reason {
		t.Errorf("only a retry: folded to %+v", e)
	}
}

func TestFoldForgetsARefusalOnceTheRequestIsGranted(t *testing.T) {
	refused := status("refused/d-1", schemas.Refused, 0)
	refused.RequestDigest, refused.Reason = "d-1", "the certificate is not registered"
	if e := schemas.Fold(refused); e.State != schemas.Refused || e.Reason == "" || e.EndedAt.IsZero() {
		t.Errorf("refused: folded to %+v", e)
	}
	e := schemas.Fold(append(history(), refused)...)
	if e.State != schemas.Running || e.Reason != "" || !e.EndedAt.IsZero() {
		t.Errorf("granted: folded to %+v", e)
	}
}

func TestFoldIsTotalAndBlindToOrderAndRepetition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(statuses(), 0, 12).Draw(t, "events")
		want := schemas.Fold(events...)

		// The same facts again, read from the topic, in another order.
		again := slices.Clone(events)
		for _, e := range events {
			if rapid.Bool().Draw(t, "repeat") {
				read := *e
				again = append(again, &read)
			}
		}
		shuffle := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 0))
		shuffle.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		got := schemas.Fold(again...)
		if a, b := mustEncode(want), mustEncode(got); a != b {
			t.Fatalf("folded to\n%s\nin another order to\n%s", a, b)
		}

		ended := want.State.Ended()
		if ended != !want.EndedAt.IsZero() {
			t.Errorf("state %q, but ended at %q", want.State, want.EndedAt)
		}
		if !ended && (want.Reason != "" || want.Failure != nil) {
			t.Errorf("state %q with reason %q and failure %v", want.State, want.Reason, want.Failure)
		}
		if want.Done != schemas.Total(want.Parts) || want.Events > len(events) {
			t.Errorf("done %+v of %d parts after %d of %d events", want.Done, len(want.Parts), want.Events, len(events))
		}
		if len(events) > 0 && want.Events == 0 {
			t.Error("no event counted")
		}
	})
}

// statuses draws from few values, so that events agree in some and contradict each
// other in the rest.
func statuses() *rapid.Generator[*schemas.ExportStatus] {
	states := append(schemas.States(), "unheard-of", "")
	word := rapid.SampledFrom([]string{"", "a", "b"})
	return rapid.Custom(func(t *rapid.T) *schemas.ExportStatus {
		s := status(rapid.SampledFrom([]string{"", "requested", "refused/a", "part/000001"}).Draw(t, "event"),
			rapid.SampledFrom(states).Draw(t, "state"), rapid.IntRange(0, 2).Draw(t, "second"))
		s.Attempt = rapid.IntRange(0, 3).Draw(t, "attempt")
		s.Worker, s.RequestDigest = word.Draw(t, "worker"), word.Draw(t, "digest")
		s.Waiting, s.Reason = word.Draw(t, "waiting"), word.Draw(t, "reason")
		if rapid.Bool().Draw(t, "has part") {
			s.Part = &schemas.Receipt{Part: schemas.Part{Number: rapid.IntRange(0, 2).Draw(t, "number"), Rows: rapid.Int64Range(0, 2).Draw(t, "rows")}}
		}
		if rapid.Bool().Draw(t, "has more") {
			s.Request = &schemas.ExportRequest{RequestedBy: word.Draw(t, "by")}
			s.Planned = &schemas.Totals{Rows: rapid.Int64Range(0, 2).Draw(t, "planned")}
			s.Continues = &schemas.Continued{Snapshot: schemas.Snapshot{rapid.Int64Range(0, 2).Draw(t, "since")}}
			s.Snapshot = schemas.Snapshot{rapid.Int64Range(0, 2).Draw(t, "offset")}
			s.Failure = &schemas.Failure{Reason: word.Draw(t, "failure")}
			s.Completion = &schemas.Completion{ManifestKey: word.Draw(t, "key")}
			s.Recipients = []schemas.CertificateRef{{Subject: word.Draw(t, "subject")}}
		}
		return s
	})
}

func mustEncode(v any) string {
	b, err := schemas.Encode(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestAnExportThatWaitsSaysSoInAnyStateAndShowsNoTimeLeft(t *testing.T) {
	events := history()
	running := schemas.Fold(events...)
	if _, ok := running.Remaining(events[len(events)-1].Time.Add(time.Second)); running.Waiting != "" || !ok {
		t.Fatalf("it runs, and waits %q, with time left: %v", running.Waiting, ok)
	}
	waits := status("waiting/2", schemas.Running, 20)
	waits.Waiting = "for the object store"
	e := schemas.Fold(append(events, waits)...)
	if _, ok := e.Remaining(waits.Time.Add(time.Second)); e.State != schemas.Running || e.Waiting != "for the object store" || ok {
		t.Errorf("it waits, and is %s, waiting %q, with time left: %v", e.State, e.Waiting, ok)
	}
	goesOn := status("part/000002", schemas.Running, 21)
	if e = schemas.Fold(append(events, waits, goesOn)...); e.Waiting != "" {
		t.Errorf("it goes on, and waits %q", e.Waiting)
	}
}
