package main

import "regexp"

// simulator is the package that plays made-up histories, see ops/docs/simulation.md.
const simulator = "ops/proof/simulate"

// simulated are the arguments of its test: from a seed of its own, for at most two minutes,
// and without shrinking what it finds.
var simulated = []string{"-args", "-for", "120s", "-seed", "1", "-shrink=false"}

// complaint is the first line of a test that failed.
var complaint = regexp.MustCompile(`(?m)^\s+\S+\.go:\d+: .{0,160}`)

// history is how the simulator says what it found.
var history = regexp.MustCompile(`seed \d+, history \d+, act \d+: .{0,160}`)

// faults are the faults that a review and trial found in the account, put back one at a
// time. The simulator must find each without knowing any. Where the fault was in what only
// the real ClickHouse does, it is put into the twin of it: the conformance suites of package
// pipelinetest hold both to one contract.
var faults = []mutation{
	{
		"ingest", "fault 1: a batch that unpacks to absurd size stops its partition",
		"consumers/session.go", "return p == nil || g.pass(member, p, f.FetchPartition, tooLarge)", "return true",
		simulator, "TestHistories",
	}, {
		"barrier", "fault 2: the newest version is the one with the highest offset of whatever partition",
		"pipeline/pipelinetest/memory.go", "if q.Scattered {", "if false {",
		simulator, "TestHistories",
	}, {
		"ingest", "fault 3: what was inserted once is dropped, whether it is still stored or not",
		"ops/proof/simulate/services.go", "\t\tt.p.w.model.stored(batches)\n\t\treturn t.p.w.tables",
		"\t\tif r := batches[0].Records[0]; t.p.w.model.bodies[position{schemas.TopicInteractions, r.Partition, r.Offset}] != \"\" {\n\t\t\treturn nil\n\t\t}\n\t\tt.p.w.model.stored(batches)\n\t\treturn t.p.w.tables",
		simulator, "TestHistories",
	}, {
		"ingest", "fault 4: a topic that is made again uses the positions of the one before",
		"schemas/incarnation.go", "func (i Incarnation) base() int64 { return int64(i.Number) << positionBits }", "func (i Incarnation) base() int64 { return 0 * int64(i.Number) << positionBits }",
		simulator, "TestHistories",
	}, {
		"barrier", "fault 5: what Kafka lost blocks exports for good",
		"ops/connect/offsets.go", "gone = append(gone, l.Gone(r, start)...)", "_ = l.Gone(r, start)",
		simulator, "TestHistories",
	}, {
		"ingest", "fault 6: healing is given up",
		"consumers/heal.go", "handled, err = h.Group.Reread(ctx, gaps)", "handled, err = 0, nil",
		simulator, "TestHistories",
	}, {
		"barrier", "fault 7: a snapshot ends at the high watermark",
		"ops/connect/offsets.go", "o.brokers.Stable(ctx", "o.brokers.Ends(ctx",
		simulator, "TestHistories",
	}, {
		"ingest", "fault 8: a member in other letter case is read",
		"schemas/members.go", "if strings.EqualFold(name, known) {", "if name == known {",
		simulator, "TestHistories",
	}, {
		"ingest", "fault 9: ids that are no Unicode text are taken",
		"schemas/validate.go", "case !utf8.ValidString(id):", "case !utf8.ValidString(id) && false:",
		simulator, "TestHistories",
	},
}
