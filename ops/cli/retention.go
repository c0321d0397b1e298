//go:build !receiver

package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/retention"
	"cdds/ops/shell"
	"cdds/schemas"
)

func newRetention(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retention",
		Short: "Show whether retention is stopped, and let it go on",
		Long: `Show whether retention is stopped. It stops when bucket and history disagree about
more than 20 exports, or 5 percent of them, at once: a wrong or an empty bucket and a
restored history look like this, so nothing is removed or corrected until an operator
has looked. Find the cause first; where the bucket or history comes back, retention goes
on by itself. ` + "`cdds retention confirm`" + ` says that what it found is true.

` + exitCodes,
		Example: examples("cdds retention", "cdds retention --json"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.withServices(func(services *services) error {
				stop, confirmed, err := retention.Stopped(cmd.Context(), services.bucket)
				if errors.Is(err, retention.ErrNotStopped) {
					return s.result(map[string]any{"stopped": false}, func() { s.print("retention is not stopped\n") })
				}
				if err != nil {
					return unreachable(err)
				}
				return s.result(map[string]any{"stopped": true, "confirmed": confirmed, "stop": stop}, func() { s.showStop(stop, confirmed) })
			})
		},
	}
	cmd.AddCommand(newRetentionConfirm(s))
	return cmd
}

// checkRetention finds out whether retention waits for an operator.
func checkRetention(ctx context.Context, s *services) (string, error) {
	stop, confirmed, err := retention.Stopped(ctx, s.bucket)
	switch {
	case errors.Is(err, retention.ErrNotStopped):
		return "not stopped", nil
	case err != nil:
		return "", err
	case confirmed:
		return "confirmed: the next sweep goes on", nil
	}
	return "", fmt.Errorf("stopped since %s: bucket and history disagree about %d of %s; `cdds retention` shows them", stop.At, stop.Exports, schemas.Counted(stop.Compared, "export"))
}

func (s *session) showStop(stop retention.Stop, confirmed bool) {
	s.print("retention is stopped since %s: bucket and history disagree about %d of %s\n", stop.At, stop.Exports, schemas.Counted(stop.Compared, "export"))
	s.print("completed, but objects are missing: %d\nin the bucket, but unknown to history: %d\n", stop.Lost, stop.Orphans)
	for _, example := range stop.Examples {
		s.print("  %s\n", example)
	}
	if more := stop.Exports - len(stop.Examples); more > 0 {
		s.print("  and %d more\n", more)
	}
	if confirmed {
		s.print("It is confirmed: the next sweep settles what has stood for at least the grace (retention.grace).\n")
		return
	}
	s.print("If that is true, let retention expire and remove them: %s\n", shell.Command("cdds", "retention", "confirm", stop.ID))
}

func newRetentionConfirm(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "confirm STOP",
		Short: "Let a stopped retention settle what it found",
		Long: `Let a stopped retention settle what it found: exports that lack objects become expired,
and objects of exports that nothing knows are removed. STOP is what ` + "`cdds retention`" + `
names, so that only what you have seen is confirmed: if more exports disagree by then,
it stops again. It is recorded in the audit trail.

` + exitCodes,
		Example: examples("cdds retention confirm 20261101T000000.000Z"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withServices(func(services *services) error { return s.confirmRetention(cmd.Context(), services, args[0]) })
		},
	}
}

func (s *session) confirmRetention(ctx context.Context, services *services, id string) error {
	stop, _, err := retention.Stopped(ctx, services.bucket)
	switch {
	case errors.Is(err, retention.ErrNotStopped):
		return refused(err)
	case err != nil:
		return unreachable(err)
	case stop.ID != id:
		return refused(withHint(fmt.Errorf("retention is stopped by %s, not by %s", stop.ID, id), "`cdds retention` shows what it found"))
	}
	detail := fmt.Sprintf("%d of %s; missing objects: %d, unknown to history: %d", stop.Exports, schemas.Counted(stop.Compared, "export"), stop.Lost, stop.Orphans)
	if err := s.audit(ctx, services, schemas.AllTenants, "retention.confirm", id, detail); err != nil {
		return err
	}
	if err := retention.Confirm(ctx, services.bucket, id, whoami(), time.Now()); err != nil {
		return unreachable(err)
	}
	return s.result(map[string]any{"confirmed": id, "exports": stop.Exports}, func() {
		s.print("confirmed: the next sweep settles up to %s\n", schemas.Counted(stop.Exports, "export"))
	})
}
