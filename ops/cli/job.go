//go:build !receiver

package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cdds/consumers/webhooks"
	"cdds/producers/schedule"
	"cdds/schemas"
)

func newJob(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "job",
		Short: "Make, change, run, suspend and delete jobs that export by themselves",
		Long: `Make, change, clone, list, run, suspend, resume and delete jobs. A job says what to export, when and
for whom; each of its runs is an export that ` + "`cdds export`" + ` shows and downloads.

` + exitCodes,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newJobCreate(s), newJobChange(s), newJobClone(s), newJobList(s), newJobShow(s), newJobRun(s), newJobChain(s), newJobRestart(s), newJobSecret(s),
		newJobState(s, "suspend", schemas.JobSuspended, "Stop running a job until it is resumed", "Suspend a job. Runs that are due meanwhile are skipped."),
		newJobState(s, "resume", schemas.JobActive, "Run a suspended job again", "Resume a job: it runs when it is next due."),
		newJobState(s, "delete", schemas.JobDeleted, "Delete a job; its exports stay", "Delete a job for good. The exports it made stay as long as they would."))
	return cmd
}

// withJob runs do with a job that is not deleted, where the services are.
func (s *session) withJob(ctx context.Context, tenant, id string, do func(*defined, schemas.Job) error) error {
	return s.withDefinitions(ctx, func(d *defined) error {
		j, err := d.job(ctx, tenant, id)
		if err != nil {
			return err
		}
		return do(d, j)
	})
}

func newJobList(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List a tenant's jobs and when they run next",
		Long:    "List a tenant's jobs and when they run next.\n\n" + exitCodes,
		Example: examples("cdds job list --tenant acme", "cdds job list --tenant acme --json"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.withRegistry(cmd.Context(), func(r registry) error {
				all, err := r.listJobs(cmd.Context(), tenant)
				if err != nil {
					return err
				}
				return s.listJobs(tenant, all)
			})
		},
	}
	tenantFlag(cmd, &tenant)
	return lists(cmd)
}

func (s *session) listJobs(tenant string, all []schemas.Job) error {
	rows := [][]string{{"JOB", "TITLE", "STATE", "RUNS", "HOLDS", "NEXT"}}
	for _, j := range all {
		next := ""
		if times := nextRuns(j, 1); len(times) > 0 {
			next = times[0]
		}
		rows = append(rows, []string{j.JobID, j.Title, j.State, when(j.Schedule), holds(j.Timeframe), next})
	}
	return s.list(map[string]any{"tenant_id": tenant, "jobs": all}, rows,
		fmt.Sprintf("tenant %s has no jobs; `cdds job create --help` says how to make one", tenant))
}

// nextRuns is when an active job runs next, in its own time zone.
func nextRuns(j schemas.Job, n int) (all []string) {
	if j.State != schemas.JobActive {
		return nil
	}
	times, _ := schedule.Next(j, schemas.TimeOf(time.Now()), n) // what fails has no next run
	for _, t := range times {
		all = append(all, t.In(j.Schedule.Zone()).Format("2006-01-02 15:04 MST"))
	}
	return all
}

// when says a schedule in words.
func when(s schemas.Schedule) string {
	at := s.At
	if at == "" {
		at = "00:00"
	}
	zone := s.TimeZone
	if zone == "" {
		zone = "UTC"
	}
	switch s.Run {
	case schemas.RunHours:
		return fmt.Sprintf("every %d h from 00:00 UTC", s.EveryHours)
	case schemas.RunDaily:
		return "daily at " + at + " " + zone
	case schemas.RunWeekly:
		return s.Weekday + "s at " + at + " " + zone
	case schemas.RunMonthly:
		return fmt.Sprintf("monthly on day %d at %s %s", s.Day, at, zone)
	case schemas.RunCron:
		return s.Cron + " " + zone
	}
	return s.Run
}

