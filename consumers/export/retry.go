package export

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"

	"cdds/pipeline"
	"cdds/pipeline/spans"
)

// retry repeats step with exponential backoff and jitter until it works, its error
// is permanent, RetryFor has passed or ctx ends.
func (w *Worker) retry(ctx context.Context, name string, step func() error) error {
	policy := backoff.NewExponentialBackOff()
	policy.InitialInterval = 100 * time.Millisecond
	policy.MaxInterval = 15 * time.Second
	if w.Steady {
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
		backoff.WithMaxElapsedTime(w.RetryFor),
		backoff.WithNotify(func(err error, wait time.Duration) {
			w.metrics.retries.WithLabelValues(name).Inc()
			spans.Retry(ctx, err)
			w.log(ctx).WarnContext(ctx, "trying again", "step", name, "in", wait.Round(time.Millisecond), "error", err)
		}))
	return err
}
