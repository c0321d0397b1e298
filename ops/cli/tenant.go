//go:build !receiver

package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cdds/ops/api/client"
)

// maxTenants bounds what is listed of the services themselves.
const maxTenants = 10_000

func newTenant(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "tenant", Short: "List tenants", Long: "List the tenants that have history or exports.\n\n" + exitCodes,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var search string
	list := &cobra.Command{
		Use: "list", Short: "List the tenants you see",
		Long:    "List the tenants that have history or exports, as far as you may see them.\n\n" + exitCodes,
		Example: examples("cdds tenant list", "cdds tenant list --search acme"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := []string{}
			err := s.anywhere(func(c *client.Client) (err error) {
				all, err = c.Tenants(cmd.Context(), search)
				return err
			}, func(services *services) error {
				search := strings.ToLower(strings.TrimSpace(search)) // as ids are
				have, err := services.warehouse.Tenants(cmd.Context(), search, "", maxTenants)
				if err != nil {
					return unreachable(err)
				}
				exported, err := services.ledger.Tenants(cmd.Context(), search, "", maxTenants)
				if err != nil {
					return unreachable(err)
				}
				all = append(have, exported...)
				return nil
			})
			if err != nil {
				return err
			}
			slices.Sort(all)
			all = slices.Compact(all)
			rows := [][]string{{"TENANT"}}
			for _, tenant := range all {
				rows = append(rows, []string{tenant})
			}
			return s.list(map[string]any{"tenants": all}, rows, "there is no tenant with history or exports")
		},
	}
	list.Flags().StringVar(&search, "search", "", "list only tenants whose id contains a `text`")
	cmd.AddCommand(lists(list))
	return cmd
}
