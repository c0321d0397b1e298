//go:build !receiver

package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"cdds/consumers"
	"cdds/ops/api"
	"cdds/ops/api/client"
	"cdds/ops/auth"
	"cdds/ops/shell"
	"cdds/producers"
	"cdds/schemas"
)

func newUser(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "user", Short: "Make, change, list and remove the people who sign in with a password",
		Long: `Make, change, disable, list and remove the people who sign in to the console with a
password, and give them new passwords. Where web.oidc is set, people sign in through the
provider instead; cdds session lists and ends their sessions.

When a user is removed, disabled or gets another role, its sessions and the API tokens it
made end at once, in every web process.

Usernames are unique across tenants: two tenants cannot both have an "alice". A removed
username cannot be reused, because the audit trail names it.

` + exitCodes,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newUserAdd(s), newUserList(s), newUserPassword(s), newUserRole(s), newUserDisable(s), newUserEnable(s), newUserRemove(s))
	return cmd
}

func newUserAdd(s *session) *cobra.Command {
	u := schemas.User{}
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Make a user and show its one-time password",
		Long: `Make a user of a role and a tenant ('*' means all tenants), and show a one-time password once.
It is valid for one sign-in within three days, to choose another.

` + exitCodes,
		Example: examples("cdds user add alice --tenant acme --role administrator", "cdds user add oncall --tenant '*' --role operator"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			u.Name = args[0]
			var password string
			err := s.withAccounts(cmd.Context(), func(c *client.Client) (err error) {
				password, err = c.CreateUser(cmd.Context(), u)
				return err
			}, func(a *auth.Service) (err error) {
				password, err = a.CreateUser(cmd.Context(), onTheMachine(), u)
				return err
			})
			if err != nil {
				return err
			}
			return s.toldPassword(u.Name, password)
		},
	}
	tenantFlag(cmd, &u.TenantID)
	cmd.Flags().StringVar(&u.Role, "role", schemas.RoleViewer, "`role`: administrator, viewer, privacy or operator")
	cmd.Flags().StringVar(&u.DisplayName, "display-name", "", "`name` of the person")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(schemas.Roles(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (s *session) toldPassword(name, password string) error {
	return s.result(map[string]any{"name": name, "password": password}, func() {
		s.print("%s\n", password)
		s.say("Temporary: it serves for one sign-in within three days, where %s must choose another.", name)
	})
}

func newUserList(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use: "list", Short: "List a tenant's users", Long: "List a tenant's users; with tenant '*', all users.\n\n" + exitCodes,
		Example: examples("cdds user list --tenant acme"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []api.UserView
			err := s.withAccounts(cmd.Context(), func(c *client.Client) (err error) {
				all, err = c.Users(cmd.Context(), tenant)
				return err
			}, func(a *auth.Service) error {
				for _, u := range a.Directory.Users(tenant) {
					all = append(all, api.UserViewOf(u))
				}
				return nil
			})
			if err != nil {
				return err
			}
			rows := [][]string{{"NAME", "DISPLAY NAME", "TENANT", "ROLE", "PASSWORD"}}
			for _, u := range all {
				password := "of " + u.PasswordAt.String()
				switch {
				case u.Disabled:
					password = "disabled"
				case u.MustChange:
					password = "to be chosen"
				}
				rows = append(rows, []string{u.Name, u.DisplayName, u.TenantID, u.Role, password})
			}
			return s.list(map[string]any{"tenant_id": tenant, "users": all}, rows, "")
		},
	}
	tenantFlag(cmd, &tenant)
	return lists(cmd)
}

func newUserPassword(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use: "passwd NAME", Short: "Give a user a one-time password, and end its sessions",
		Long:    "Give a user a one-time password. It is valid for one sign-in within three days, to choose\nanother. All sessions of the user end.\n\n" + exitCodes,
		Example: examples("cdds user passwd alice --tenant acme"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var password string
			err := s.withAccounts(cmd.Context(), func(c *client.Client) (err error) {
				password, err = c.ResetPassword(cmd.Context(), tenant, args[0])
				return err
			}, func(a *auth.Service) (err error) {
				if err := ofTenant(a, tenant, args[0]); err != nil {
					return err
				}
				password, err = a.ResetPassword(cmd.Context(), onTheMachine(), nil, args[0])
				return err
			})
			if err != nil {
				return err
			}
			return s.toldPassword(args[0], password)
		},
	}
	tenantFlag(cmd, &tenant)
	return cmd
}

func newUserRemove(s *session) *cobra.Command {
	return newUserChange(s, userChange{
		use: "remove NAME", short: "End a user, its sessions and its API tokens",
		long:    "Delete a user, its sessions and the API tokens it made. The username cannot be reused.",
		example: "cdds user remove alice --tenant acme", said: "removed %s\n", key: "removed",
		there: func(ctx context.Context, c *client.Client, tenant, name string) error {
			return c.DeleteUser(ctx, tenant, name)
		},
		here: func(ctx context.Context, a *auth.Service, name string) error {
			return a.DeleteUser(ctx, onTheMachine(), nil, name)
		},
	})
}

