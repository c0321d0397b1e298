package admin

import (
	"context"
	"fmt"
	"time"

	"cdds/ops/auth"
	"cdds/schemas"
)

// maxChainRuns bounds the runs that Chain returns at once.
const maxChainRuns = 500

// chainPoll is how often history is asked for a run that callers wait for, however many
// they are.
const chainPoll = time.Second

// chainQuestion is what those who wait for the next run of a chain have in common.
type chainQuestion struct {
	tenantID, jobID string
	after           int
}

// Chain returns the runs of a job's chain after a number, the first ones. If there are none
// it waits for one as long as wait says.
func (h *Handle) Chain(ctx context.Context, id string, after int, wait time.Duration) (schemas.ChainRuns, error) {
	j, err := h.Job(ctx, id)
	if err != nil {
		return schemas.ChainRuns{}, err
	}
	chain := schemas.ChainRuns{JobID: id, Entity: j.Entity}
	deadline := time.Now().Add(wait)
	ask := func(ctx context.Context) ([]schemas.ChainRun, error) {
		return h.History.ChainRuns(ctx, h.tenant, id, after, maxChainRuns)
	}
	if wait == 0 {
		chain.Runs, err = ask(ctx)
		return chain, err
	}
	for {
		chain.Runs, err = h.chains.get(ctx, chainQuestion{h.tenant, id, after}, chainPoll, ask)
		if err != nil || len(chain.Runs) > 0 || time.Now().Add(chainPoll).After(deadline) {
			return chain, err
		}
		select {
		case <-time.After(chainPoll):
		case <-ctx.Done():
			return chain, ctx.Err()
		}
	}
}

// RestartChain has the next run of a job that exports what came since its last run hold
// everything, for a receiver that is too far behind, or new.
func (h *Handle) RestartChain(ctx context.Context, id string) (schemas.Job, error) {
	const action = "job.restart_chain"
	if err := h.changes(ctx, auth.Change, action, subjectOf(id)); err != nil {
		return schemas.Job{}, err
	}
	j, err := h.job(ctx, id)
	if err != nil {
		return j, err
	}
	if j.Timeframe.Kind != schemas.TimeframeSinceLastRun {
		return j, h.refuse(ctx, action, id, &ConflictError{"every run of the job holds everything that it selects; there is no chain"})
	}
	previous := j
	j.ChainFrom = schemas.TimeOf(h.Now())
	return h.revise(ctx, action, j, &previous)
}

// AcknowledgeChain records how far a receiver of a job's chain is.
func (h *Handle) AcknowledgeChain(ctx context.Context, id string, number int, exportID string) error {
	const action = "job.acknowledge"
	if err := h.changes(ctx, auth.Fetch, action, subjectOf(id)); err != nil {
		return err
	}
	if _, err := h.job(ctx, id); err != nil {
		return err
	}
	record := h.record(action, id, schemas.OutcomeDone, fmt.Sprintf("run %d, %s", number, exportID))
	record.AuditID = fmt.Sprintf("%s/%s/acknowledge/%s/%d", h.tenant, id, h.who.Subject, number)
	return h.Publisher.Publish(ctx, record)
}
