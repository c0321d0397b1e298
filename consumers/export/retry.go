package export

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"

	"cdds/pipeline"
	"cdds/pipeline/spans"
)

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 15 * time.Second
)

// retry repeats a step with exponential backoff and jitter until it works, its error is
// permanent, RetryFor has passed or ctx ends. Meanwhile it says what it waits for.
func (r *run) retry(ctx context.Context, name string, part int, step func() error) error {
	policy := backoff.NewExponentialBackOff()
	policy.InitialInterval = firstPause
	policy.MaxInterval = lastPause
	if r.Steady {
		policy.RandomizationFactor = 0
	}
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := step()
		if err != nil && (pipeline.IsPermanent(err) || ctx.Err() != nil) {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, err
	},
		backoff.WithBackOff(policy),
		backoff.WithMaxElapsedTime(r.RetryFor),
		backoff.WithNotify(func(err error, wait time.Duration) {
			r.metrics.retries.WithLabelValues(name).Inc()
			spans.Retry(ctx, err)
			r.log(ctx).WarnContext(ctx, "retrying", "step", name, "part", part, "in", wait.Round(time.Millisecond), "error", err)
			r.waits(ctx, name, part, err)
		}))
	return err
}

// backoff is the pause after the nth failure in a row, from 1.
func (w *Worker) backoff(n int) time.Duration {
	pause := lastPause
	if n < 8 {
		pause = min(firstPause<<(n-1), lastPause)
	}
	if w.Steady {
		return pause
	}
	return pause/2 + rand.N(pause/2)
}
