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
	"cdds/ops/connect"
	"cdds/ops/shell"
	"cdds/producers"
	"cdds/schemas"
)

func newUser(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "user", Short: "Make, list and remove the people who sign in with a password",
		Long: `Make, list and remove the people who sign in to the console with a password, and give
them new ones. Where web.oidc is set, people sign in through the provider instead.

Usernames are unique across tenants: two tenants cannot both have an "alice". A removed
username cannot be reused, because the audit trail names it.

` + exitCodes,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newUserAdd(s), newUserList(s), newUserPassword(s), newUserRemove(s))
	return cmd
}

func newUserAdd(s *session) *cobra.Command {
	u := schemas.User{}
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Make a user and show the password that serves once",
		Long: `Make a user of a role and a tenant ('*' is all of them), and show a password that serves
once: to choose another. It is not kept.

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
		s.say("It serves %s once, to choose another.", name)
	})
}

func newUserList(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use: "list", Short: "List a tenant's users", Long: "List a tenant's users; of tenant '*', everybody.\n\n" + exitCodes,
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
				if u.MustChange {
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
		Use: "passwd NAME", Short: "Give a user a new password that serves once, and end its sessions",
		Long:    "Give a user a new password that serves once, to choose another; all its sessions end.\n\n" + exitCodes,
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
				password, err = a.ResetPassword(cmd.Context(), onTheMachine(), args[0])
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
	var tenant string
	cmd := &cobra.Command{
		Use: "remove NAME", Short: "End a user, its sessions and its API tokens",
		Long:    "End a user, its sessions and the API tokens it made. The username cannot be reused.\n\n" + exitCodes,
		Example: examples("cdds user remove alice --tenant acme"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := s.withAccounts(cmd.Context(), func(c *client.Client) error { return c.DeleteUser(cmd.Context(), tenant, args[0]) },
				func(a *auth.Service) error {
					if err := ofTenant(a, tenant, args[0]); err != nil {
						return err
					}
					return a.DeleteUser(cmd.Context(), onTheMachine(), args[0])
				})
			if err != nil {
				return err
			}
			return s.result(map[string]any{"name": args[0], "removed": true}, func() { s.print("removed %s\n", args[0]) })
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
		if err := connect.PingKafka(ctx, services.client); err != nil { // sooner than a copy gives up
			return unreachable(err)
		}
		publisher, err := producers.New(services.kafka, "cdds/cli", nil)
		if err != nil {
			return err
		}
		defer publisher.Close()
		key := make([]byte, auth.KeySize) // of sessions, of which none begins here
		_, _ = rand.Read(key)
		directory := auth.NewDirectory(nil)
		accounts, err := auth.New(auth.Options{Directory: directory, Records: producers.NewRecords(publisher, directory.Versions()), Publisher: publisher, Key: key})
		if err != nil {
			return err
		}
		replica, err := consumers.NewReplica(consumers.ReplicaOptions{Kafka: services.kafka, Topics: []schemas.Topic{schemas.TopicAccess}})
		if err != nil {
			return err
		}
		reading, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() {
			done <- replica.Run(reading, func(_ schemas.Topic, key, value []byte) {
				_ = accounts.Directory.Read(key, value) // what is no record changes nothing
			})
			close(done)
		}()
		defer func() {
			stop()
			for range done { // its error, if any, was that nothing began
			}
		}()
		select {
		case <-replica.Started():
		case err := <-done:
			return errors.Join(err, ctx.Err())
		}
		if err := replica.Sync(ctx); err != nil {
			return unreachable(err)
		}
		return refusedAccount(here(accounts))
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
