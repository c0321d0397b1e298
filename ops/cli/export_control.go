package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cdds/producers"
	"cdds/schemas"
)

func newExportRetry(s *session) *cobra.Command {
	return s.newControl(control{
		action: schemas.ActionRetry, short: "Take a failed export up again",
		long: `Take a failed export up again under its id: same snapshot, same parts. Parts that are
stored are not made again. It returns when the export has ended.`,
		allows: func(e schemas.Export) bool { return e.State == schemas.Failed },
		done:   func(before, now schemas.Export) bool { return now.Attempt > before.Attempt && now.State.Ended() },
	})
}

func newExportDelete(s *session) *cobra.Command {
	return s.newControl(control{
		action: schemas.ActionDelete, short: "Remove the artifacts of an export that has ended",
		long: `Remove the artifacts of an export that has ended. What it was, and who deleted it and
when, stays in history; another export can still continue it with --since.`,
		allows: func(e schemas.Export) bool { return e.State.Ended() && e.State != schemas.Refused },
		done:   func(_, now schemas.Export) bool { return now.State == schemas.Deleted },
	})
}

// control is a command that asks for something to be done with an export there is.
type control struct {
	action, short, long string
	// allows tells exports it can be asked for.
	allows func(schemas.Export) bool
	// done tells when it is done.
	done func(before, now schemas.Export) bool
}

func (s *session) newControl(c control) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use: c.action + " ID", Short: c.short, Long: c.long + "\n\n" + exitCodes,
		Example: examples("cdds export " + c.action + " 01JD9Z3Q6W --tenant acme"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withServices(func(services *services) error {
				before, err := s.lookUp(cmd, services, tenant, args[0])
				if err != nil {
					return err
				}
				if !c.allows(before) {
					return refused(fmt.Errorf("export %s is %s: there is nothing to %s", before.ExportID, before.State, c.action))
				}
				e, err := s.control(cmd.Context(), services, c, before)
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
			})
		},
	}
	tenantFlag(cmd, &tenant)
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
		RequestedAt: schemas.TimeOf(time.Now()), RequestedBy: whoami(),
	}
	if err := publisher.Publish(ctx, r); err != nil {
		return before, unreachable(err)
	}
	ticker := time.NewTicker(historyPoll)
	defer ticker.Stop()
	for {
		e, ok, err := services.warehouse.Export(ctx, before.TenantID, before.ExportID)
		if err != nil && ctx.Err() == nil {
			return before, unreachable(err)
		}
		if ok && err == nil && c.done(before, e) {
			return e, nil
		}
		if reason, taken := conflictOf(e, r); taken && len(e.Conflicts) > len(before.Conflicts) {
			return e, refused(fmt.Errorf("export %s: %s", e.ExportID, reason))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return e, ctx.Err()
		}
	}
}
