package export

import (
	"errors"
	"strings"

	"cdds/pipeline"
	"cdds/pipeline/answer"
	"cdds/schemas"
)

// describe is what an admin reads about a failure.
func describe(f failure) *schemas.Failure {
	hints := map[string]string{
		"accept":   "check that Kafka and the object store are reachable, then retry it",
		"barrier":  "check the ingest role and its lag, then retry it",
		"plan":     "check that ClickHouse is reachable and has memory to spare, then retry it",
		"part":     "check that ClickHouse and the object store are reachable and have space, then retry it",
		"manifest": "check that the object store is reachable, then retry it",
	}
	told := &schemas.Failure{Stage: f.stage, Part: f.part, Reason: shortened(f.err.Error()), Hint: hints[f.stage], Retryable: true}
	if answer.NeedsOperator(f.err) {
		told.Hint = "an operator must mend it: the reason says which service refuses what; then retry it"
	}
	if pipeline.IsPermanent(f.err) {
		told.Retryable = false
		told.Hint = "ask again under a new export id: it takes a new snapshot"
	}
	if large := (*pipeline.TooLargeError)(nil); f.stage == "part" && errors.As(f.err, &large) { // planned by a worker with more
		told.Retryable = true
		told.Hint = "give all workers the same export.memory, at least what it needs, then retry it"
	}
	if errors.Is(f.err, errLost) {
		told.Hint = "wait until ingest has read them again from Kafka (`cdds account` shows how far it is), then " + then(told.Retryable)
	}
	if errors.Is(f.err, errGone) {
		told.Hint = "restore ClickHouse from a backup that has them, or write them off (`cdds account write-off`), then " + then(told.Retryable) + "; if the topic was replaced since, request the export again under a new id"
	}
	if over := (*pipeline.QuotaError)(nil); errors.As(f.err, &over) {
		told.Hint = "retry it then, or raise the quota"
	}
	if strings.Contains(told.Reason, "split_size") {
		told.Hint = ""
	}
	return told
}

func then(retryable bool) string {
	if retryable {
		return "retry it"
	}
	return "ask again under a new export id"
}
