package schemas

import (
	"net/url"
	"strings"
	"time"

	// A time zone must not be known on one machine and unknown on the next.
	_ "time/tzdata"
)

// When a job runs.
const (
	// RunOnce is one run: at Start, or at once.
	RunOnce = "once"
	// RunHours is every EveryHours hours, counted from 00:00 UTC each day.
	RunHours = "hours"
	// RunDaily, RunWeekly and RunMonthly are at At in TimeZone.
	RunDaily   = "daily"
	RunWeekly  = "weekly"
	RunMonthly = "monthly"
	// RunCron is at the times of a cron expression of five fields in TimeZone.
	RunCron = "cron"
)

// Runs lists when a job can run.
func Runs() []string {
	return []string{RunOnce, RunHours, RunDaily, RunWeekly, RunMonthly, RunCron}
}

// Weekdays lists the days a weekly job can run on.
func Weekdays() []string {
	return []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
}

// Which rows a run holds, by their time.
const (
	TimeframeAll = "all"
	// TimeframeFixed is [From, To).
	TimeframeFixed = "fixed"
	// TimeframeLastDays is the Days calendar days before the scheduled time, in the
	// schedule's time zone: [scheduled - Days, scheduled).
	TimeframeLastDays = "last_days"
	// TimeframeSinceLastRun is the newest version of each row produced since the last
	// completed run of the job, late events and updates included; everything if there was
	// none, or if the job selected other rows then.
	TimeframeSinceLastRun = "since_last_run"
)

// Ever is the range of an export that is not limited in time: every row is in it.
func Ever() (from, to Time) {
	return TimeOf(earliest), TimeOf(latest.Add(-time.Millisecond))
}

// Timeframes lists which rows a run can hold.
func Timeframes() []string {
	return []string{TimeframeAll, TimeframeFixed, TimeframeLastDays, TimeframeSinceLastRun}
}

// What becomes of runs that were missed while no scheduler ran.
const (
	// CatchUpOnce makes the latest of them, for all.
	CatchUpOnce = "once"
	// CatchUpAll makes each, up to a limit the scheduler has.
	CatchUpAll = "all"
	// CatchUpSkip makes none.
	CatchUpSkip = "skip"
)

// CatchUps lists what can become of missed runs.
func CatchUps() []string { return []string{CatchUpOnce, CatchUpAll, CatchUpSkip} }

// States of a job.
const (
	JobActive    = "active"
	JobSuspended = "suspended"
	JobDeleted   = "deleted"
)

// JobStates lists the states of a job.
func JobStates() []string { return []string{JobActive, JobSuspended, JobDeleted} }

