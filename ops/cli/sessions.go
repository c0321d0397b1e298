//go:build !receiver

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"cdds/ops/api"
	"cdds/ops/api/client"
	"cdds/ops/auth"
	"cdds/schemas"
)

func newSession(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "session", Short: "List and end the sessions of people", Long: `List and end the sessions of people who signed in to the console, with a password or
through an OpenID provider.

` + exitCodes,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSessionList(s), newSessionEnd(s))
	return cmd
}

func newSessionList(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use: "list", Short: "List sessions, the latest first",
		Long: `List a tenant's sessions, the latest first; with tenant '*', all sessions. A session that nobody uses
ends without a trace, so some may have ended.

` + exitCodes,
		Example: examples("cdds session list --tenant acme"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []api.SessionView
			err := s.withAccounts(cmd.Context(), func(c *client.Client) (err error) {
				all, err = c.Sessions(cmd.Context(), tenant)
				return err
			}, func(a *auth.Service) error {
				for _, v := range a.Directory.Sessions(tenant) {
					all = append(all, api.SessionViewOf(v))
				}
				return nil
			})
			if err != nil {
				return err
			}
			rows := [][]string{{"SESSION", "NAME", "TENANT", "ROLE", "VIA", "FROM", "BEGAN", "ENDS"}}
			for _, v := range all {
				rows = append(rows, []string{v.SessionID, v.Name, v.TenantID, v.Role, v.Via, v.From, v.BeganAt.String(), v.Until.String()})
			}
			return s.list(map[string]any{"tenant_id": tenant, "sessions": all}, rows, "")
		},
	}
	tenantFlag(cmd, &tenant)
	return lists(cmd)
}

func newSessionEnd(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use: "end SESSION", Short: "End a session",
		Long: `End a session at once, in every web process. The person may sign in again: to prevent that,
disable the user, or have the OpenID provider refuse the person first.

` + exitCodes,
		Example: examples("cdds session end 7YQ2ZKC5 --tenant acme"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := s.withAccounts(cmd.Context(), func(c *client.Client) error { return c.EndSession(cmd.Context(), tenant, args[0]) },
				func(a *auth.Service) error {
					v, ok := a.Directory.Session(args[0])
					if !ok || tenant != schemas.AllTenants && v.TenantID != tenant {
						return refused(fmt.Errorf("tenant %s has no session %s", tenant, args[0]))
					}
					return a.EndSession(cmd.Context(), onTheMachine(), args[0])
				})
			if err != nil {
				return err
			}
			return s.result(map[string]any{"session_id": args[0], "ended": true}, func() { s.print("session %s has ended\n", args[0]) })
		},
	}
	tenantFlag(cmd, &tenant)
	return cmd
}
