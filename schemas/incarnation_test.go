package schemas_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cdds/schemas"
)

const incarnation = int64(1) << 40

func first(begins map[int32]int64) schemas.Incarnation {
	return schemas.Incarnation{Topic: "t", TopicID: "a", Cause: schemas.IncarnationFirst, Begins: begins}
}

func TestPositionsAreOffsetsAsLongAsNothingHappens(t *testing.T) {
	for _, l := range []schemas.Lineage{nil, {first(map[int32]int64{1: 5})}} {
		if got := l.Positions(schemas.Snapshot{7, 9}); !slices.Equal(got, schemas.Snapshot{7, 9}) {
			t.Errorf("offsets 7 and 9 have the positions %v", got)
		}
		if l.Group("g") != "g" {
			t.Errorf("the group is %s", l.Group("g"))
		}
	}
	l := schemas.Lineage{first(map[int32]int64{1: 5})}
	if got := fmt.Sprint(l.Used(0, 7), l.Used(1, 9), l.Used(1, 5), l.Used(1, 2)); got != "[{0 0 7}] [{1 5 9}] [] []" {
		t.Errorf("used are %s", got)
	}
}

func TestATopicMadeAgainHasNewPositionsAndAnotherGroup(t *testing.T) {
	l := schemas.Lineage{first(nil)}
	next, changed := l.Next(schemas.Log{Topic: "t", TopicID: "b", Starts: schemas.Snapshot{0, 3}, Ends: schemas.Snapshot{5, 5}},
		nil, map[int32]int64{0: 100, 1: 40})
	if !changed || next.Cause != schemas.IncarnationReplaced || next.Number != 1 {
		t.Fatalf("another topic id is %+v, %t", next, changed)
	}
	l = append(l, next)
	if got := l.Positions(schemas.Snapshot{5, 5}); !slices.Equal(got, schemas.Snapshot{incarnation + 5, incarnation + 5}) {
		t.Errorf("positions are %v", got)
	}
	if got, want := l.Used(0, incarnation+5), []schemas.Run{{0, 0, 100}, {0, incarnation, incarnation + 5}}; !slices.Equal(got, want) {
		t.Errorf("used are %v, want %v", got, want)
	}
	if got, want := l.Used(1, 60), []schemas.Run{{1, 0, 60}}; !slices.Equal(got, want) {
		t.Errorf("below a snapshot of before used are %v, want %v: it vouches for more than was known", got, want)
	}
	if _, there := l.Offset(0, 50); there {
		t.Error("a position of the topic that is gone has an offset")
	}
	if there := l.Present(0, 0, 50); len(there) > 0 {
		t.Errorf("of the topic that is gone there is %v", there)
	}
	if o := l.Origin("g", 1); !slices.Equal(o.Groups, []string{"g.1"}) || o.Offset != 3 {
		t.Errorf("it is read from %+v", o)
	}
	if _, changed := l.Next(schemas.Log{Topic: "t", TopicID: "b", Ends: schemas.Snapshot{9, 9}}, map[int32]schemas.Reached{0: {5, -1, 5}}, nil); changed {
		t.Error("a log that grows is another one")
	}
}

func TestATopicMadeAgainAndTrimmedHasNothingOfTheOneBefore(t *testing.T) {
	l := schemas.Lineage{first(nil), {
		Topic: "t", Number: 1, TopicID: "b", Cause: schemas.IncarnationReplaced, Begins: map[int32]int64{0: 5}, Ends: map[int32]int64{0: 9},
	}}
	for position := range int64(9) {
		if at, there := l.Offset(0, position); there {
			t.Errorf("position %d of the topic that is gone is said to be at offset %d", position, at)
		}
	}
	if at, there := l.Offset(0, incarnation+5); at != 5 || !there {
		t.Errorf("the first record is at offset %d, %t", at, there)
	}
	if there := l.Present(0, 5, 9); len(there) > 0 {
		t.Errorf("of the topic that is gone there is %v", there)
	}
	if got, want := l.Present(0, 5, incarnation+6), []schemas.Run{{0, incarnation + 5, incarnation + 6}}; !slices.Equal(got, want) {
		t.Errorf("there is %v, want %v", got, want)
	}
}

