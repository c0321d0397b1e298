//go:build !receiver

package cli

import (
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"cdds/pipeline/smime"
	"cdds/schemas"
)

// jobFlags are the flags of `job create`.
type jobFlags struct {
	tenant, id, title, description, entity                    string
	shape                                                     shapeFlags
	media, recipients                                         []string
	match                                                     matchFlags
	policy                                                    policyFlags
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
The last holds, of each interaction produced or updated since the last completed run, the
newest version, late events included. It does not say what left the filter or was erased.
After a change of the filter it starts over with everything.

--recipient names a registered certificate, by its fingerprint or by its file
(` + "`cdds certificate add`" + ` registers one).

--leave-out, --truncate, --pseudonym, --preset and --policy hide members of each row, as
` + "`cdds export create --help`" + ` says. After a change of them or of --names
--since-last-run starts over.

--webhook receives a request when a run has ended; ` + "`cdds job secret`" + ` prints the secret to verify it with.

` + exitCodes,
		Example: examples(
			"cdds job create --tenant acme --title Nightly --daily --at 02:30 --time-zone Europe/Berlin --since-last-run --recipient cert.pem",
			"cdds job create --tenant acme --title \"Sales calls\" --weekly monday --at 06:00 --last-days 7 --media voice --queue sales --recipient 9f86d0...",
			"cdds job create --tenant acme --title Archive --monthly 31 --all --recipient cert.pem --retention-days 14 --webhook https://hooks.example.com/cdds",
			"cdds job create --tenant acme --title \"Office hours\" --cron \"0 8-18 * * MON-FRI\" --since-last-run --recipient cert.pem"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			j := schemas.Job{TenantID: f.tenant, JobID: f.id, State: schemas.JobActive}
			if j.JobID == "" {
				j.JobID = ulid.Make().String()
			}
			if err := f.apply(&j, func(string) bool { return true }); err != nil {
				return err
			}
			return s.withRegistry(cmd.Context(), func(r registry) error { return s.saveJob(cmd.Context(), r, f, j, nil) })
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.id, "id", "", "job `id`; a new one if not given")
	for _, name := range []string{"title", "recipient"} {
		_ = cmd.MarkFlagRequired(name)
	}
	cmd.MarkFlagsOneRequired("once", "every-hours", "daily", "weekly", "monthly", "cron")
	cmd.MarkFlagsOneRequired("all", "from", "last-days", "since-last-run")
	return cmd
}

func newJobChange(s *session) *cobra.Command {
	var f jobFlags
	var newSecret bool
	cmd := &cobra.Command{
		Use:     "change ID",
		Aliases: []string{"update"},
		Short:   "Change a job",
		Long: `Change what the flags say of a job; the rest stays. Another schedule is given whole, with
its --at and --time-zone, and so is another timeframe, another set of recipients or of
attributes, or another field policy. --policy "" removes that. An empty --webhook removes it. Runs that have started do not change.

` + exitCodes,
		Example: examples(
			"cdds job change nightly --tenant acme --daily --at 03:30 --time-zone Europe/Berlin",
			"cdds job change nightly --tenant acme --recipient 9f86d0... --attachments none",
			"cdds job change nightly --tenant acme --new-webhook-secret"),
		Args:        cobra.ExactArgs(1),
		Annotations: map[string]string{emptyClears: ""},
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withRegistry(cmd.Context(), func(r registry) error {
				known, err := r.job(cmd.Context(), f.tenant, args[0])
				if err != nil {
					return err
				}
				j := known
				if err := f.apply(&j, cmd.Flags().Changed); err != nil {
					return err
				}
				if newSecret {
					if j.Webhook == nil {
						return usageError{fmt.Errorf("job %s has no webhook whose secret could be another", j.JobID)}
					}
					hook := *j.Webhook
					hook.SecretVersion++
					j.Webhook = &hook
				}
				return s.saveJob(cmd.Context(), r, f, j, &known)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&newSecret, "new-webhook-secret", false, "sign with another secret from now on; cdds job secret shows it")
	return cmd
}

func newJobClone(s *session) *cobra.Command {
	var f jobFlags
	cmd := &cobra.Command{
		Use:   "clone ID",
		Short: "Make a job like another one",
		Long: `Make a job like another one, but for what the flags say. Its webhook has a secret of its
own, and it has not run yet: --since-last-run begins with everything.

` + exitCodes,
		Example:     examples(`cdds job clone nightly --tenant acme --title "Nightly, fast" --id nightly-fast --compression fast`),
		Args:        cobra.ExactArgs(1),
		Annotations: map[string]string{emptyClears: ""},
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withRegistry(cmd.Context(), func(r registry) error {
				j, err := r.job(cmd.Context(), f.tenant, args[0])
				if err != nil {
					return err
				}
				j.JobID, j.Title, j.State, j.Revision = f.id, "Copy of "+j.Title, schemas.JobActive, 0
				if j.JobID == "" {
					j.JobID = ulid.Make().String()
				}
				if j.Webhook != nil {
					j.Webhook = &schemas.Webhook{URL: j.Webhook.URL, SecretVersion: 1}
				}
				if err := f.apply(&j, cmd.Flags().Changed); err != nil {
					return err
				}
				return s.saveJob(cmd.Context(), r, f, j, nil)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.id, "id", "", "job `id`; a new one if not given")
	return cmd
}

// add declares the flags that say what a job is.
func (f *jobFlags) add(cmd *cobra.Command) {
	tenantFlag(cmd, &f.tenant)
	flags := cmd.Flags()
	flags.StringVar(&f.title, "title", "", "`title` that people see")
	flags.StringVar(&f.description, "description", "", "`text` that says what it is for")
	flags.StringVar(&f.entity, "entity", schemas.EntityInteraction, "`entity` to export: interaction or contact")
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
	f.policy.add(cmd)
	flags.StringSliceVar(&f.recipients, "recipient", nil, "fingerprint or `file` of a registered certificate; repeatable")
	flags.IntVar(&f.retentionDays, "retention-days", 0, "how many `days` artifacts live (default: as long as the tenant's may)")
	flags.StringVar(&f.webhook, "webhook", "", "https `URL` that receives a signed request when a run has ended")
	flags.StringVar(&f.catchUp, "catch-up", schemas.CatchUpOnce, "which missed runs to make up for: `rule` once (the latest), all, or skip")
	flags.BoolVar(&f.suspended, "suspended", false, "do not run it until cdds job resume")
	cmd.MarkFlagsMutuallyExclusive("once", "every-hours", "daily", "weekly", "monthly", "cron")
	cmd.MarkFlagsMutuallyExclusive("all", "from", "last-days", "since-last-run")
	cmd.MarkFlagsRequiredTogether("from", "to")
	_ = cmd.RegisterFlagCompletionFunc("entity", cobra.FixedCompletions(schemas.Entities(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("media", cobra.FixedCompletions(schemas.MediaTypes(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("weekly", cobra.FixedCompletions(schemas.Weekdays(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("catch-up", cobra.FixedCompletions(schemas.CatchUps(), cobra.ShellCompDirectiveNoFileComp))
}

// saveJob makes or changes a job and shows it.
func (s *session) saveJob(ctx context.Context, r registry, f jobFlags, j schemas.Job, previous *schemas.Job) (err error) {
	if f.match.queues != nil {
		j.Queues, err = f.match.resolve(func(names []string) ([]string, error) { return r.queuesAmong(ctx, j.TenantID, names) })
		if err != nil {
			return err
		}
	}
	saved, err := r.saveJob(ctx, j, previous)
	if err != nil {
		return err
	}
	return s.showJob(saved, nil, nil)
}

// apply sets what the flags say of a job: those that changed reports as given.
func (f *jobFlags) apply(j *schemas.Job, changed func(string) bool) (err error) {
	for name, set := range map[string]func(){
		"title":          func() { j.Title = f.title },
		"description":    func() { j.Description = f.description },
		"entity":         func() { j.Entity = f.entity },
		"media":          func() { j.MediaTypes = trimmed(f.media) },
		"encoding":       func() { j.Encoding = f.shape.encoding },
		"cipher":         func() { j.Cipher = f.shape.cipher },
		"key-transport":  func() { j.KeyTransport = f.shape.keyTransport },
		"compression":    func() { j.Compression = f.shape.compression },
		"names":          func() { j.Names = f.shape.names },
		"attachments":    func() { j.Attachments = f.shape.attachments },
		"retention-days": func() { j.RetentionDays = f.retentionDays },
		"catch-up":       func() { j.CatchUp = f.catchUp },
		"at":             func() { j.Schedule.At = f.at },
		"time-zone":      func() { j.Schedule.TimeZone = f.zone },
		"suspended": func() {
			if f.suspended {
				j.State = schemas.JobSuspended
			}
		},
	} {
		if changed(name) {
			set()
		}
	}
	if err := f.limit(j, changed); err != nil {
		return usageError{err}
	}
	if changed("start") {
		if j.Schedule.Start, err = optionalTime("start", f.start); err != nil {
			return usageError{err}
		}
	}
	f.schedule(j)
	if err := f.timeframe(j); err != nil {
		return usageError{err}
	}
	if changed("split-size") {
		if j.SplitSize, err = f.shape.split(); err != nil {
			return usageError{err}
		}
	}
	if f.policy.changed(changed) {
		if j.FieldPolicy, err = f.policy.value(); err != nil {
			return usageError{err}
		}
	}
	if changed("recipient") {
		if j.Recipients, err = f.fingerprints(); err != nil {
			return err
		}
	}
	switch {
	case !changed("webhook"):
	case f.webhook == "":
		j.Webhook = nil
	case j.Webhook == nil:
		j.Webhook = &schemas.Webhook{URL: f.webhook, SecretVersion: 1}
	default:
		j.Webhook = &schemas.Webhook{URL: f.webhook, SecretVersion: j.Webhook.SecretVersion}
	}
	return nil
}

// limit sets what rows must match.
func (f *jobFlags) limit(j *schemas.Job, changed func(string) bool) error {
	match, err := f.match.value()
	if err != nil {
		return err
	}
	for name, set := range map[string]func(){
		"direction": func() { j.Directions = match.Directions },
		"status":    func() { j.Statuses = match.Statuses },
		"attribute": func() { j.Attributes = match.Attributes },
	} {
		if changed(name) {
			set()
		}
	}
	return nil
}

// schedule sets when it runs, if a flag says so: whole, but for its start.
func (f *jobFlags) schedule(j *schemas.Job) {
	next := schemas.Schedule{EveryHours: f.everyHours, Weekday: f.weekly, Day: f.monthly, Cron: f.cron, At: f.at, TimeZone: f.zone, Start: j.Schedule.Start}
	switch {
	case f.once:
		next.Run = schemas.RunOnce
	case f.daily:
		next.Run = schemas.RunDaily
	case f.weekly != "":
		next.Run = schemas.RunWeekly
	case f.cron != "":
		next.Run = schemas.RunCron
	case f.everyHours != 0:
		next.Run = schemas.RunHours
	case f.monthly != 0:
		next.Run = schemas.RunMonthly
	default:
		return
	}
	j.Schedule = next
}

// timeframe sets which rows a run holds, if a flag says so.
func (f *jobFlags) timeframe(j *schemas.Job) (err error) {
	switch {
	case f.all:
		j.Timeframe = schemas.Timeframe{Kind: schemas.TimeframeAll}
	case f.sinceLastRun:
		j.Timeframe = schemas.Timeframe{Kind: schemas.TimeframeSinceLastRun}
	case f.from != "":
		j.Timeframe = schemas.Timeframe{Kind: schemas.TimeframeFixed}
		if j.Timeframe.From, err = parseTime("from", f.from); err != nil {
			return err
		}
		j.Timeframe.To, err = parseTime("to", f.to)
	case f.lastDays != 0:
		j.Timeframe = schemas.Timeframe{Kind: schemas.TimeframeLastDays, Days: f.lastDays}
	}
	return err
}

// fingerprints are those of the recipients, which are given so or as files.
func (f *jobFlags) fingerprints() (all []string, err error) {
	for _, given := range f.recipients {
		if !fingerprint.MatchString(given) {
			cert, err := oneRecipient(given)
			if err != nil {
				return nil, withHint(err, "--recipient takes the fingerprint or the file of a registered certificate")
			}
			given = smime.Fingerprint(cert)
		}
		all = append(all, given)
	}
	return all, nil
}

func optionalTime(flag, value string) (schemas.Time, error) {
	if value == "" {
		return schemas.Time{}, nil
	}
	return parseTime(flag, value)
}