// Job is the definition of exports to come, on cdds.jobs: its last version (see Versions)
// says what it is. Each run is an export of its own.
type Job struct {
	TenantID    string `json:"tenant_id"`
	JobID       string `json:"job_id"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
	// Entity is interaction or contact.
	Entity string `json:"entity"`
	// MediaTypes limits interactions to these; empty means all.
	MediaTypes []string `json:"media_types,omitempty"`
	Match
	Schedule  Schedule  `json:"schedule"`
	Timeframe Timeframe `json:"timeframe"`
	// SplitSize, Encoding, Cipher, KeyTransport, Compression and Attachments are as in
	// ExportRequest.
	SplitSize    int64  `json:"split_size,omitempty"`
	Encoding     string `json:"encoding,omitempty"`
	Cipher       string `json:"cipher,omitempty"`
	KeyTransport string `json:"key_transport,omitempty"`
	Compression  string `json:"compression,omitempty"`
	Attachments  string `json:"attachments,omitempty"`
	// FieldPolicy says what of each row is hidden; nil shows all of it.
	FieldPolicy *FieldPolicy `json:"field_policy,omitempty"`
	// Names are another product's field names that each row has next to ours; empty: none.
	Names string `json:"names,omitempty"`
	// Recipients are SHA-256 fingerprints of certificates registered for the tenant.
	Recipients []string `json:"recipients"`
	// RetentionDays is how long artifacts live; 0 means as long as the tenant's may.
	RetentionDays int      `json:"retention_days,omitempty"`
	Webhook       *Webhook `json:"webhook,omitempty"`
	// CatchUp is once (also when empty), all or skip.
	CatchUp string `json:"catch_up,omitempty"`
	State   string `json:"state"`

	CreatedAt Time   `json:"created_at"`
	CreatedBy string `json:"created_by,omitempty"`
	UpdatedAt Time   `json:"updated_at"`
	UpdatedBy string `json:"updated_by,omitempty"`
	// EffectiveAt is since when the schedule holds: nothing before is due. It is when
	// the job was made, its schedule was changed or it was resumed; resuming one that runs
	// once leaves it, or its run would be another one.
	EffectiveAt Time `json:"effective_at"`
	// ChainFrom is when the chain of a job that exports what came since its last run was started
	// over: the next run holds everything. Zero if it never was.
	ChainFrom Time `json:"chain_from,omitzero"`
	// Revision counts the job's versions from 1.
	Revision int `json:"revision"`
}

// Version is the revision.
func (j *Job) Version() int64 { return int64(j.Revision) }

// Schedule says when a job runs.
type Schedule struct {
	// Run is once, hours, daily, weekly, monthly or cron.
	Run string `json:"run"`
	// EveryHours is 1 to 24; with hours.
	EveryHours int `json:"every_hours,omitempty"`
	// Weekday is monday to sunday; with weekly.
	Weekday string `json:"weekday,omitempty"`
	// Day is 1 to 31; with monthly. In a shorter month it is the last day.
	Day int `json:"day,omitempty"`
	// At is the time of day, HH:MM; with daily, weekly and monthly. Empty means 00:00.
	At string `json:"at,omitempty"`
	// Cron is minute, hour, day of month, month, day of week; with cron.
	Cron string `json:"cron,omitempty"`
	// TimeZone is an IANA name such as Europe/Berlin, whose daylight saving time is
	// followed: a time that the clock skips is the moment it jumps, one it shows twice the
	// first of the two. Empty means UTC.
	TimeZone string `json:"time_zone,omitempty"`
	// Start is when the first run may be; absent means now.
	Start Time `json:"start,omitzero"`
}

// Timeframe says which rows a run holds.
type Timeframe struct {
	// Kind is all, fixed, last_days or since_last_run.
	Kind string `json:"kind"`
	// From and To bound the rows' time, [From, To); with fixed.
	From Time `json:"from,omitzero"`
	To   Time `json:"to,omitzero"`
	// Days is 1 to 3660; with last_days.
	Days int `json:"days,omitempty"`
}

// Webhook is the URL that receives a signed request when a run has ended.
type Webhook struct {
	// URL is https; http is possible only where the service allows it.
	URL string `json:"url"`
	// SecretVersion chooses the signing secret, which is derived from it and never in
	// an event; counting it up replaces the secret.
	SecretVersion int `json:"secret_version"`
}

// Limits of jobs.
const (
	maxTitleBytes  = 200
	maxMatchValues = 64
	// maxMatchBytes bounds the attribute values of a filter together: a query has them in
	// its URL, where quotes and backslashes are twelve bytes each and ClickHouse takes 1 MiB,
	// and 128 KiB a parameter.
	maxMatchBytes    = 16 << 10
	maxRetentionDays = 3660
	maxURLBytes      = 2048
	// MaxDefinitionBytes is the limit of a job or certificate on its topic.
	MaxDefinitionBytes = 256 << 10
)

// Deleted reports whether the job is no more.
func (j *Job) Deleted() bool { return j.State == JobDeleted }

// Zone is the schedule's time zone, UTC if none is named. Validate refuses one that is
// unknown; here it is UTC then.
func (s Schedule) Zone() *time.Location {
	if zone, err := time.LoadLocation(s.TimeZone); err == nil {
		return zone
	}
	return time.UTC
}

// Validate reports every broken rule as one *InvalidError.
func (s Schedule) Validate() error {
	var p problems
	p.schedule(s)
	return p.err()
}

// Revised is the job as the next revision after previous, nil if none exists, made by
// by at now. Who made the job first stays.
func (j Job) Revised(previous *Job, by string, now Time) *Job {
	j.UpdatedAt, j.UpdatedBy = now, by
	if previous == nil {
		j.CreatedAt, j.CreatedBy, j.EffectiveAt, j.Revision = now, by, now, 1
		return &j
	}
	j.CreatedAt, j.CreatedBy, j.Revision = previous.CreatedAt, previous.CreatedBy, previous.Revision+1
	j.EffectiveAt = previous.EffectiveAt
	if j.Schedule != previous.Schedule || j.State == JobActive && previous.State != JobActive && j.Schedule.Run != RunOnce {
		j.EffectiveAt = now
	}
	return &j
}

// Topic is cdds.jobs.
func (j *Job) Topic() Topic { return TopicJobs }

// Key is tenant and job id.
func (j *Job) Key() string { return j.TenantID + "/" + j.JobID }

// Type is the CloudEvents type.
func (j *Job) Type() string { return "cdds.job.v1" }

// ID names the revision and when it was made.
func (j *Job) ID() string { return j.Key() + "/" + j.UpdatedAt.String() }

// At is when the revision was made.
func (j *Job) At() Time { return j.UpdatedAt }

// DecodeJob reads and validates the value of a cdds.jobs message. An unknown member is
// refused: a filter that is misspelled would export what nobody meant to. Every error
// is a *MalformedError.
func DecodeJob(b []byte) (*Job, error) {
	j := new(Job)
	if err := readDefinition(b, j); err != nil {
		return nil, err
	}
	return validated(j)
}

// Validate reports every broken rule as one *InvalidError. Whether a cron expression
// has a next time is package schedule's to say, and whether certificates may be used
// the worker's.
func (j *Job) Validate() error {
	var p problems
	p.tenant(j.TenantID)
	p.jobID(j.JobID)
	if strings.TrimSpace(j.Title) == "" {
		p.add("title", "is missing")
	} else if len(j.Title) > maxTitleBytes {
		p.add("title", "has %d bytes; the limit is %d", len(j.Title), maxTitleBytes)
	}
	p.short("description", j.Description)
	p.oneOf("state", j.State, JobStates(), true)
	p.oneOf("entity", j.Entity, Entities(), true)
	p.media(j.MediaTypes, j.Entity)
	p.match(j.Match, j.Entity)
	p.schedule(j.Schedule)
	p.timeframe(j.Timeframe)
	p.fieldPolicy(j.FieldPolicy, Filter{Entity: j.Entity, MediaTypes: j.MediaTypes, Match: j.Match})
	p.names(j.Names, j.FieldPolicy, j.Entity)
	p.shape(j.SplitSize, j.Encoding, j.Compression, j.Attachments)
	p.seal(j.Cipher, j.KeyTransport)
	recipients := make([]Recipient, len(j.Recipients))
	for n, f := range j.Recipients {
		recipients[n] = Recipient{Fingerprint: f}
	}
	p.recipients(recipients)
	p.retention(j.RetentionDays)
	p.webhook(j.Webhook)
	p.oneOf("catch_up", j.CatchUp, CatchUps(), false)
	p.instant("created_at", j.CreatedAt, true)
	p.instant("updated_at", j.UpdatedAt, true)
	p.instant("effective_at", j.EffectiveAt, true)
	p.short("created_by", j.CreatedBy)
	p.short("updated_by", j.UpdatedBy)
	if j.Revision < 1 {
		p.add("revision", "%d must be at least 1", j.Revision)
	}
	return p.err()
}

func (p *problems) jobID(id string) {
	switch {
	case id == "":
		p.add("job_id", "is missing")
	case !jobPattern.MatchString(id):
		p.add("job_id", "%q must be 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit", shorten(id))
	}
}

func (p *problems) retention(days int) {
	if days < 0 || days > maxRetentionDays {
		p.add("retention_days", "%d is outside 0 to %d", days, maxRetentionDays)
	}
}

func (p *problems) schedule(s Schedule) {
	p.oneOf("schedule.run", s.Run, Runs(), true)
	with := func(field string, given bool, runs ...string) {
		for _, r := range runs {
			if s.Run == r {
				return
			}
		}
		if given {
			p.add("schedule."+field, "is for a job that runs %s; leave it out", strings.Join(runs, ", "))
		}
	}
	with("every_hours", s.EveryHours != 0, RunHours)
	with("weekday", s.Weekday != "", RunWeekly)
	with("day", s.Day != 0, RunMonthly)
	with("at", s.At != "", RunDaily, RunWeekly, RunMonthly)
	with("cron", s.Cron != "", RunCron)
	with("time_zone", s.TimeZone != "", RunDaily, RunWeekly, RunMonthly, RunCron, RunOnce)
	if s.Run == RunHours && (s.EveryHours < 1 || s.EveryHours > 24) {
		p.add("schedule.every_hours", "%d is outside 1 to 24", s.EveryHours)
	}
	if s.Run == RunWeekly {
		p.oneOf("schedule.weekday", s.Weekday, Weekdays(), true)
	}
	if s.Run == RunMonthly && (s.Day < 1 || s.Day > 31) {
		p.add("schedule.day", "%d is outside 1 to 31", s.Day)
	}
	if s.At != "" && !timeOfDayPattern.MatchString(s.At) {
		p.add("schedule.at", "%q must be HH:MM, 00:00 to 23:59", shorten(s.At))
	}
	if s.Run == RunCron && !cronPattern.MatchString(s.Cron) {
		p.add("schedule.cron", "%q must be five fields: minute, hour, day of month, month, day of week", shorten(s.Cron))
	}
	// Local is whatever machine reads it.
	if _, err := time.LoadLocation(s.TimeZone); err != nil || s.TimeZone == "Local" {
		p.add("schedule.time_zone", "%q is unknown; give an IANA name such as Europe/Berlin", shorten(s.TimeZone))
	}
	p.instant("schedule.start", s.Start, false)
}

func (p *problems) timeframe(t Timeframe) {
	p.oneOf("timeframe.kind", t.Kind, Timeframes(), true)
	if t.Kind == TimeframeFixed {
		p.rangeOf("timeframe.from", t.From, "timeframe.to", t.To)
	} else if !t.From.IsZero() || !t.To.IsZero() {
		p.add("timeframe.from", "from and to are for a fixed timeframe; leave them out")
	}
	switch {
	case t.Kind == TimeframeLastDays && (t.Days < 1 || t.Days > maxRetentionDays):
		p.add("timeframe.days", "%d is outside 1 to %d", t.Days, maxRetentionDays)
	case t.Kind != TimeframeLastDays && t.Days != 0:
		p.add("timeframe.days", "is for last_days; leave it out")
	}
}

func (p *problems) webhook(w *Webhook) {
	if w == nil {
		return
	}
	u, err := url.Parse(w.URL)
	switch {
	case len(w.URL) > maxURLBytes:
		p.add("webhook.url", "has %d bytes; the limit is %d", len(w.URL), maxURLBytes)
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		p.add("webhook.url", "must be an absolute https URL")
	case u.User != nil || u.Fragment != "":
		p.add("webhook.url", "must hold neither a password nor a fragment; the signature proves who calls")
	}
	if w.SecretVersion < 1 {
		p.add("webhook.secret_version", "%d must be at least 1", w.SecretVersion)
	}
}
