//go:build !receiver

package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/api/client"
	"cdds/producers"
	"cdds/schemas"
)

func newAudit(s *session) *cobra.Command {
	var tenant, subject string
	var limit int
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List who did what to a tenant's exports and data, the latest first",
		Long: `List who did what to a tenant's exports and data, when, from where and with what
outcome, the latest first: requests, refusals, cancels, downloads, expiries, erasures.
--output jsonl and csv are for other programs.

` + exitCodes,
		Example: examples("cdds audit --tenant acme", "cdds audit --tenant acme --subject 01JD9Z3Q6W --json", "cdds audit --tenant acme --limit 100000 -o jsonl > audit.jsonl"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []schemas.AuditRecord
			err := s.anywhere(func(c *client.Client) error {
				for cursor := ""; len(all) < limit; {
					page, err := c.Audit(cmd.Context(), tenant, subject, min(remotePage, limit-len(all)), cursor)
					if err != nil {
						return err
					}
					all = append(all, page.Items...)
					if cursor = page.Next; cursor == "" {
						break
					}
				}
				return nil
			}, func(services *services) (err error) {
				if all, err = services.ledger.Audit(cmd.Context(), tenant, subject, limit); err != nil {
					return unreachable(err)
				}
				return nil
			})
			if err != nil {
				return err
			}
			rows := [][]string{{"TIME", "ACTION", "SUBJECT", "OUTCOME", "ACTOR", "FROM", "DETAIL"}}
			for _, a := range all {
				rows = append(rows, []string{a.Time.String(), a.Action, a.Subject, a.Outcome, a.Actor, a.From, a.Detail})
			}
			return s.list(map[string]any{"tenant_id": tenant, "records": all}, rows, "")
		},
	}
	tenantFlag(cmd, &tenant)
	cmd.Flags().StringVar(&subject, "subject", "", "only what was done to this export or erasure `id`")
	cmd.Flags().IntVar(&limit, "limit", 100, "`number` of records to show at most")
	return lists(cmd)
}

// audit records what this command line is about to do. Nothing is done that cannot be
// recorded, so its error ends the command.
func (s *session) audit(ctx context.Context, services *services, tenant, action, subject, detail string) error {
	publisher, err := producers.New(services.kafka, "cdds/cli", nil)
	if err != nil {
		return err
	}
	defer publisher.Close()
	now := time.Now()
	a := &schemas.AuditRecord{
		AuditID: fmt.Sprintf("%s/%s/%s/%d", tenant, subject, action, now.UnixNano()), Time: schemas.TimeOf(now), TenantID: tenant,
		Actor: whoami(), From: machine(), Action: action, Subject: subject, Outcome: schemas.OutcomeDone, Detail: detail,
	}
	if err := publisher.Publish(ctx, a); err != nil {
		return unreachable(err)
	}
	return nil
}
