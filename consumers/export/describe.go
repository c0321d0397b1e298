package export

import (
	"errors"
	"strings"

	"cdds/pipeline"
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
	told := &schemas.Failure{Stage: f.stage, Part: f.part, Reason: f.err.Error(), Hint: hints[f.stage], Retryable: true}
	if pipeline.IsPermanent(f.err) {
		told.Retryable = false
		told.Hint = "ask again under a new export id: it takes a new snapshot"
	}
	if errors.Is(f.err, errLost) {
		told.Hint = "restart the ingest role: it reads again from Kafka what ClickHouse lacks; what Kafka no longer has, restore from a backup of ClickHouse; `cdds doctor` shows the account; then " + then(told.Retryable)
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
