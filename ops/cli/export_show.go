//go:build !receiver

package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"cdds/ops/api/client"
	"cdds/ops/shell"
	"cdds/schemas"
)

// maxListed bounds what is listed at once.
const maxListed = 10_000

func newExportList(s *session) *cobra.Command {
	var tenant, state string
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List a tenant's exports, the latest first",
		Long:    "List a tenant's exports, the latest first.\n\n" + exitCodes,
		Example: examples("cdds export list --tenant acme", "cdds export list --tenant acme --state failed --json"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if state != "" && !slices.Contains(schemas.States(), schemas.State(state)) {
				return usageError{fmt.Errorf("--state %q is unknown; states are %v", state, schemas.States())}
			}
			if limit < 1 || limit > maxListed {
				return usageError{fmt.Errorf("--limit %d: choose 1 to %d", limit, maxListed)}
			}
			var all []schemas.Export
			err := s.anywhere(func(c *client.Client) (err error) {
				all, err = s.remoteList(cmd.Context(), c, tenant, state, limit)
				return err
			}, func(services *services) (err error) {
				if all, err = services.ledger.Exports(cmd.Context(), tenant, schemas.State(state), limit); err != nil {
					return unreachable(err)
				}
				return nil
			})
			if err != nil {
				return err
			}
			told := make([]datedExport, len(all))
			for i, e := range all {
				told[i] = dated(e, time.Now())
			}
			return s.list(map[string]any{"tenant_id": tenant, "exports": told}, s.exportRows(all),
				fmt.Sprintf("tenant %s has no exports; `cdds export create --help` says how to request one", tenant))
		},
	}
	tenantFlag(cmd, &tenant)
	cmd.Flags().StringVar(&state, "state", "", "only exports in this `state`")
	cmd.Flags().IntVar(&limit, "limit", 100, "`number` of exports to show at most")
	return lists(cmd)
}

// exportRows are exports for people and spreadsheets.
func (s *session) exportRows(all []schemas.Export) [][]string {
	rows := [][]string{{"EXPORT", "STATE", "ENTITY", "REQUESTED", "PARTS", "ROWS", "ATTACHMENTS", "SIZE", "EXPIRES"}}
	for _, e := range all {
		entity, expires := "", ""
		if e.Request != nil {
			entity = e.Request.Entity
		}
		if e.Completion != nil && e.State == schemas.Completed {
			expires = daysLeft(e.Completion.ExpiresAt.Time)
		}
		rows = append(rows, []string{
			e.ExportID, string(e.State), entity, e.RequestedAt.String(), fmt.Sprintf("%d/%d", e.Done.Parts, e.Planned.Parts),
			s.count(e.Done.Rows), attachmentCount(e.Done), s.bytes(e.Done.SealedBytes), expires,
		})
	}
	return rows
}

func daysLeft(t time.Time) string {
	left := time.Until(t)
	if left <= 0 {
		return "expired"
	}
	return "in " + schemas.Counted(int(left.Hours()/24), "day")
}

func newExportShow(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show one export: state, progress, parts, why it failed",
		Long:    "Show one export: state, progress, parts, and why it was refused or failed.\n\n" + exitCodes,
		Example: examples("cdds export show 01JD9Z3Q6W --tenant acme", "cdds export show 01JD9Z3Q6W --tenant acme --json | jq .state"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.anywhere(func(c *client.Client) error {
				e, err := c.Export(cmd.Context(), tenant, args[0])
				if err != nil {
					return err
				}
				return s.told(e, func() { s.describe(e) })
			}, func(services *services) error {
				e, err := s.lookUp(cmd.Context(), services, tenant, args[0])
				if err != nil {
					return err
				}
				return s.told(e, func() { s.describe(e) })
			})
		},
	}
	tenantFlag(cmd, &tenant)
	return cmd
}

// describe writes an export for people.
func (s *session) describe(e schemas.Export) {
	rows := [][]string{{"export", e.ExportID}, {"tenant", e.TenantID}, {"state", string(e.State)}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	if r := e.Request; r != nil {
		add("entity", r.Entity)
		add("range", r.From.String()+" to "+r.To.String())
		if r.Attachments == schemas.AttachmentsNone {
			add("attachments", "left out")
		}
		add("names", r.Names)
		add("hidden", r.FieldPolicy.Applied(r.Entity, "").Text())
		add("media", strings.Join(r.MediaTypes, ", "))
		add("only", told(r.Match))
		if len(r.Contacts) > 0 {
			add("contacts", fmt.Sprint(len(r.Contacts)))
			add("purpose", r.Reason)
		}
		add("run of", r.JobID)
		add("requested by", r.RequestedBy)
	}
	add("waiting", e.Waiting)
	add("reason", e.Reason)
	if r := e.Request; r != nil {
		add("since", r.SinceExport)
		add("starts over", e.StartsOver)
	}
	if e.Attempt > 1 {
		add("attempt", fmt.Sprint(e.Attempt))
	}
	if f := e.Failure; f != nil {
		add("failed at", f.Stage)
		add("reason", f.Reason)
		add("hint", f.Hint)
	}
	for _, c := range e.Recipients {
		add("recipient", c.Subject+" ("+c.Fingerprint[:16]+"...)")
	}
	if e.Planned.Parts > 0 || e.State == schemas.Completed {
		add("parts", fmt.Sprintf("%d of %d", e.Done.Parts, e.Planned.Parts))
		add("rows", fmt.Sprintf("%s of %s", schemas.Grouped(e.Done.Rows), schemas.Grouped(e.Planned.Rows)))
		add("json lines", size(e.Done.JSONLBytes))
		if e.Planned.Attachments > 0 {
			add("attachments", fmt.Sprintf("%s of %s, %s", schemas.Grouped(e.Done.Attachments), schemas.Grouped(e.Planned.Attachments), size(e.Done.AttachmentBytes)))
		}
		if n := e.Done.AttachmentProblems; n > 0 {
			add("problems", schemas.Counted(n, "attachment")+" could not be had: missing, or not what the event says; the index says why")
		}
		add("sealed", size(e.Done.SealedBytes))
	}
	if left, ok := e.Remaining(time.Now()); ok {
		add("time left", "about "+left.Round(time.Second).String())
	}
	add("requested", e.RequestedAt.String())
	add("ended", e.EndedAt.String())
	add("removed", e.RemovedAt.String())
	if e.Completion != nil && e.State == schemas.Completed {
		add("signed by", e.Completion.SignerSHA256)
		add("expires", e.Completion.ExpiresAt.String()+" ("+humanize.Time(e.Completion.ExpiresAt.Time)+")")
	}
	for _, c := range e.Conflicts {
		add("conflict", c.Time.String()+" "+c.Reason)
	}
	s.table(rows)
	if e.State == schemas.Completed {
		s.print("\nDownload it: %s\n", shell.Command("cdds", "export", "download", e.ExportID, "--tenant", e.TenantID, "--out", schemas.ExportDir(e.ExportID)))
	}
}
