//go:build !receiver

package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/api/client"
	"cdds/producers"
	"cdds/schemas"
)

func newExportRetry(s *session) *cobra.Command {
	return s.newControl(control{
		action: schemas.ActionRetry, short: "Take a failed export up again",
		long: `Take a failed export up again under its id: same snapshot, same parts. Parts that are
stored are not made again. It returns when the export has ended. Several retries of
the same failure are one. If another run of a chain took its place meanwhile, a run
after that one is requested instead.`,
		allows: func(e schemas.Export) bool { return e.State == schemas.Failed },
		done:   func(before, now schemas.Export) bool { return now.Attempt > before.Attempt && now.State.Ended() },
		there:  (*client.Client).RetryExport,
	})
}

func newExportDelete(s *session) *cobra.Command {
	return s.newControl(control{
		action: schemas.ActionDelete, short: "Remove the artifacts of an export that has ended",
		long: `Remove the artifacts of an export that has ended. History keeps the record of the export, and of
who deleted it and when; another export can still continue it with --since.`,
		allows: func(e schemas.Export) bool { return e.State.Ended() && e.State != schemas.Refused },
		done:   func(_, now schemas.Export) bool { return now.State == schemas.Deleted },
		there:  (*client.Client).DeleteExport,
	})
}

// control is a command that asks for something to be done with an export there is.
type control struct {
	action, short, long string
	// allows tells exports it can be asked for.
	allows func(schemas.Export) bool
	// check is an error if a run of a job must be left as it is; nil checks nothing.
	check func(ctx context.Context, d *defined, e schemas.Export) error
	// done reports whether it is done.
	done func(before, now schemas.Export) bool
	// there asks a server for it.
	there func(c *client.Client, ctx context.Context, tenant, id string) (schemas.Export, error)
}

func (s *session) newControl(c control) *cobra.Command {
	var tenant string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use: c.action + " ID", Short: c.short, Long: c.long + " A refusal ends it, with the reason.\n\n" + exitCodes,
		Example: examples("cdds export " + c.action + " 01JD9Z3Q6W --tenant acme"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			var e schemas.Export
			err := s.anywhere(func(there *client.Client) (err error) {
				before, err := there.Export(ctx, tenant, args[0])
				if err != nil {
					return err
				}
				if _, err = c.there(there, ctx, tenant, args[0]); err != nil {
					return err
				}
				e, err = c.follow(ctx, before, nil, remotePoll, func(ctx context.Context) (schemas.Export, bool, error) {
					e, err := there.Export(ctx, tenant, args[0])
					return e, err == nil, err
				})
				return err
			}, func(services *services) (err error) {
				before, err := s.lookUp(cmd.Context(), services, tenant, args[0])
				if err != nil {
					return err
				}
				if !c.allows(before) {
					return refused(fmt.Errorf("export %s is %s: there is nothing to %s", before.ExportID, before.State, c.action))
				}
				if c.check != nil && before.Request != nil && before.Request.JobID != "" {
					if err := s.withDefinitions(ctx, func(d *defined) error { return c.check(ctx, d, before) }); err != nil {
						return err
					}
				}
				e, err = s.control(ctx, services, c, before)
				return err
			})
			if err != nil {
				return err
			}
			if err := s.told(e, func() { s.describe(e) }); err != nil {
				return err
			}
			if e.State == schemas.Deleted {
				return nil
			}
			return outcome(e)
		},
	}
	tenantFlag(cmd, &tenant)
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "stop waiting after this `duration`; the request is not withdrawn")
	return cmd
}

// control publishes the control and waits until it is done or refused.
func (s *session) control(ctx context.Context, services *services, c control, before schemas.Export) (schemas.Export, error) {
	publisher, err := producers.New(services.kafka, "cdds/cli", nil)
	if err != nil {
		return before, err
	}
	defer publisher.Close()
	r := &schemas.ExportRequest{
		Action: c.action, TenantID: before.TenantID, ExportID: before.ExportID,
		RequestedAt: schemas.TimeOf(time.Now()), RequestedBy: whoami(), RequestedFrom: machine(),
	}
	if c.action == schemas.ActionRetry {
		r.Attempt = before.Attempt
	}
	if err := publisher.Publish(ctx, r); err != nil {
		return before, unreachable(err)
	}
	return c.follow(ctx, before, r, historyPoll, func(ctx context.Context) (schemas.Export, bool, error) {
		e, ok, err := services.export(ctx, before.TenantID, before.ExportID)
		if err != nil {
			err = unreachable(err)
		}
		return e, ok, err
	})
}

// follow asks how the export stands until what was asked for is done or refused, or ctx
// ends. Refusals are facts of the export: one that was not there before is the answer.
func (c control) follow(ctx context.Context, before schemas.Export, r *schemas.ExportRequest, every time.Duration, ask func(context.Context) (schemas.Export, bool, error)) (schemas.Export, error) {
	if r == nil {
		r = &schemas.ExportRequest{Action: c.action, TenantID: before.TenantID, ExportID: before.ExportID}
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	e := before
	for {
		now, ok, err := ask(ctx)
		if err != nil && ctx.Err() == nil && !passing(err) {
			return e, err
		}
		if ok && err == nil {
			if e = now; c.done(before, e) {
				return e, nil
			}
			if refusals := refusalsOf(e, r); len(refusals) > len(refusalsOf(before, r)) {
				return e, refused(fmt.Errorf("export %s: %s", e.ExportID, refusals[len(refusals)-1].Reason))
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return e, withHint(fmt.Errorf("export %s is still %s", e.ExportID, e.State), fmt.Sprintf("`%s` shows its state", showCommand(e)))
			}
			return e, ctx.Err()
		}
	}
}

// refusalsOf are the refusals of what r asks for, the latest last.
func refusalsOf(e schemas.Export, r *schemas.ExportRequest) []schemas.Conflict {
	digest := r.Digest()
	all := slices.DeleteFunc(slices.Clone(e.Conflicts), func(c schemas.Conflict) bool { return c.RequestDigest != digest })
	slices.SortFunc(all, func(a, b schemas.Conflict) int { return a.Time.Compare(b.Time) })
	return all
}

// passing tells a server that is away for a moment.
func passing(err error) bool {
	var p *client.Problem
	return errors.As(err, &p) && (p.Status >= http.StatusInternalServerError || p.Status == http.StatusTooManyRequests)
}
