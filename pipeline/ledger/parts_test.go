package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cdds/ops/stack/stacktest"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

// stored is the event of a stored part.
func stored(tenant, export string, number int) *schemas.ExportStatus {
	part := schemas.Part{Number: number, Rows: 1}
	return &schemas.ExportStatus{
		TenantID: tenant, ExportID: export, EventID: schemas.PartEventID(number), State: schemas.Running, Time: from,
		Part: &schemas.Receipt{Part: part, Name: schemas.PartName(schemas.EntityInteraction, export, part), SealedBytes: 2},
	}
}

func storeParts(t *testing.T, l *ledger.Ledger, tenant, export string, parts int) {
	t.Helper()
	var b schemas.Batch[*schemas.ExportStatus]
	for n := range parts {
		b.Records = append(b.Records, schemas.Record[*schemas.ExportStatus]{Offset: int64(n), Event: stored(tenant, export, n+1)})
	}
	check(t, l.InsertStatus(t.Context(), b))
}

func TestHistoryAddsUpPartsAsTheFoldDoes(t *testing.T) {
	l, conn, exports := open(t), stacktest.ClickHouse(t), 0
	rapid.Check(t, func(rt *rapid.T) {
		exports++
		id := fmt.Sprint("e", exports)
		var events []*schemas.ExportStatus
		for range rapid.IntRange(0, 8).Draw(rt, "events") {
			s := stored("tallies", id, rapid.IntRange(1, 4).Draw(rt, "number"))
			s.Attempt, s.Worker = rapid.IntRange(0, 3).Draw(rt, "attempt"), rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "worker")
			s.Time = schemas.TimeOf(from.Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "second")) * time.Second))
			r := s.Part
			r.Kind = rapid.SampledFrom([]string{"", schemas.KindRemoved, schemas.KindAttachments}).Draw(rt, "kind")
			r.Rows, r.Bytes, r.Problems = rapid.Int64Range(0, 2).Draw(rt, "rows"), rapid.Int64Range(0, 1<<50).Draw(rt, "bytes"), rapid.Int64Range(0, 2).Draw(rt, "problems")
			r.ZipBytes, r.SealedBytes = rapid.Int64Range(0, 9).Draw(rt, "zip"), rapid.Int64Range(0, 9).Draw(rt, "sealed")
			for range rapid.IntRange(0, 2).Draw(rt, "segments") {
				r.Segments = append(r.Segments, schemas.Segment{SealedBytes: rapid.Int64Range(1, 9).Draw(rt, "segment")})
			}
			switch rapid.IntRange(0, 8).Draw(rt, "claim") { // not the event of a part
			case 0:
				s.Waiting = "for the store"
			case 1:
				r.Number = 0
			case 2:
				s.EventID, s.State, s.Part = "requested", schemas.Requested, nil
			case 3:
				s.RequestDigest = "another"
			}
			events = append(events, s)
		}
		var now schemas.Batch[*schemas.ExportStatus]
		before, err := conn.PrepareBatch(t.Context(), "INSERT INTO export_events (tenant_id, export_id, event_id, state, time, body, position_offset)")
		check(t, err)
		for n, s := range events {
			if !rapid.Bool().Draw(rt, "of before") { // there were columns for parts
				now.Records = append(now.Records, schemas.Record[*schemas.ExportStatus]{Offset: int64(n), Event: s})
				continue
			}
			body, err := schemas.Encode(s)
			check(t, err)
			check(t, before.Append(s.TenantID, id, s.EventID, string(s.State), s.Time.Time, string(body), int64(n)))
		}
		check(t, l.InsertStatus(t.Context(), now))
		if before.Rows() == 0 {
			check(t, before.Abort())
		} else {
			check(t, before.Send())
		}
		parts := rapid.SliceOfN(rapid.IntRange(1, 5), 0, 3).Draw(rt, "parts")
		some, others, err := l.StatusEvents(t.Context(), "tallies", id, parts...)
		check(t, err)
		want := schemas.Fold(events...)
		got := schemas.FoldOnto(others, some...)
		got.TenantID, got.ExportID = want.TenantID, want.ExportID // whoever folds has an event at hand
		whole := want.Parts
		want.Parts = slices.DeleteFunc(slices.Clone(whole), func(r schemas.Receipt) bool { return !slices.Contains(parts, r.Number) })
		if a, b := text(rt, want), text(rt, got); a != b {
			rt.Fatalf("the fold of all events is\n%s\nthat of history\n%s", a, b)
		}
		var listed []schemas.Receipt
		check(t, l.EachPart(t.Context(), [][2]string{{"tallies", id}}, func(_ [2]string, r schemas.Receipt) error {
			listed = append(listed, r)
			return nil
		}))
		if !slices.EqualFunc(listed, whole, func(a, b schemas.Receipt) bool { return a.Number == b.Number && a.Rows == b.Rows && a.Bytes == b.Bytes }) {
			rt.Fatalf("listed are the parts %+v, folded %+v", listed, whole)
		}
	})
}

func text(t *rapid.T, e schemas.Export) string {
	if len(e.Parts) == 0 {
		e.Parts = nil
	}
	b, err := schemas.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheEndOfAnExportListsTheFilesOfAllItsParts(t *testing.T) {
	const parts = 5_001 // more than are listed in one insert
	l := open(t)
	storeParts(t, l, "ends", "e", parts)
	storeParts(t, l, "ends", "other", 1)
	e := schemas.Export{TenantID: "ends", ExportID: "e", State: schemas.Completed, Events: parts + 2, UpdatedAt: from, EndedAt: from, Done: schemas.Totals{Parts: parts},
		Completion: &schemas.Completion{ExpiresAt: schemas.TimeOf(from.Add(time.Hour)), ManifestBytes: 7}}
	files := func(condition string) (n uint64) {
		t.Helper()
		check(t, stacktest.ClickHouse(t).QueryRow(t.Context(), "SELECT count() FROM artifacts FINAL WHERE tenant_id = 'ends' AND "+condition).Scan(&n))
		return n
	}
	check(t, l.SaveAllArtifacts(t.Context(), e))
	check(t, l.SaveExports(t.Context(), []schemas.Export{e}))
	if n, expiring := files("1"), files("expires_at IS NOT NULL"); n != parts+2 || expiring != parts+2 {
		t.Errorf("%d files are listed, of which %d expire, want %d", n, expiring, parts+2)
	}
	e.RemovedAt, e.Events = from, e.Events+1
	check(t, l.SaveAllArtifacts(t.Context(), e))
	check(t, l.SaveExports(t.Context(), []schemas.Export{e}))
	if n := files("removed_at IS NULL"); n != 0 {
		t.Errorf("%d files are listed as there", n)
	}
}
