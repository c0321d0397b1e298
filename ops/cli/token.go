//go:build !receiver

package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/api"
	"cdds/ops/api/client"
	"cdds/ops/auth"
	"cdds/schemas"
)

// tokenFlags are the flags of `token create`.
type tokenFlags struct {
	tenant, name, role string
	lives              time.Duration
}

func newToken(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "token", Short: "Make, list and end API tokens", Long: "Make, list and revoke API tokens. Programs use them to call the HTTP API.\n\n" + exitCodes,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenCreate(s), newTokenList(s), newTokenRevoke(s))
	return cmd
}

func newTokenCreate(s *session) *cobra.Command {
	var f tokenFlags
	cmd := &cobra.Command{
		Use: "create", Short: "Make an API token and show it once",
		Long: `Make an API token of a role and a tenant, and show it once; the service keeps only its
digest. administrator may do everything within the tenant, viewer sees
everything and downloads artifacts, privacy may also export and erase the data of people,
operator sees system health, not customer data.

With --server, an administrator's token can make other tokens. Without it, the command needs
write access to Kafka; this is how you make the first token.

` + exitCodes,
		Example: examples(
			"cdds token create --tenant acme --role viewer --name 'nightly download' --expires 2160h",
			"cdds token create --tenant '*' --role administrator --name setup --expires 1h --json",
			"export CDDS_SERVER=https://cdds.example.com CDDS_TOKEN=cdds_...; cdds export list --tenant acme"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t := schemas.APIToken{Name: f.name, TenantID: f.tenant, Role: f.role, ExpiresAt: schemas.TimeOf(time.Now().Add(f.lives))}
			if f.lives <= 0 || f.lives > auth.MaxTokenLife {
				return usageError{fmt.Errorf("--expires %s: choose up to %s", f.lives, auth.MaxTokenLife)}
			}
			var secret string
			err := s.withAccounts(cmd.Context(), func(c *client.Client) (err error) {
				made, err := c.CreateToken(cmd.Context(), t.TenantID, t.Name, t.Role, t.ExpiresAt)
				t.TokenID, secret = made.TokenID, made.Secret
				return err
			}, func(a *auth.Service) (err error) {
				t, secret, err = a.CreateToken(cmd.Context(), onTheMachine(), t)
				return err
			})
			if err != nil {
				return err
			}
			return s.result(map[string]any{
				"token_id": t.TokenID, "name": t.Name, "tenant_id": t.TenantID, "role": t.Role, "expires_at": t.ExpiresAt, "secret": secret,
			}, func() {
				s.print("%s\n", secret)
				s.say("It is not shown again. Role: %s, tenant: %s, valid until %s.", t.Role, t.TenantID, t.ExpiresAt)
			})
		},
	}
	tenantFlag(cmd, &f.tenant)
	cmd.Flags().StringVar(&f.name, "name", "", "`name` that says what it is for (required)")
	cmd.Flags().StringVar(&f.role, "role", schemas.RoleViewer, "`role`: administrator, viewer, privacy or operator")
	cmd.Flags().DurationVar(&f.lives, "expires", 30*24*time.Hour, "`duration` it is valid, at most a year")
	_ = cmd.MarkFlagRequired("name")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(schemas.Roles(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func newTokenList(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use: "list", Short: "List API tokens, the latest first", Long: "List a tenant's API tokens, ended ones too, the latest first; with tenant '*', all tokens.\n\n" + exitCodes,
		Example: examples("cdds token list --tenant acme"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []api.TokenView
			err := s.withAccounts(cmd.Context(), func(c *client.Client) (err error) {
				all, err = c.Tokens(cmd.Context(), tenant)
				return err
			}, func(a *auth.Service) error {
				for _, t := range a.Directory.Tokens(tenant) {
					all = append(all, api.TokenViewOf(t))
				}
				return nil
			})
			if err != nil {
				return err
			}
			rows := [][]string{{"TOKEN", "NAME", "TENANT", "ROLE", "ENDS", "MADE BY"}}
			for _, t := range all {
				ends := t.ExpiresAt.String()
				if !t.RevokedAt.IsZero() {
					ends = "revoked " + t.RevokedAt.String()
				}
				rows = append(rows, []string{t.TokenID, t.Name, t.TenantID, t.Role, ends, t.CreatedBy})
			}
			return s.list(map[string]any{"tenant_id": tenant, "tokens": all}, rows, "")
		},
	}
	tenantFlag(cmd, &tenant)
	return lists(cmd)
}

func newTokenRevoke(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use: "revoke TOKEN", Short: "End an API token", Long: "End an API token at once, by its id.\n\n" + exitCodes,
		Example: examples("cdds token revoke 01jd9z3q6w --tenant acme"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := s.withAccounts(cmd.Context(), func(c *client.Client) error { return c.RevokeToken(cmd.Context(), tenant, args[0]) },
				func(a *auth.Service) error {
					t, _, ok := a.Directory.Token(args[0])
					if !ok || tenant != schemas.AllTenants && t.TenantID != tenant {
						return refused(fmt.Errorf("tenant %s has no token %s", tenant, args[0]))
					}
					return a.RevokeToken(cmd.Context(), onTheMachine(), nil, args[0])
				})
			if err != nil {
				return err
			}
			return s.result(map[string]any{"token_id": args[0], "revoked": true}, func() { s.print("token %s has ended\n", args[0]) })
		},
	}
	tenantFlag(cmd, &tenant)
	return cmd
}
