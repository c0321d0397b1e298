package console

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"cdds/ops/auth"
	"cdds/schemas"
)

// jobForm is the editor's content.
type jobForm struct {
	schemas.Job
	// Post is where the form goes.
	Post string
	// Next are the next runs, if they were asked for.
	Next []schemas.Time
	// What can be chosen.
	Media, Directions, Runs, Weekdays, Timeframes, CatchUps, Compressions []string
	Certificates                                                          []schemas.Certificate
}

// SplitMiB is the size of a part as the editor has it.
func (f jobForm) SplitMiB() int64 { return f.SplitSize >> 20 }

func (c *Console) editJob(q *request, clone bool) error {
	j, err := q.Job(q.r.PathValue("id"))
	if err != nil {
		return err
	}
	if clone {
		j.JobID, j.Revision, j.Title, j.State = "", 0, "Copy of "+j.Title, ""
	}
	return c.jobEditor(q, jobForm{Job: j})
}

func (c *Console) jobEditor(q *request, f jobForm, problems ...string) error {
	if !q.who.May(auth.Change) {
		return auth.ErrForbidden
	}
	f.Media, f.Directions, f.Runs, f.Weekdays = schemas.MediaTypes(), schemas.Directions(), schemas.Runs(), schemas.Weekdays()
	f.Timeframes, f.CatchUps, f.Compressions = schemas.Timeframes(), schemas.CatchUps(), schemas.Compressions()
	registered, err := q.Certificates()
	if err != nil {
		return err
	}
	for _, cert := range registered {
		if !cert.Removed && cert.ReplacedBy == "" {
			f.Certificates = append(f.Certificates, cert)
		}
	}
	title := "New job"
	f.Post = Prefix + "/jobs"
	if f.Revision > 0 {
		title = "Edit " + f.Title
		f.Post += "/" + f.JobID
	}
	return c.show(q, "job-form", view{Title: title, At: "/jobs", Problems: problems, Data: f})
}

// saveJob saves what the editor holds, or shows when it would run.
func (c *Console) saveJob(q *request, id string) error {
	if err := q.r.ParseForm(); err != nil {
		return fmt.Errorf("%w: %w", errBad, err)
	}
	j, problems := jobOf(q.r.PostForm)
	j.TenantID, j.JobID = q.Tenant(), id
	revision, _ := strconv.Atoi(q.r.PostFormValue("revision"))
	f := jobForm{Job: j}
	f.Revision = revision
	if id != "" {
		known, err := q.Job(id)
		if err != nil {
			return err
		}
		j.State = known.State
	}
	if len(problems) > 0 {
		return c.jobEditor(q, f, problems...)
	}
	if q.r.PostFormValue("then") == "preview" {
		next := j.Revised(nil, q.who.Name, schemas.TimeOf(c.Now()))
		next.State = schemas.JobActive
		if q.CheckJob != nil {
			if bad := problemsOf(q.CheckJob(*next)); bad != nil {
				return c.jobEditor(q, f, bad...)
			}
		}
		var err error
		if f.Next, err = q.Next(*next, schemas.TimeOf(c.Now()), 5); err != nil {
			return c.jobEditor(q, f, err.Error())
		}
		return c.jobEditor(q, f)
	}
	saved, err := q.SaveJob(q.r.Context(), j, revision)
	if bad := problemsOf(err); bad != nil {
		return c.jobEditor(q, f, bad...)
	}
	if err != nil {
		return err
	}
	return q.goTo("/jobs/"+saved.JobID, "job.saved")
}

// jobOf reads the editor's fields, and says what it cannot read.
func jobOf(form url.Values) (j schemas.Job, problems []string) {
	get := func(name string) string { return strings.TrimSpace(form.Get(name)) }
	number := func(name string) int {
		if get(name) == "" {
			return 0
		}
		n, err := strconv.Atoi(get(name))
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %q is no whole number", name, get(name)))
		}
		return n
	}
	j = schemas.Job{
		Title: get("title"), Description: get("description"), Entity: get("entity"),
		MediaTypes: form["media_types"], Recipients: form["recipients"],
		Match:     schemas.Match{Queues: words(get("queues")), Directions: form["directions"], Statuses: words(get("statuses"))},
		SplitSize: int64(number("split_size")) << 20, Encoding: get("encoding"), Cipher: get("cipher"), KeyTransport: get("key_transport"),
		Compression: get("compression"), Attachments: get("attachments"),
		RetentionDays: number("retention_days"), CatchUp: get("catch_up"),
		Schedule:  schemas.Schedule{Run: get("run"), TimeZone: get("time_zone")},
		Timeframe: schemas.Timeframe{Kind: get("timeframe")},
	}
	if j.Entity == schemas.EntityContact {
		j.MediaTypes, j.Directions, j.Attachments = nil, nil, ""
	}
	if len(j.MediaTypes) == len(schemas.MediaTypes()) {
		j.MediaTypes = nil // all
	}
	for _, line := range strings.Split(get("attributes"), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			problems = append(problems, fmt.Sprintf("attributes: %q must be name=value", line))
			continue
		}
		if j.Attributes == nil {
			j.Attributes = map[string]string{}
		}
		j.Attributes[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	// A field that does not belong to the schedule may still hold what another needed.
	switch s := &j.Schedule; s.Run {
	case schemas.RunHours:
		s.EveryHours = number("every_hours")
	case schemas.RunWeekly:
		s.Weekday, s.At = get("weekday"), get("at")
	case schemas.RunMonthly:
		s.Day, s.At = number("day"), get("at")
	case schemas.RunDaily:
		s.At = get("at")
	case schemas.RunCron:
		s.Cron = get("cron")
	}
	instant := func(name string) schemas.Time {
		t, ok := instantOf(get(name))
		if !ok {
			problems = append(problems, fmt.Sprintf("%s: %q is no time such as 2026-10-31 or 2026-10-31T18:00 (UTC)", name, get(name)))
		}
		return t
	}
	j.Schedule.Start = instant("start")
	switch j.Timeframe.Kind {
	case schemas.TimeframeFixed:
		j.Timeframe.From, j.Timeframe.To = instant("from"), instant("to")
	case schemas.TimeframeLastDays:
		j.Timeframe.Days = number("days")
	}
	if to := get("webhook_url"); to != "" {
		j.Webhook = &schemas.Webhook{URL: to, SecretVersion: max(1, number("webhook_secret"))}
	}
	return j, problems
}

// instantOf reads what date inputs give, in UTC; nothing is the zero time.
func instantOf(s string) (schemas.Time, bool) {
	if s == "" {
		return schemas.Time{}, true
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return schemas.TimeOf(t), true
		}
	}
	return schemas.Time{}, false
}

// words splits at commas and line ends.
func words(s string) []string {
	all := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' })
	for n := range all {
		all[n] = strings.TrimSpace(all[n])
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}
