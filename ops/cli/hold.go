//go:build !receiver

package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"cdds/ops/api"
	"cdds/ops/api/client"
	"cdds/schemas"
)

func newHold(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hold",
		Short: "Keep data from being removed, for a court or a regulator",
		Long: `Make, list, show and release holds. A hold keeps rows (of contacts with all their
interactions, of interactions, and of a range of time) and files (of exports): history
does not age past the first row that is held, files of held exports are neither
removed nor deleted, and an erasure of what is held waits until the hold is released.

Holds are made and released through a server, which knows who asks: see cdds login.
The roles privacy and administrator may. With hold.two_people configured, a second
person must release a hold, too; until then the request can be withdrawn.

` + exitCodes,
		Example: examples(
			`cdds hold create --tenant acme --name "Smith v. Acme" --reason "counsel, 1 November" --contact c-42`,
			"cdds hold list --tenant acme",
			"cdds hold release case-12 --tenant acme"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newHoldCreate(s), newHoldList(s), newHoldShow(s), newHoldRelease(s), newHoldWithdraw(s))
	return cmd
}

// onServer runs do on the server that is named: it alone knows who asks.
func (s *session) onServer(do func(*client.Client) error) error {
	c, err := s.remote()
	if err != nil {
		return err
	}
	if c == nil {
		return usageError{withHint(errors.New("this command needs a server: it knows who asks"), "sign in with cdds login, or give --server")}
	}
	return answered(do(c))
}

func newHoldCreate(s *session) *cobra.Command {
	var tenant, from, to, contacts, interactions string
	var h api.NewHold
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a hold",
		Long: `Make a hold on contacts, interactions, exports and a range of time, or some of these. It
keeps them from when the command ends. An erasure that was removing them already goes on.

` + exitCodes,
		Example: examples(
			`cdds hold create --tenant acme --name "Smith v. Acme" --reason "counsel, 1 November" --contact c-42 --export e-1`,
			`cdds hold create --tenant acme --name audit --reason "tax audit 2025" --from 2025-01-01 --to 2026-01-01`),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, f := range []struct {
				flag, value string
				into        *schemas.Time
			}{{"from", from, &h.From}, {"to", to, &h.To}} {
				if f.value == "" {
					continue
				}
				t, err := parseTime(f.flag, f.value)
				if err != nil {
					return usageError{err}
				}
				*f.into = t
			}
			for _, f := range []struct {
				flag, file string
				into       *[]string
			}{{"contacts-file", contacts, &h.Contacts}, {"interactions-file", interactions, &h.Interactions}} {
				listed, err := idsIn(f.flag, f.file)
				if err != nil {
					return usageError{err}
				}
				*f.into = append(*f.into, listed...)
			}
			return s.onServer(func(c *client.Client) error {
				made, err := c.CreateHold(cmd.Context(), tenant, h)
				if err != nil {
					return err
				}
				return s.result(made, func() { s.print("hold %s keeps %s\n", made.HoldID, holding(made)) })
			})
		},
	}
	tenantFlag(cmd, &tenant)
	flags := cmd.Flags()
	flags.StringVar(&h.HoldID, "id", "", "hold `id` (default: a new one)")
	flags.StringVar(&h.Name, "name", "", "what people call it, such as the `name` of the case")
	flags.StringVar(&h.Reason, "reason", "", "why it is there, as `text`")
	flags.StringArrayVar(&h.Contacts, "contact", nil, "hold the contact with this `id` and its interactions; repeatable")
	flags.StringVar(&contacts, "contacts-file", "", "hold the contacts whose ids this `file` lists, one a line")
	flags.StringArrayVar(&h.Interactions, "interaction", nil, "hold the interaction with this `id`; repeatable")
	flags.StringVar(&interactions, "interactions-file", "", "hold the interactions whose ids this `file` lists, one a line")
	flags.StringArrayVar(&h.Exports, "export", nil, "hold the files of the export with this `id`; repeatable")
	flags.StringVar(&from, "from", "", "hold everything from this `time` on, with --to")
	flags.StringVar(&to, "to", "", "hold everything before this `time`, with --from")
	_ = cmd.MarkFlagRequired("name")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func newHoldList(s *session) *cobra.Command {
	var tenant string
	var released bool
	cmd := &cobra.Command{
		Use: "list", Short: "List a tenant's holds, the oldest first",
		Long:    "List a tenant's holds, the oldest first.\n\n" + exitCodes,
		Example: examples("cdds hold list --tenant acme", "cdds hold list --tenant acme --released --json"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.onServer(func(c *client.Client) error {
				all, err := c.Holds(cmd.Context(), tenant, released)
				if err != nil {
					return err
				}
				rows := [][]string{{"HOLD", "NAME", "STATE", "KEEPS", "CREATED", "BY"}}
				for _, h := range all {
					rows = append(rows, []string{h.HoldID, h.Name, holdState(h), holding(h), h.CreatedAt.String(), h.CreatedBy})
				}
				return s.list(map[string]any{"holds": all}, rows, "there is no hold")
			})
		},
	}
	tenantFlag(cmd, &tenant)
	cmd.Flags().BoolVar(&released, "released", false, "list released holds, too")
	return lists(cmd)
}

