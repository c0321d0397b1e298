package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"cdds/pipeline/smime"
	"cdds/producers/schedule"
	"cdds/schemas"
)

// jobFlags are the flags of `job create`.
type jobFlags struct {
	tenant, id, title, description, entity                    string
	shape                                                     shapeFlags
	media, recipients                                         []string
	match                                                     matchFlags
	once, daily, all, sinceLastRun, suspended                 bool
	everyHours, monthly, lastDays, retentionDays              int
	weekly, cron, at, zone, start, from, to, webhook, catchUp string
}

func newJobCreate(s *session) *cobra.Command {
	var f jobFlags
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a job",
		Long: `Make a job: what to export, when, and for whom.

When it runs is one of --once, --every-hours, --daily, --weekly, --monthly, --cron. Times
of day are those of --time-zone, whose daylight saving time is followed: a time that the
clock skips is the moment it jumps, one it shows twice the first of the two. --every-hours
counts from 00:00 UTC.

Which rows a run holds is one of --all, --from with --to, --last-days, --since-last-run.
The last holds what was produced since the last completed run, late events and updates
included: all runs together hold what one whole export would.

--recipient names a registered certificate, by its fingerprint or by its file
(` + "`cdds certificate add`" + ` registers one).

--webhook is told when a run has ended; ` + "`cdds job secret`" + ` tells what to verify it with.

` + exitCodes,
		Example: examples(
			"cdds job create --tenant acme --title Nightly --daily --at 02:30 --time-zone Europe/Berlin --since-last-run --recipient cert.pem",
			"cdds job create --tenant acme --title \"Sales calls\" --weekly monday --at 06:00 --last-days 7 --media voice --queue sales --recipient 9f86d0...",
			"cdds job create --tenant acme --title Archive --monthly 31 --all --recipient cert.pem --retention-days 14 --webhook https://hooks.example.com/cdds",
			"cdds job create --tenant acme --title \"Office hours\" --cron \"0 8-18 * * MON-FRI\" --since-last-run --recipient cert.pem"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.withDefinitions(cmd.Context(), func(d *defined) error { return s.createJob(cmd.Context(), d, f) })
		},
	}
	tenantFlag(cmd, &f.tenant)
	flags := cmd.Flags()
	flags.StringVar(&f.title, "title", "", "what people call it (required)")
	flags.StringVar(&f.description, "description", "", "what it is for")
	flags.StringVar(&f.id, "id", "", "job `id`; a new one if not given")
	flags.StringVar(&f.entity, "entity", schemas.EntityInteraction, "what to export: interaction or contact")
	flags.StringSliceVar(&f.media, "media", nil, "media `types`, comma separated; all if not given")
	f.match.add(flags)
	flags.BoolVar(&f.once, "once", false, "run once, at --start or now")
	flags.IntVar(&f.everyHours, "every-hours", 0, "run every so many `hours`, 1 to 24")
	flags.BoolVar(&f.daily, "daily", false, "run every day")
	flags.StringVar(&f.weekly, "weekly", "", "run every week on this `weekday`, such as monday")
	flags.IntVar(&f.monthly, "monthly", 0, "run every month on this `day`, 1 to 31; the last one of a shorter month")
	flags.StringVar(&f.cron, "cron", "", "run at the times of this `expression`: minute, hour, day of month, month, day of week")
	flags.StringVar(&f.at, "at", "", "`time` of day, HH:MM (default 00:00)")
	flags.StringVar(&f.zone, "time-zone", "", "IANA `zone` of --at and --cron, such as Europe/Berlin (default UTC)")
	flags.StringVar(&f.start, "start", "", "`time` before which it does not run (default: now)")
	flags.BoolVar(&f.all, "all", false, "each run holds everything")
	flags.StringVar(&f.from, "from", "", "`time` the range of each run begins, inclusive")
	flags.StringVar(&f.to, "to", "", "`time` the range of each run ends, exclusive")
	flags.IntVar(&f.lastDays, "last-days", 0, "each run holds this many `days` before it was due")
	flags.BoolVar(&f.sinceLastRun, "since-last-run", false, "each run holds what was produced since the last completed one")
	f.shape.add(cmd)
	flags.StringSliceVar(&f.recipients, "recipient", nil, "fingerprint or `file` of a registered certificate; repeatable (required)")
	flags.IntVar(&f.retentionDays, "retention-days", 0, "how many `days` artifacts live (default: as long as the tenant's may)")
	flags.StringVar(&f.webhook, "webhook", "", "https `URL` to tell when a run has ended")
	flags.StringVar(&f.catchUp, "catch-up", schemas.CatchUpOnce, "what becomes of missed runs: once (the latest), all, or skip")
	flags.BoolVar(&f.suspended, "suspended", false, "do not run it before `cdds job resume`")
	for _, name := range []string{"title", "recipient"} {
		_ = cmd.MarkFlagRequired(name)
	}
	cmd.MarkFlagsOneRequired("once", "every-hours", "daily", "weekly", "monthly", "cron")
	cmd.MarkFlagsMutuallyExclusive("once", "every-hours", "daily", "weekly", "monthly", "cron")
	cmd.MarkFlagsOneRequired("all", "from", "last-days", "since-last-run")
	cmd.MarkFlagsMutuallyExclusive("all", "from", "last-days", "since-last-run")
	cmd.MarkFlagsRequiredTogether("from", "to")
	_ = cmd.RegisterFlagCompletionFunc("entity", cobra.FixedCompletions(schemas.Entities(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("media", cobra.FixedCompletions(schemas.MediaTypes(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("weekly", cobra.FixedCompletions(schemas.Weekdays(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("catch-up", cobra.FixedCompletions(schemas.CatchUps(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (s *session) createJob(ctx context.Context, d *defined, f jobFlags) error {
	j, err := f.job()
	if err != nil {
		return err
	}
	if known, ok := d.Job(j.TenantID, j.JobID); ok {
		return refused(fmt.Errorf("tenant %s has or had a job %s, called %q; choose another --id", j.TenantID, j.JobID, known.Title))
	}
	if err := j.Validate(); err != nil {
		return usageError{err}
	}
	if err := schedule.Check(*j); err != nil {
		return usageError{err}
	}
	for _, fingerprint := range j.Recipients {
		c, err := d.Recipient(j.TenantID, fingerprint)
		if err != nil {
			return refused(withHint(err, "`cdds certificate add FILE --tenant "+j.TenantID+"` registers one"))
		}
		cert, err := c.X509()
		if err == nil {
			err = smime.CheckRecipient(cert, time.Now())
		}
		if err != nil {
			return refused(fmt.Errorf("recipient %s: %w", c.Subject, err))
		}
	}
	if err := d.publish(ctx, j, schemas.AuditOfJob(j, nil, machine())); err != nil {
		return err
	}
	return s.showJob(*j, nil, nil)
}

// job makes the event from flags.
func (f jobFlags) job() (*schemas.Job, error) {
	j := schemas.Job{
		TenantID: f.tenant, JobID: f.id, Title: f.title, Description: f.description, Entity: f.entity, MediaTypes: f.media,
		Encoding: f.shape.encoding, Cipher: f.shape.cipher, KeyTransport: f.shape.keyTransport,
		Compression: f.shape.compression, Attachments: f.shape.attachments, RetentionDays: f.retentionDays, CatchUp: f.catchUp, State: schemas.JobActive,
		Schedule: schemas.Schedule{EveryHours: f.everyHours, Weekday: f.weekly, Day: f.monthly, Cron: f.cron, At: f.at, TimeZone: f.zone},
	}
	if j.JobID == "" {
		j.JobID = ulid.Make().String()
	}
	if f.suspended {
		j.State = schemas.JobSuspended
	}
	var err error
	if j.Match, err = f.match.value(); err != nil {
		return nil, usageError{err}
	}
	if j.Schedule.Start, err = optionalTime("start", f.start); err != nil {
		return nil, usageError{err}
	}
	switch {
	case f.once:
		j.Schedule.Run = schemas.RunOnce
	case f.daily:
		j.Schedule.Run = schemas.RunDaily
	case f.weekly != "":
		j.Schedule.Run = schemas.RunWeekly
	case f.cron != "":
		j.Schedule.Run = schemas.RunCron
	case f.everyHours != 0:
		j.Schedule.Run = schemas.RunHours
	default:
		j.Schedule.Run = schemas.RunMonthly
	}
	switch {
	case f.all:
		j.Timeframe.Kind = schemas.TimeframeAll
	case f.sinceLastRun:
		j.Timeframe.Kind = schemas.TimeframeSinceLastRun
	case f.from != "":
		j.Timeframe.Kind = schemas.TimeframeFixed
		if j.Timeframe.From, err = parseTime("from", f.from); err != nil {
			return nil, usageError{err}
		}
		if j.Timeframe.To, err = parseTime("to", f.to); err != nil {
			return nil, usageError{err}
		}
	default:
		j.Timeframe = schemas.Timeframe{Kind: schemas.TimeframeLastDays, Days: f.lastDays}
	}
	if j.SplitSize, err = f.shape.split(); err != nil {
		return nil, usageError{err}
	}
	for _, given := range f.recipients {
		if !fingerprint.MatchString(given) {
			cert, err := oneRecipient(given)
			if err != nil {
				return nil, withHint(err, "--recipient takes the fingerprint or the file of a registered certificate")
			}
			given = smime.Fingerprint(cert)
		}
		j.Recipients = append(j.Recipients, given)
	}
	if f.webhook != "" {
		j.Webhook = &schemas.Webhook{URL: f.webhook, SecretVersion: 1}
	}
	return j.Revised(nil, whoami(), schemas.TimeOf(time.Now())), nil
}

func optionalTime(flag, value string) (schemas.Time, error) {
	if value == "" {
		return schemas.Time{}, nil
	}
	return parseTime(flag, value)
}
