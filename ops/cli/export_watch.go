//go:build !receiver

package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/api/client"
	"cdds/schemas"
)

func newExportWatch(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:   "watch ID",
		Short: "Follow an export to its end",
		Long: `Follow an export to its end, with a progress bar at a terminal and a line for each step
elsewhere. The exit code says how it ended: 0 completed, 3 refused or its artifacts gone,
1 failed or cancelled. To stop watching changes nothing about the export.

` + exitCodes,
		Example: examples("cdds export watch 01JD9Z3Q6W --tenant acme", "cdds export watch 01JD9Z3Q6W && cdds export download 01JD9Z3Q6W"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.anywhere(func(c *client.Client) error {
				return s.watch(cmd.Context(), remotePoll, func(ctx context.Context) (schemas.Export, error) { return c.Export(ctx, tenant, args[0]) })
			}, func(services *services) error {
				return s.watch(cmd.Context(), historyPoll, func(ctx context.Context) (schemas.Export, error) { return s.lookUp(ctx, services, tenant, args[0]) })
			})
		},
	}
	tenantFlag(cmd, &tenant)
	return cmd
}

// watch asks how an export stands until it has ended.
func (s *session) watch(ctx context.Context, every time.Duration, ask func(context.Context) (schemas.Export, error)) error {
	bar := s.newBar("exporting", 0)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var e schemas.Export
	for asked := false; ; asked = true {
		now, err := ask(ctx)
		if err != nil && (!asked || !passing(err)) {
			bar.end(err)
			return err
		}
		if err == nil { // else the server is away for a moment
			if !s.interactive() && (now.State != e.State || now.Done.Parts != e.Done.Parts || now.Waiting != e.Waiting) {
				s.say("%s", step(now))
			}
			e = now
			bar.set(e.Done.JSONLBytes, max(e.Planned.JSONLBytes, 1))
		}
		if e.State.Ended() {
			bar.end(nil)
			if err := s.told(e, func() { s.describe(e) }); err != nil {
				return err
			}
			return outcome(e)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			bar.end(ctx.Err())
			return ctx.Err()
		}
	}
}

// step says in a line how far an export is.
func step(e schemas.Export) string {
	text := "export " + e.ExportID + " is " + string(e.State)
	if e.Planned.Parts > 0 && !e.State.Ended() {
		text += ", " + schemas.Grouped(e.Done.Parts) + " of " + schemas.Counted(e.Planned.Parts, "part")
	}
	if left, ok := e.Remaining(time.Now()); ok {
		text += ", about " + left.Round(time.Second).String() + " left"
	}
	if e.Waiting != "" {
		text += ": " + e.Waiting
	}
	return text
}