// holds says a timeframe in words.
func holds(t schemas.Timeframe) string {
	switch t.Kind {
	case schemas.TimeframeFixed:
		return t.From.String() + " to " + t.To.String()
	case schemas.TimeframeLastDays:
		return "the last " + schemas.Counted(t.Days, "day")
	case schemas.TimeframeSinceLastRun:
		return "since the last run"
	}
	return "everything"
}

func newJobShow(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a job, its next five runs, its latest runs and its webhook deliveries",
		Long:    "Show a job, its next five runs, its latest runs and its webhook deliveries.\n\n" + exitCodes,
		Example: examples("cdds job show nightly --tenant acme"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withRegistry(cmd.Context(), func(r registry) error {
				j, err := r.job(cmd.Context(), tenant, args[0])
				if err != nil {
					return err
				}
				runs, told, err := r.past(cmd.Context(), j)
				if err != nil {
					return err
				}
				return s.showJob(j, runs, told)
			})
		},
	}
	tenantFlag(cmd, &tenant)
	return cmd
}

// showJob writes a job with what is known of its past.
func (s *session) showJob(j schemas.Job, runs []schemas.Export, deliveries []schemas.WebhookDelivery) error {
	next := nextRuns(j, 5)
	object := struct {
		schemas.Job
		Next       []string                  `json:"next_runs"`
		Runs       []schemas.Export          `json:"runs,omitempty"`
		Deliveries []schemas.WebhookDelivery `json:"webhook_deliveries,omitempty"`
	}{j, next, runs, deliveries}
	return s.result(object, func() {
		rows := [][]string{{"job", j.JobID}, {"title", j.Title}, {"tenant", j.TenantID}, {"state", j.State}, {"runs", when(j.Schedule)}, {"holds", holds(j.Timeframe)}, {"entity", j.Entity}}
		add := func(name, value string) {
			if value != "" {
				rows = append(rows, []string{name, value})
			}
		}
		add("media", strings.Join(j.MediaTypes, ", "))
		add("only", told(j.Match))
		for _, r := range j.Recipients {
			add("recipient", r)
		}
		if j.Attachments == schemas.AttachmentsNone {
			add("attachments", "left out")
		}
		add("names", j.Names)
		add("hidden", j.FieldPolicy.Applied(j.Entity, "").Text())
		add("cipher", j.Cipher)
		add("key transport", j.KeyTransport)
		if j.RetentionDays > 0 {
			add("retention", schemas.Counted(j.RetentionDays, "day"))
		}
		if j.Webhook != nil {
			add("webhook", j.Webhook.URL)
		}
		add("changed", fmt.Sprintf("%s by %s, revision %d", j.UpdatedAt, j.UpdatedBy, j.Revision))
		for _, t := range next {
			add("next", t)
		}
		s.table(rows)
		if len(runs) > 0 {
			fmt.Fprintln(s.out)
			rows := [][]string{{"RUN", "DUE", "STATE", "ROWS", "SIZE"}}
			for _, e := range runs {
				due := ""
				if e.Request != nil {
					due = e.Request.ScheduledAt.String()
				}
				rows = append(rows, []string{e.ExportID, due, string(e.State), schemas.Grouped(e.Done.Rows), size(e.Done.SealedBytes)})
			}
			s.table(rows)
		}
		if len(deliveries) > 0 {
			fmt.Fprintln(s.out)
			rows := [][]string{{"TOLD", "EXPORT", "EVENT", "ATTEMPT", "STATUS", "OUTCOME", "REASON"}}
			for _, d := range deliveries {
				rows = append(rows, []string{d.Time.String(), d.ExportID, d.Event, fmt.Sprint(d.Attempt), fmt.Sprint(d.StatusCode), d.Outcome, d.Reason})
			}
			s.table(rows)
		}
	})
}

func newJobState(s *session, verb, state, short, long string) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:     verb + " ID",
		Short:   short,
		Long:    long + "\n\n" + exitCodes,
		Example: examples("cdds job " + verb + " nightly --tenant acme"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withRegistry(cmd.Context(), func(r registry) error {
				j, err := r.job(cmd.Context(), tenant, args[0])
				if err != nil {
					return err
				}
				next, err := r.setJobState(cmd.Context(), j, state)
				if err != nil {
					return err
				}
				return s.result(next, func() { s.print("job %s is %s\n", next.JobID, next.State) })
			})
		},
	}
	tenantFlag(cmd, &tenant)
	return cmd
}

