//go:build !receiver

package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/api/client"
	"cdds/producers"
	"cdds/schemas"
)

func newExportCancel(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "Cancel an export and remove what it stored",
		Long: `Cancel an export that has not ended, and remove what it stored. An export that is
completed stays as it is.

` + exitCodes,
		Example: examples("cdds export cancel 01JD9Z3Q6W --tenant acme"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.anywhere(func(c *client.Client) error {
				e, err := c.CancelExport(cmd.Context(), tenant, args[0])
				if err == nil {
					e, err = s.remoteAwait(cmd.Context(), c, e)
				}
				if err != nil {
					return err
				}
				return s.told(e, func() { s.print("export %s is %s\n", e.ExportID, e.State) })
			}, func(services *services) error {
				e, err := s.lookUp(cmd.Context(), services, tenant, args[0])
				if err != nil {
					return err
				}
				if e.State.Ended() {
					if err := s.told(e, func() { s.describe(e) }); err != nil {
						return err
					}
					return jsonTold{refused(fmt.Errorf("export %s has ended: it is %s", e.ExportID, e.State))}
				}
				publisher, err := producers.New(services.kafka, "cdds/cli", nil)
				if err != nil {
					return err
				}
				defer publisher.Close()
				r := &schemas.ExportRequest{
					Action: schemas.ActionCancel, TenantID: tenant, ExportID: args[0],
					RequestedAt: schemas.TimeOf(time.Now()), RequestedBy: whoami(), RequestedFrom: machine(),
				}
				if err := publisher.Publish(cmd.Context(), r); err != nil {
					return unreachable(err)
				}
				if e, err = s.await(cmd.Context(), services, r, true); err != nil {
					return err
				}
				return s.told(e, func() { s.print("export %s is %s\n", e.ExportID, e.State) })
			})
		},
	}
	tenantFlag(cmd, &tenant)
	return cmd
}
