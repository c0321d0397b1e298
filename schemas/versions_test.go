package schemas_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"cdds/schemas"
)

// message is a message of a compacted topic about one record; a tombstone has no number.
type message struct {
	key    string
	number int
}

// versionOf is a job as the version of a record.
func versionOf(number int) *schemas.Job {
	return &schemas.Job{TenantID: "acme", JobID: "nightly", Revision: number}
}

// reader follows the log and knows which message counts.
type reader struct {
	versions schemas.Versions
	next     int // of the log
	counts   message
}

func (r *reader) read(t *rapid.T, log []message, upTo int) {
	for ; r.next < upTo; r.next++ {
		m := log[r.next]
		if m.number == 0 {
			if _, gone := r.versions.Remove(schemas.TopicJobs, m.key); gone {
				r.counts = message{}
			}
			continue
		}
		counts, err := r.versions.Take(m.key, versionOf(m.number))
		if err != nil {
			t.Fatal(err)
		}
		if counts {
			r.counts = m
		}
	}
}

// compacted is the log after Kafka compacted some of it: of each key in it the last
// message, and no tombstone that has nothing left to remove.
func compacted(log []message, clean int, tombstones bool) []message {
	last := map[string]int{}
	for n, m := range log[:clean] {
		last[m.key] = n
	}
	var kept []message
	for n, m := range log {
		if n >= clean || last[m.key] == n && (m.number > 0 || tombstones) {
			kept = append(kept, m)
		}
	}
	return kept
}

// Writers read late, lose races, and crash before they remove what lost; Kafka compacts.
func TestAllReadersAgreeWhichVersionCountsAndOneWriterOfEachWins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var log []message
		writers := make([]*reader, 3)
		for n := range writers {
			writers[n] = &reader{}
		}
		if rapid.Bool().Draw(t, "made by an earlier release") {
			log = append(log, message{"acme/nightly", 1})
		}
		won := map[int]string{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			w := writers[rapid.IntRange(0, len(writers)-1).Draw(t, "writer")]
			w.read(t, log, rapid.IntRange(w.next, len(log)).Draw(t, "has read"))
			attempt := schemas.NewAttempt(versionOf(w.counts.number + 1))
			answer, stop := w.versions.Await(attempt)
			log = append(log, message{attempt.Key(), int(attempt.Version())})
			if rapid.Bool().Draw(t, "others write before it has read its own") {
				continue
			}
			w.read(t, log, len(log))
			counts := <-answer
			stop()
			if counts {
				if other, ok := won[int(attempt.Version())]; ok {
					t.Fatalf("%s and %s both won version %d", other, attempt.Key(), attempt.Version())
				}
				won[int(attempt.Version())] = attempt.Key()
			}
			if rapid.Bool().Draw(t, "crashes") {
				continue
			}
			for _, key := range w.versions.Stale(attempt) {
				log = append(log, message{key: key})
			}
		}
		live := &reader{}
		live.read(t, log, len(log))
		for number, key := range won {
			if number > live.counts.number || number == live.counts.number && key != live.counts.key {
				t.Fatalf("%s was answered that it won version %d; %+v counts", key, number, live.counts)
			}
		}
		for range 5 {
			rest := compacted(log, rapid.IntRange(0, len(log)).Draw(t, "compacted"), rapid.Bool().Draw(t, "tombstones are kept"))
			late := &reader{}
			late.read(t, rest, len(rest))
			if late.counts != live.counts {
				t.Fatalf("of %v\n%+v counts; after compaction, of %v\n%+v", log, live.counts, rest, late.counts)
			}
		}
	})
}

// Under one key Kafka would keep the loser, which is the last.
func TestCompactionDoesNotRemoveTheVersionThatCounts(t *testing.T) {
	first, second := schemas.NewAttempt(versionOf(2)), schemas.NewAttempt(versionOf(2))
	log := compacted([]message{{"acme/nightly", 1}, {first.Key(), 2}, {second.Key(), 2}}, 3, false)
	if !slices.Contains(log, message{first.Key(), 2}) {
		t.Fatalf("compaction left %v, without the version that counts", log)
	}
}

func TestAMessageUnderTheRecordsOwnKeyReplacesTheOneBeforeUnderThatKey(t *testing.T) {
	var s schemas.Versions
	take := func(key string, number int) bool {
		counts, err := s.Take(key, versionOf(number))
		if err != nil {
			t.Fatal(err)
		}
		return counts
	}
	attempt := schemas.NewAttempt(versionOf(3))
	for _, m := range []struct {
		key    string
		number int
		counts bool
	}{
		{"acme/nightly", 1, true},
		{"acme/nightly", 1, true}, // what was there before is compacted away
		{"acme/nightly", 2, true},
		{attempt.Key(), 3, true},
		{"acme/nightly", 3, false},
		{"acme/nightly", 4, true},
		{schemas.NewAttempt(versionOf(4)).Key(), 4, false},
	} {
		if got := take(m.key, m.number); got != m.counts {
			t.Errorf("version %d under %s counts: %v, want %v", m.number, m.key, got, m.counts)
		}
	}
	if _, err := s.Take("acme/other", versionOf(9)); err == nil {
		t.Error("a message counts under another record's key")
	}
	if stale := s.Stale(versionOf(0)); len(stale) != 2 || slices.Contains(stale, "acme/nightly") {
		t.Errorf("to be removed: %v", stale)
	}
	if _, gone := s.Remove(schemas.TopicJobs, attempt.Key()); gone {
		t.Error("the tombstone of an old version removed the record")
	}
	if record, gone := s.Remove(schemas.TopicJobs, "acme/nightly"); !gone || record != "acme/nightly" {
		t.Errorf("the tombstone of the version that counts: %s, %v", record, gone)
	}
}

func TestAnAttemptIsEncodedAsTheEventItIs(t *testing.T) {
	j := versionOf(1)
	if got, want := mustEncode(schemas.NewAttempt(j)), mustEncode(j); got != want {
		t.Errorf("an attempt is %s, want %s", got, want)
	}
	for key, record := range map[string]string{
		schemas.NewAttempt(j).Key(): "acme/nightly", "acme/nightly": "acme/nightly", "acme/a#b": "acme/a#b",
	} {
		if got := schemas.RecordOf(key); got != record {
			t.Errorf("the record of %s is %s", fmt.Sprintf("%q", key), got)
		}
	}
}