func newJobRestart(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:   "restart-chain ID",
		Short: "Have a job's next run hold everything",
		Long: `Have the next run of a job that exports what came since its last run hold everything that
it selects: for a receiver that is new, or so far behind that runs it needs are gone. It
comes when the job is due, or at once with ` + "`cdds job run`" + `.

` + exitCodes,
		Example: examples("cdds job restart-chain nightly --tenant acme && cdds job run nightly --tenant acme"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withRegistry(cmd.Context(), func(r registry) error {
				j, err := r.job(cmd.Context(), tenant, args[0])
				if err != nil {
					return err
				}
				next, err := r.restartChain(cmd.Context(), j)
				if err != nil {
					return err
				}
				return s.result(next, func() { s.print("the next run of job %s holds everything\n", next.JobID) })
			})
		},
	}
	tenantFlag(cmd, &tenant)
	return cmd
}

func newJobRun(s *session) *cobra.Command {
	var f createFlags
	cmd := &cobra.Command{
		Use:   "run ID",
		Short: "Run a job now, whatever its schedule",
		Long: `Run a job now, also a suspended one. Its schedule stays as it is. A job that exports
what came since its last run continues from this one; while a run of it is at work, another
is refused.

` + exitCodes,
		Example: examples("cdds job run nightly --tenant acme --wait"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.remote()
			if err != nil {
				return err
			}
			if c != nil {
				return answered(s.remoteRun(cmd.Context(), c, args[0], f))
			}
			return s.withJob(cmd.Context(), f.tenant, args[0], func(d *defined, j schemas.Job) error {
				r := schedule.RunNow(j, schemas.TimeOf(time.Now()))
				r.RequestedBy, r.RequestedFrom = whoami(), machine()
				e, err := s.submit(cmd.Context(), d.services, r, f)
				if err != nil {
					return aboutExport{err, e}
				}
				if err := s.told(e, func() { s.describe(e) }); err != nil {
					return err
				}
				return outcome(e)
			})
		},
	}
	tenantFlag(cmd, &f.tenant)
	cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until the export has ended, showing progress")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 0, "stop waiting after this `duration`; the export goes on")
	return cmd
}

func newJobSecret(s *session) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:   "secret ID",
		Short: "Tell the secret a job's webhook is signed with",
		Long: `Tell the secret to verify a job's webhook with, as libraries of Standard Webhooks take
it (standardwebhooks.com). It is derived from the service's own secret, webhooks.secret,
and kept nowhere. To run this command you need that secret, or a token of an administrator with --server.

` + exitCodes,
		Example: examples("cdds job secret nightly --tenant acme"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			there, err := s.remote()
			if err != nil {
				return err
			}
			if there != nil {
				secret, err := there.WebhookSecret(cmd.Context(), tenant, args[0])
				if err != nil {
					return answered(err)
				}
				return s.toldSecret(tenant, args[0], secret)
			}
			c, err := s.find()
			if err != nil {
				return err
			}
			return s.withJob(cmd.Context(), tenant, args[0], func(_ *defined, j schemas.Job) error {
				if j.Webhook == nil {
					return refused(fmt.Errorf("job %s has no webhook", j.JobID))
				}
				secret, err := webhooks.Secret([]byte(c.Webhooks.Secret.Reveal()), j.TenantID, j.JobID, j.Webhook.SecretVersion)
				if err != nil {
					return usageError{err}
				}
				return s.toldSecret(tenant, j.JobID, secret)
			})
		},
	}
	tenantFlag(cmd, &tenant)
	return cmd
}

func (s *session) toldSecret(tenant, jobID, secret string) error {
	return s.result(map[string]any{"tenant_id": tenant, "job_id": jobID, "secret": secret}, func() { fmt.Fprintln(s.out, secret) })
}
