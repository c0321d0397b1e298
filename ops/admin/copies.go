package admin

import (
	"context"
	"fmt"
	"time"

	"cdds/ops/auth"
)

// syncTimeout bounds the wait for Kafka to say where a topic ends, and to deliver it.
const syncTimeout = 5 * time.Second

// definitions are the jobs and certificates, with everything that was acknowledged before
// the request. Where Kafka does not answer they are what this process knows: what is there
// is served, and what is not there is no ErrNotFound (see missing).
func (h *Handle) definitions(ctx context.Context) Definitions {
	asOfNow(ctx, &h.definitionsAsOfNow, h.Definitions.Sync)
	return h.Definitions
}

// directory is the users and tokens; see definitions.
func (h *Handle) directory(ctx context.Context) *auth.Directory {
	asOfNow(ctx, &h.directoryAsOfNow, h.Accounts.Sync)
	return h.Directory
}

// asOfNow syncs once for a request, and keeps the outcome.
func asOfNow(ctx context.Context, outcome **error, sync func(context.Context) error) {
	if *outcome != nil {
		return
	}
	within, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	err := sync(within)
	*outcome = &err
}

// missing is ErrNotFound of what a copy does not have, or why that is not certain.
func missing(outcome *error) error {
	if outcome != nil && *outcome != nil {
		return fmt.Errorf("it may exist, but this process could not read what others wrote last: %w", *outcome)
	}
	return ErrNotFound
}