func TestOfARunThatALogHasInPartTheRestIsGone(t *testing.T) {
	truncated := schemas.Lineage{first(nil), {
		Topic: "t", Number: 1, TopicID: "a", Cause: schemas.IncarnationTruncated, Begins: map[int32]int64{0: 5}, Ends: map[int32]int64{0: 9},
	}}
	for _, c := range []struct {
		lineage schemas.Lineage
		start   int64
		run     schemas.Run
		want    string
	}{
		{nil, 0, schemas.Run{First: 2, Next: 9}, "[]"},
		{nil, 4, schemas.Run{First: 2, Next: 9}, "[{0 2 4}]"},
		{nil, 9, schemas.Run{First: 2, Next: 9}, "[{0 2 9}]"},
		{truncated, 0, schemas.Run{First: 2, Next: 9}, "[{0 5 9}]"}, // what it lost at its end
		{truncated, 4, schemas.Run{First: 2, Next: 9}, "[{0 2 4} {0 5 9}]"},
		{truncated, 6, schemas.Run{First: 2, Next: 9}, "[{0 2 9}]"},
		{truncated, 6, schemas.Run{First: incarnation + 5, Next: incarnation + 8}, fmt.Sprintf("[{0 %d %d}]", incarnation+5, incarnation+6)},
		{truncated, 0, schemas.Run{First: 2, Next: incarnation + 8}, fmt.Sprintf("[{0 5 %d}]", incarnation+5)},
	} {
		if got := fmt.Sprint(c.lineage.Gone(c.run, c.start)); got != c.want {
			t.Errorf("of %v a log from %d on lacks %s, want %s", c.run, c.start, got, c.want)
		}
	}
}

func TestATopicMadeAgainWithFewerPartitionsKeepsWhatWasInTheOthers(t *testing.T) {
	l := schemas.Lineage{first(nil), {
		Topic: "t", Number: 1, TopicID: "b", Cause: schemas.IncarnationReplaced, Ends: map[int32]int64{0: 100, 2: 40},
	}}
	snapshot := l.Positions(schemas.Snapshot{5})
	if want := (schemas.Snapshot{incarnation + 5, incarnation, incarnation}); !slices.Equal(snapshot, want) {
		t.Errorf("one partition with 5 records is %v, want %v", snapshot, want)
	}
	if got, want := l.Used(2, snapshot[2]), []schemas.Run{{2, 0, 40}}; !slices.Equal(got, want) {
		t.Errorf("of a partition that is gone %v are used, want %v", got, want)
	}
}

func TestALogThatLostItsTailGoesOnBehindWhatWasRead(t *testing.T) {
	l := schemas.Lineage{first(nil)}
	log := schemas.Log{Topic: "t", TopicID: "a", Starts: schemas.Snapshot{0, 0, 0}, Ends: schemas.Snapshot{50, 70, 80}}
	next, changed := l.Next(log, map[int32]schemas.Reached{
		0: {100, -1, 100}, // its end says so
		1: {60, 55, 60},   // it has grown since: only the epochs say so
		2: {80, 80, 80},
	}, map[int32]int64{0: 120, 1: 60, 2: 80})
	if !changed || next.Cause != schemas.IncarnationTruncated || !maps.Equal(next.Begins, map[int32]int64{0: 50, 1: 55}) || !maps.Equal(next.Ends, map[int32]int64{0: 120, 1: 60}) {
		t.Fatalf("it is %+v, %t", next, changed)
	}
	l = append(l, next)
	for _, at := range []struct {
		partition        int32
		offset, position int64
	}{{0, 49, 49}, {0, 50, incarnation + 50}, {1, 54, 54}, {1, 55, incarnation + 55}, {2, 80, 80}} {
		if got := l.Position(at.partition, at.offset); got != at.position {
			t.Errorf("offset %d of partition %d has the position %d, want %d", at.offset, at.partition, got, at.position)
		}
		if got, there := l.Offset(at.partition, at.position); got != at.offset || !there {
			t.Errorf("position %d of partition %d is at offset %d, %t", at.position, at.partition, got, there)
		}
		if got, want := l.Present(at.partition, at.offset, at.position+1), []schemas.Run{{at.partition, at.position, at.position + 1}}; !slices.Equal(got, want) {
			t.Errorf("from offset %d of partition %d on there is %v, want %v", at.offset, at.partition, got, want)
		}
	}
	if _, there := l.Offset(0, 60); there {
		t.Error("what the log lost has an offset")
	}
	if got, want := l.Present(0, 0, 100), []schemas.Run{{0, 0, 50}}; !slices.Equal(got, want) {
		t.Errorf("of what the log had before it lost its tail there is %v, want %v", got, want)
	}
	for p, want := range []schemas.Origin{{[]string{"g.1"}, 50}, {[]string{"g.1"}, 55}, {[]string{"g.1", "g"}, 0}} {
		if got := l.Origin("g", int32(p)); !slices.Equal(got.Groups, want.Groups) || got.Offset != want.Offset {
			t.Errorf("partition %d is read from %+v, want %+v", p, got, want)
		}
	}
}