func newHoldShow(s *session) *cobra.Command {
	return s.holdCommand("show", "Show a hold", "Show what a hold keeps, why, and who made and released it.", func(cmd *cobra.Command, c *client.Client, tenant, id string) error {
		h, err := c.Hold(cmd.Context(), tenant, id)
		if err != nil {
			return err
		}
		return s.result(h, func() { s.showHold(h) })
	})
}

func newHoldRelease(s *session) *cobra.Command {
	return s.holdCommand("release", "Release a hold", `Release a hold. Everything that waited for it happens then: erasures that waited are carried
out. Where two people must release it, the first one requests the release.`, func(cmd *cobra.Command, c *client.Client, tenant, id string) error {
		h, err := c.ReleaseHold(cmd.Context(), tenant, id)
		if err != nil {
			return err
		}
		return s.result(h, func() {
			if h.Active() {
				s.print("release of hold %s is requested; a second person must release it, too\n", h.HoldID)
				return
			}
			s.print("hold %s is released\n", h.HoldID)
		})
	})
}

func newHoldWithdraw(s *session) *cobra.Command {
	return s.holdCommand("withdraw", "Withdraw the request to release a hold", `Withdraw the request to release a hold, where two people must release it. Everybody who
may release the hold may withdraw the request. The hold stays.`, func(cmd *cobra.Command, c *client.Client, tenant, id string) error {
		h, err := c.WithdrawRelease(cmd.Context(), tenant, id)
		if err != nil {
			return err
		}
		return s.result(h, func() { s.print("the request to release hold %s is withdrawn; the hold stays\n", h.HoldID) })
	})
}

func (s *session) holdCommand(use, short, long string, do func(cmd *cobra.Command, c *client.Client, tenant, id string) error) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use: use + " ID", Short: short, Long: long + "\n\n" + exitCodes,
		Example: examples("cdds hold " + use + " case-12 --tenant acme"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.onServer(func(c *client.Client) error { return do(cmd, c, tenant, args[0]) })
		},
	}
	tenantFlag(cmd, &tenant)
	return cmd
}

func (s *session) showHold(h schemas.Hold) {
	s.print("hold %s is %s: %s\nkeeps %s\nreason: %s\ncreated by %s at %s\n", h.HoldID, holdState(h), h.Name, holding(h), h.Reason, h.CreatedBy, h.CreatedAt)
	if h.ReleaseRequestedBy != "" {
		s.print("release requested by %s\n", h.ReleaseRequestedBy)
	}
	if !h.Active() {
		s.print("released by %s at %s\n", h.ReleasedBy, h.ReleasedAt)
	}
}

func holdState(h schemas.Hold) string {
	switch {
	case !h.Active():
		return "released"
	case h.ReleaseRequestedBy != "":
		return "release requested"
	}
	return "active"
}

// holding says in words what a hold keeps.
func holding(h schemas.Hold) string {
	var all []string
	for _, of := range []struct {
		ids  []string
		what string
	}{{h.Contacts, "contact"}, {h.Interactions, "interaction"}, {h.Exports, "export"}} {
		if len(of.ids) > 0 {
			all = append(all, schemas.Counted(len(of.ids), of.what))
		}
	}
	if !h.From.IsZero() {
		all = append(all, fmt.Sprintf("everything from %s to %s", h.From, h.To))
	}
	return strings.Join(all, ", ")
}
