//go:build !receiver

package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/api/client"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

func newWebhook(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "webhook",
		Short: "Test webhooks of jobs, list deliveries, deliver again",
		Long: `Test a job's webhook, list what was delivered and what came of it, and deliver an event
again. ` + "`cdds job change --webhook`" + ` sets the URL; ` + "`cdds job secret`" + ` shows the secret that messages
are signed with.

Tests and redeliveries need a server: sign in with ` + "`cdds login`" + `.

` + exitCodes,
		Example: examples(
			"cdds webhook test nightly --tenant acme",
			"cdds webhook deliveries nightly --tenant acme --outcome given_up",
			"cdds webhook redeliver nightly evt_5d0f2c9a4b8e6f7a --tenant acme"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newWebhookTest(s), newWebhookDeliveries(s), newWebhookRedeliver(s))
	return cmd
}

func newWebhookTest(s *session) *cobra.Command {
	return s.webhookCommand(&cobra.Command{
		Use:   "test JOB",
		Short: "Send a test to a job's webhook",
		Long: `Send a test to a job's webhook, and report the answer: a signed message of type
webhook.test, which holds no data. It is sent once. The exit code is 1 if the receiver did
not take it.

` + exitCodes,
		Example: examples("cdds webhook test nightly --tenant acme"),
		Args:    cobra.ExactArgs(1),
	}, func(ctx context.Context, c *client.Client, tenant string, args []string) (schemas.WebhookDelivery, error) {
		return c.TestWebhook(ctx, tenant, args[0])
	})
}

func newWebhookRedeliver(s *session) *cobra.Command {
	return s.webhookCommand(&cobra.Command{
		Use:   "redeliver JOB EVENT",
		Short: "Deliver an event to a job's webhook again",
		Long: `Deliver an event to a job's webhook again, and report the answer. EVENT is the webhook id
that ` + "`cdds webhook deliveries`" + ` shows. The message is the same, under the same webhook-id, so
the receiver can recognise duplicates. It is signed with the current secret. Failures are
retried; retries of the first delivery stop.

` + exitCodes,
		Example: examples("cdds webhook redeliver nightly evt_5d0f2c9a4b8e6f7a --tenant acme"),
		Args:    cobra.ExactArgs(2),
	}, func(ctx context.Context, c *client.Client, tenant string, args []string) (schemas.WebhookDelivery, error) {
		return c.Redeliver(ctx, tenant, args[0], args[1])
	})
}

// webhookCommand is a command that requests a delivery and waits for its first attempt.
func (s *session) webhookCommand(cmd *cobra.Command, request func(context.Context, *client.Client, string, []string) (schemas.WebhookDelivery, error)) *cobra.Command {
	var tenant string
	var timeout time.Duration
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return s.onServer(func(c *client.Client) error {
			d, err := request(cmd.Context(), c, tenant, args)
			if err != nil {
				return err
			}
			made, err := s.attempted(cmd.Context(), c, d, timeout)
			if err != nil {
				return err
			}
			if err := s.result(made, func() { s.showAttempt(made) }); err != nil {
				return err
			}
			if made.Outcome == schemas.DeliveryGivenUp {
				return silent{errors.New(made.Reason)}
			}
			return nil
		})
	}
	tenantFlag(cmd, &tenant)
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "stop waiting for the answer after this `duration`")
	return cmd
}

// attempted waits for the first attempt of a delivery that was requested.
func (s *session) attempted(ctx context.Context, c *client.Client, d schemas.WebhookDelivery, within time.Duration) (schemas.WebhookDelivery, error) {
	late := time.NewTimer(within)
	defer late.Stop()
	ticker := time.NewTicker(remotePoll)
	defer ticker.Stop()
	for {
		page, err := c.Deliveries(ctx, d.TenantID, client.DeliveryQuery{JobID: d.JobID, WebhookID: d.WebhookID, Limit: 20})
		if err != nil && !passing(err) {
			return d, err
		}
		for _, made := range page.Items {
			if made.Redelivery == d.Redelivery && made.Attempt > 0 {
				return made, nil
			}
		}
		select {
		case <-ticker.C:
		case <-late.C:
			return d, unreachable(withHint(fmt.Errorf("%s was requested, and not attempted within %s", d.WebhookID, within), "check that a process runs the role webhooks: `cdds doctor`"))
		case <-ctx.Done():
			return d, ctx.Err()
		}
	}
}