func TestWhatWasNotCommittedOfALogThatLostItsTailIsReadAgain(t *testing.T) {
	l := schemas.Lineage{first(nil)}
	log := schemas.Log{Topic: "t", TopicID: "a", Starts: schemas.Snapshot{0, 0}, Ends: schemas.Snapshot{50, 70}}
	next, changed := l.Next(log, map[int32]schemas.Reached{
		0: {60, -1, 0},  // nothing is committed: the log may be another one from its start on
		1: {80, -1, 40}, // what was committed was there when that was done
	}, map[int32]int64{0: 60, 1: 80})
	if !changed || !maps.Equal(next.Begins, map[int32]int64{0: 0, 1: 40}) || !maps.Equal(next.Ends, map[int32]int64{0: 60, 1: 80}) {
		t.Errorf("it is %+v, %t", next, changed)
	}
	log.Ends = schemas.Snapshot{60, 90}
	if next, changed := l.Next(log, map[int32]schemas.Reached{0: {60, -1, 0}, 1: {80, -1, 40}}, nil); changed {
		t.Errorf("the log has what was read of it, and there is another incarnation: %+v", next)
	}
}

func TestWhereTopicsHaveNoIDsALogThatLostItsTailIsReadWhole(t *testing.T) {
	l := schemas.Lineage{{Topic: "t", Cause: schemas.IncarnationFirst}}
	next, changed := l.Next(schemas.Log{Topic: "t", Ends: schemas.Snapshot{5}}, map[int32]schemas.Reached{0: {100, -1, 100}}, map[int32]int64{0: 100})
	if !changed || next.Cause != schemas.IncarnationReplaced || next.Ends[0] != 100 {
		t.Errorf("it is %+v, %t", next, changed)
	}
}

// TestPositionsNeverRepeatAndSnapshotsOnlyGrow takes a topic through whatever can happen to
// its logs.
func TestPositionsNeverRepeatAndSnapshotsOnlyGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l schemas.Lineage
		given := map[int64]string{} // what each position stands for
		log := []string{}           // the records of partition 0
		id, records := 0, 0
		snapshot := int64(-1)
		reached, seen := int64(0), int64(0) // by reading, and by a snapshot
		settle := func() {
			used := map[int32]int64{0: max(snapshot, 0)}
			for p := range given {
				used[0] = max(used[0], p+1)
			}
			for {
				known := max(reached, seen)
				diverges := min(known, int64(len(log)))
				next, changed := l.Next(schemas.Log{Topic: "t", TopicID: fmt.Sprint(id), Starts: schemas.Snapshot{0}, Ends: schemas.Snapshot{int64(len(log))}},
					map[int32]schemas.Reached{0: {known, diverges, known}}, used)
				if !changed {
					return
				}
				l = append(l, next)
				reached, seen = next.Begins[0], 0
			}
		}
		settle()
		t.Repeat(map[string]func(*rapid.T){
			"produce": func(*rapid.T) { records++; log = append(log, fmt.Sprint(records)) },
			"read": func(t *rapid.T) {
				settle()
				for ; reached < int64(len(log)); reached++ {
					position := l.Position(0, reached)
					if old, taken := given[position]; taken && old != log[reached] {
						t.Fatalf("position %d stands for record %s and for record %s", position, old, log[reached])
					}
					given[position] = log[reached]
				}
			},
			"replace":  func(*rapid.T) { id++; log = nil; settle() },
			"truncate": func(t *rapid.T) { log = log[:rapid.IntRange(0, len(log)).Draw(t, "to")]; settle() },
			"": func(t *rapid.T) {
				if err := l.Check(); err != nil {
					t.Fatal(err)
				}
				now := l.Position(0, int64(len(log)))
				if now < snapshot {
					t.Fatalf("a snapshot of %d came after one of %d", now, snapshot)
				}
				snapshot, seen = now, int64(len(log))
				for position := range given {
					if !slices.ContainsFunc(l.Used(0, now), func(r schemas.Run) bool { return r.First <= position && position < r.Next }) {
						t.Fatalf("position %d was given and is not used: %v", position, l.Used(0, now))
					}
				}
			},
		})
	})
}
