package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"cdds/ops/api/client"
	"cdds/schemas"
)

func newLogin(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "login [NAME]",
		Short: "Save a server and an API token as a context",
		Long: `Save a server and an API token under a name, and act through it from now on. The token
is read from --token-file, CDDS_TOKEN, the terminal or standard input, never from the
command line, which others can read. It is tried before it is saved, in a file that only
you can read.

--config, --data-dir, --server, and their variables go before a context.

` + exitCodes,
		Example: examples(
			"cdds login --server https://cdds.example.com",
			"cdds login production --server https://cdds.example.com --tenant acme < token"),
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			tenant, _ := cmd.Flags().GetString("tenant")
			return s.login(cmd.Context(), strings.Join(args, ""), tenant)
		},
	}
	cmd.Flags().String("tenant", "", "`tenant` that commands are about unless they name another (default: the token's)")
	return cmd
}

func (s *session) login(ctx context.Context, name, tenant string) error {
	u, err := url.Parse(s.server)
	if s.server == "" || err != nil {
		return usageError{errors.New("--server is required: the URL of the server, such as https://cdds.example.com")}
	}
	if name == "" {
		name = u.Hostname()
	}
	token, err := s.readToken()
	if err != nil {
		return err
	}
	c, err := client.New(s.server, token)
	if err != nil {
		return usageError{err}
	}
	who, err := c.Who(ctx)
	if err != nil {
		return answered(err)
	}
	if tenant == "" && who.TenantID != schemas.AllTenants {
		tenant = who.TenantID
	}
	all, err := loadContexts()
	if err != nil {
		return err
	}
	all.put(savedContext{Name: name, Server: strings.TrimSuffix(s.server, "/"), Token: token, TenantID: tenant})
	if err := all.save(); err != nil {
		return err
	}
	return s.result(map[string]any{"context": name, "server": s.server, "name": who.Name, "role": who.Role, "tenant_id": who.TenantID}, func() {
		s.print("Context %s: %s as %s, role: %s, tenant: %s\n", name, s.server, who.Name, who.Role, who.TenantID)
	})
}

// maxToken bounds a token in bytes.
const maxToken = 4096

// readToken reads the token to log in with.
func (s *session) readToken() (string, error) {
	if token, err := s.givenToken(); token != "" || err != nil {
		return token, err
	}
	if in, ok := s.in.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		fmt.Fprint(s.err, "API token: ")
		text, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(s.err)
		return strings.TrimSpace(string(text)), err
	}
	line, err := bufio.NewReader(io.LimitReader(s.in, maxToken)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimSpace(line), nil
}

func newContext(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use: "context", Short: "List, choose and delete saved contexts",
		Long: "List, choose and delete the servers that `cdds login` saved.\n\n" + exitCodes,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	list := &cobra.Command{
		Use: "list", Short: "List saved contexts", Long: "List saved contexts; an asterisk marks the current one. Tokens are not shown.\n\n" + exitCodes,
		Example: examples("cdds context list"), Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all, err := loadContexts()
			if err != nil {
				return err
			}
			type shown struct {
				Name     string `json:"name"`
				Server   string `json:"server"`
				TenantID string `json:"tenant_id,omitempty"`
				Current  bool   `json:"current"`
			}
			told := []shown{}
			rows := [][]string{{"CURRENT", "NAME", "SERVER", "TENANT"}}
			for _, c := range all.Contexts {
				mark := ""
				if c.Name == all.Current {
					mark = "*"
				}
				told = append(told, shown{c.Name, c.Server, c.TenantID, mark != ""})
				rows = append(rows, []string{mark, c.Name, c.Server, c.TenantID})
			}
			return s.list(map[string]any{"contexts": told}, rows, "no context is saved; `cdds login` saves one")
		},
	}
	change := func(use, short, example string, do func(*contexts, string)) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Long: short + ".\n\n" + exitCodes, Example: examples(example), Args: cobra.ExactArgs(1),
			ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
				return contextNames(), cobra.ShellCompDirectiveNoFileComp
			},
			RunE: func(_ *cobra.Command, args []string) error {
				all, err := loadContexts()
				if err != nil {
					return err
				}
				if _, err := all.named(args[0]); err != nil {
					return err
				}
				do(&all, args[0])
				if err := all.save(); err != nil {
					return err
				}
				return s.result(map[string]any{"current": all.Current}, func() {})
			},
		}
	}
	cmd.AddCommand(lists(list),
		change("use NAME", "Make a saved context the current one", "cdds context use production", func(c *contexts, name string) { c.Current = name }),
		change("delete NAME", "Delete a saved context and its token", "cdds context delete production", func(c *contexts, name string) { c.drop(name) }))
	return cmd
}

func newWhoami(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "whoami", Short: "Show the server, the role and the tenant that commands act with",
		Long:    "Show the current server, and the owner, role and tenant of the token.\n\n" + exitCodes,
		Example: examples("cdds whoami", "cdds whoami --json"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := s.target()
			if err != nil {
				return err
			}
			if at.Server == "" {
				return s.direct()
			}
			c, err := s.remote()
			if err != nil {
				return err
			}
			who, err := c.Who(cmd.Context())
			if err != nil {
				return answered(err)
			}
			told := struct {
				Context string `json:"context,omitempty"`
				Server  string `json:"server"`
				client.Who
			}{at.Name, at.Server, who}
			return s.result(told, func() {
				s.table([][]string{{"Server", at.Server}, {"Context", at.Name}, {"Name", who.Name}, {"Role", who.Role}, {"Tenant", who.TenantID}})
			})
		},
	}
}