func (s *session) showAttempt(d schemas.WebhookDelivery) {
	switch d.Outcome {
	case schemas.DeliveryDone:
		s.print("delivered to %s: %d in %d ms\n", d.URL, d.StatusCode, d.Milliseconds)
	case schemas.DeliveryRetrying:
		s.print("not delivered yet: %s\nnext attempt at %s\n", d.Reason, d.NextAt)
	default:
		s.print("not delivered: %s\n", d.Reason)
	}
}

func newWebhookDeliveries(s *session) *cobra.Command {
	var tenant string
	var q client.DeliveryQuery
	cmd := &cobra.Command{
		Use:   "deliveries [JOB]",
		Short: "List attempts to deliver to webhooks, the latest first",
		Long: `List attempts to deliver to webhooks, of a job or of all, the latest first: the event, the
answer, how long it took, and why it was not delivered.

` + exitCodes,
		Example: examples("cdds webhook deliveries nightly --tenant acme", "cdds webhook deliveries --tenant acme --outcome given_up --json"),
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				q.JobID = args[0]
			}
			var all []schemas.WebhookDelivery
			err := s.anywhere(func(c *client.Client) error {
				for most := q.Limit; len(all) < most; {
					q.Limit = min(remotePage, most-len(all))
					page, err := c.Deliveries(cmd.Context(), tenant, q)
					if err != nil {
						return err
					}
					all = append(all, page.Items...)
					if q.Cursor = page.Next; q.Cursor == "" {
						break
					}
				}
				return nil
			}, func(services *services) error {
				f := ledger.DeliveryFilter{TenantID: tenant, JobID: q.JobID, ExportID: q.ExportID, WebhookID: q.WebhookID}
				if q.Outcome != "" {
					f.Outcomes = []string{q.Outcome}
				}
				for most, p := q.Limit, (ledger.Page{Sort: "time"}); len(all) < most; {
					p.Limit = min(ledger.MaxPage, most-len(all))
					found, err := services.ledger.ListDeliveries(cmd.Context(), f, p)
					if err != nil {
						return err
					}
					all = append(all, found.Rows...)
					if p.After = found.Next; p.After == (ledger.Place{}) {
						break
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			rows := [][]string{{"TIME", "JOB", "EVENT", "KIND", "ATTEMPT", "STATUS", "MS", "OUTCOME", "REASON"}}
			for _, d := range all {
				attempt, status := fmt.Sprint(d.Attempt), ""
				if d.Redelivery > 0 {
					attempt = fmt.Sprintf("%d of redelivery %d", d.Attempt, d.Redelivery)
				}
				if d.StatusCode > 0 {
					status = fmt.Sprint(d.StatusCode)
				}
				rows = append(rows, []string{d.Time.String(), d.JobID, d.WebhookID, d.Event, attempt, status, fmt.Sprint(d.Milliseconds), d.Outcome, d.Reason})
			}
			return s.list(map[string]any{"deliveries": all}, rows, "nothing was delivered")
		},
	}
	tenantFlag(cmd, &tenant)
	flags := cmd.Flags()
	flags.StringVar(&q.ExportID, "export", "", "list deliveries about the export with this `id` only")
	flags.StringVar(&q.WebhookID, "event", "", "list attempts to deliver the event with this webhook `id` only")
	flags.StringVar(&q.Outcome, "outcome", "", "list this outcome only, by `name`: requested, delivered, retrying or given_up")
	flags.IntVar(&q.Limit, "limit", 100, "`number` of attempts to list at most")
	return lists(cmd)
}