func newUserRole(s *session) *cobra.Command {
	var role string
	cmd := newUserChange(s, userChange{
		use: "role NAME", short: "Give a user another role",
		long:    "Give a user another role. Its sessions and the API tokens it made end; it signs in again.",
		example: "cdds user role alice --tenant acme --role administrator", said: "%s has another role\n", key: "changed",
		there: func(ctx context.Context, c *client.Client, tenant, name string) error {
			u, err := c.User(ctx, tenant, name)
			if err != nil {
				return err
			}
			return c.ChangeUser(ctx, tenant, name, u.DisplayName, role)
		},
		here: func(ctx context.Context, a *auth.Service, name string) error {
			u, _, _ := a.Directory.User(name)
			return a.ChangeUser(ctx, onTheMachine(), nil, name, u.DisplayName, role)
		},
	})
	cmd.Flags().StringVar(&role, "role", "", "`role`: administrator, privacy, viewer or operator")
	_ = cmd.MarkFlagRequired("role")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(schemas.Roles(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func newUserDisable(s *session) *cobra.Command {
	return newUserChange(s, userChange{
		use: "disable NAME", short: "Keep a user from signing in, and end its sessions and API tokens",
		long:    "Disable a user: it cannot sign in until it is enabled. Its sessions and the API tokens it made\nend for good.",
		example: "cdds user disable alice --tenant acme", said: "%s is disabled\n", key: "disabled",
		there: func(ctx context.Context, c *client.Client, tenant, name string) error {
			return c.DisableUser(ctx, tenant, name)
		},
		here: func(ctx context.Context, a *auth.Service, name string) error {
			return a.DisableUser(ctx, onTheMachine(), nil, name)
		},
	})
}

func newUserEnable(s *session) *cobra.Command {
	return newUserChange(s, userChange{
		use: "enable NAME", short: "Let a disabled user sign in again",
		long:    "Enable a disabled user, who can then sign in again with the old password.",
		example: "cdds user enable alice --tenant acme", said: "%s is enabled\n", key: "enabled",
		there: func(ctx context.Context, c *client.Client, tenant, name string) error {
			return c.EnableUser(ctx, tenant, name)
		},
		here: func(ctx context.Context, a *auth.Service, name string) error {
			return a.EnableUser(ctx, onTheMachine(), nil, name)
		},
	})
}

// userChange is a command that changes one user.
type userChange struct {
	use, short, long, example, said, key string

	there func(ctx context.Context, c *client.Client, tenant, name string) error
	here  func(ctx context.Context, a *auth.Service, name string) error
}

func newUserChange(s *session, u userChange) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use: u.use, Short: u.short, Long: u.long + "\n\n" + exitCodes,
		Example: examples(u.example),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			err := s.withAccounts(cmd.Context(), func(c *client.Client) error { return u.there(cmd.Context(), c, tenant, name) },
				func(a *auth.Service) error {
					if err := ofTenant(a, tenant, name); err != nil {
						return err
					}
					return u.here(cmd.Context(), a, name)
				})
			if err != nil {
				return err
			}
			return s.result(map[string]any{"name": name, u.key: true}, func() { s.print(u.said, name) })
		},
	}
	tenantFlag(cmd, &tenant)
	return cmd
}

// ofTenant refuses a user the tenant does not have.
func ofTenant(a *auth.Service, tenant, name string) error {
	u, _, ok := a.Directory.User(name)
	if !ok || tenant != schemas.AllTenants && u.TenantID != tenant {
		return refused(withHint(fmt.Errorf("tenant %s has no user %s", tenant, name), "`"+shell.Command("cdds", "user", "list", "--tenant", tenant)+"` lists them"))
	}
	return nil
}

// onTheMachine is who acts on the services themselves, for the audit trail.
func onTheMachine() auth.Principal {
	host, _ := os.Hostname()
	return auth.Principal{Subject: "cli", Name: whoami(), Tenant: schemas.AllTenants, From: host}
}

// withAccounts runs one of the two: against the server that is named, or with the users
// and tokens as Kafka has them.
func (s *session) withAccounts(ctx context.Context, there func(*client.Client) error, here func(*auth.Service) error) error {
	return s.anywhere(there, func(services *services) error {
		directory := auth.NewDirectory(nil)
		begin := func(*consumers.Replica) (apply, error) {
			return func(_ schemas.Topic, key, value []byte) {
				_ = directory.Read(key, value) // what is not a record changes nothing
			}, nil
		}
		return withCopy(ctx, services, []schemas.Topic{schemas.TopicAccess}, begin, func(publisher *producers.Publisher) error {
			key := make([]byte, auth.KeySize) // of sessions, of which none begins here
			_, _ = rand.Read(key)
			accounts, err := auth.New(auth.Options{Directory: directory, Records: producers.NewRecords(publisher, directory.Versions()), Publisher: publisher, Key: key})
			if err != nil {
				return err
			}
			return refusedAccount(here(accounts))
		})
	})
}

// refusedAccount gives what is refused of an account its exit code.
func refusedAccount(err error) error {
	var invalid *schemas.InvalidError
	switch {
	case errors.As(err, &invalid):
		return usageError{err}
	case errors.Is(err, auth.ErrTaken), errors.Is(err, auth.ErrUnknown), errors.Is(err, schemas.ErrChanged):
		return refused(err)
	case err != nil && codeOf(err) == exitFailure:
		return unreachable(err)
	}
	return err
}
