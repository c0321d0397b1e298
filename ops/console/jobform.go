package console

import (
	"fmt"
	"maps"
	"math"
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
	// Given are the queues as they were written; empty if nobody wrote them yet.
	Given string
	// Next are the next runs, if they were asked for.
	Next []schemas.Time
	// What can be chosen.
	Media, Directions, Runs, Weekdays, Timeframes, CatchUps, Compressions []string
	// Find is the search for a certificate, and Offer what comes of it.
	Find  string
	Offer recipients
}

// SplitMiB is the size of a part as the editor has it, exactly.
func (f jobForm) SplitMiB() string {
	if f.SplitSize == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(f.SplitSize)/(1<<20), 'f', -1, 64)
}

// Narrowed reports whether a filter is set that the editor keeps under More.
func (f jobForm) Narrowed() bool {
	return len(f.Match.Directions)+len(f.Match.Queues)+len(f.Match.Statuses)+len(f.Match.Attributes) > 0 || f.Given != ""
}

// Tuned reports whether something is set that the editor keeps under Advanced.
func (f jobForm) Tuned() bool {
	return f.SplitSize > 0 || f.RetentionDays > 0 || f.Encoding == schemas.EncodingDER || f.Cipher == schemas.CipherGCM ||
		f.KeyTransport == schemas.KeyTransportOAEP || f.Compression == schemas.CompressionFast || f.Attachments == schemas.AttachmentsNone || f.FieldPolicy != nil || f.Names != ""
}

// QueueLines are the queues as the editor has them.
func (f jobForm) QueueLines() string {
	if f.Given != "" {
		return f.Given
	}
	lines := make([]string, len(f.Queues))
	for n, q := range f.Queues {
		lines[n] = schemas.QueueText(q)
	}
	return strings.Join(lines, "\n")
}

// AttributeLines are the attributes as the editor has them.
func (f jobForm) AttributeLines() string {
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(f.Attributes)) {
		fmt.Fprintf(&lines, "%s=%s\n", name, f.Attributes[name])
	}
	return lines.String()
}

func (c *Console) editJob(q *request, clone bool) error {
	j, err := q.Job(q.r.Context(), q.r.PathValue("id"))
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
	if err := q.choices(&f); err != nil {
		return err
	}
	title := "New job"
	f.Post = Prefix + "/jobs"
	if f.Revision > 0 {
		title = "Edit " + f.Title
		f.Post += "/" + f.JobID
	}
	return c.show(q, "job-form", view{Title: title, At: "/jobs", Problems: problems, Data: f})
}

// choices fills in what can be chosen.
func (q *request) choices(f *jobForm) error {
	f.Media, f.Directions, f.Runs, f.Weekdays = schemas.MediaTypes(), schemas.Directions(), schemas.Runs(), schemas.Weekdays()
	f.Timeframes, f.CatchUps, f.Compressions = schemas.Timeframes(), schemas.CatchUps(), schemas.Compressions()
	registered, err := q.Certificates(q.r.Context())
	if err != nil {
		return err
	}
	f.Recipients = sealedFor(f.Recipients, registered)
	usable := slices.DeleteFunc(slices.Clone(registered), func(cert schemas.Certificate) bool { return cert.Removed || cert.ReplacedBy != "" })
	f.Offer = offer(usable, f.Recipients, f.Find)
	return nil
}

// sealedFor are the certificates that are used where recipients are named: those that
// replace them, if any do.
func sealedFor(recipients []string, registered []schemas.Certificate) []string {
	var all []string
	for _, r := range recipients {
		chain := schemas.Replacements(r, registered)
		if used := chain[len(chain)-1]; !slices.Contains(all, used) {
			all = append(all, used)
		}
	}
	return all
}

// saveJob saves what the editor holds, or shows when it would run.
func (c *Console) saveJob(q *request, id string) error {
	if !q.who.May(auth.Change) { // a preview is for those who may save
		return auth.ErrForbidden
	}
	if err := q.r.ParseForm(); err != nil {
		return fmt.Errorf("%w: %w", errBad, err)
	}
	var known schemas.Job
	if id != "" {
		var err error
		if known, err = q.Job(q.r.Context(), id); err != nil {
			return err
		}
	}
	j, problems, err := q.jobOf(known)
	if err != nil {
		return err
	}
	j.TenantID, j.JobID, j.State = q.Tenant(), id, known.State
	revision, _ := strconv.Atoi(q.r.PostFormValue("revision"))
	f := jobForm{Job: j, Given: q.r.PostForm.Get("queues"), Find: q.r.PostForm.Get("find")}
	f.Revision = revision
	if q.r.PostForm.Get("then") == find {
		return c.jobEditor(q, f)
	}
	if len(problems) > 0 {
		return c.jobEditor(q, f, problems...)
	}
	if q.r.PostFormValue("then") == "preview" {
		next := j.Revised(nil, q.who.Name, schemas.TimeOf(c.Now()))
		next.State = schemas.JobActive
		if q.CheckJob != nil {
			if bad := problemsOf(q.CheckJob(q.r.Context(), *next)); bad != nil {
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

// jobOf is what the form holds, with its queues as they are called, and what is wrong with it.
func (q *request) jobOf(known schemas.Job) (schemas.Job, []string, error) {
	j, problems := jobOf(q.r.PostForm, known)
	queues, err := schemas.QueuesOf(j.Queues, func(names []string) ([]string, error) { return q.QueuesAmong(q.r.Context(), names) })
	if bad := problemsOf(err); bad != nil {
		return j, append(problems, bad...), nil
	}
	j.Queues = queues
	return j, problems, err
}

// jobOf reads the editor's fields, and says what it cannot read. Of attributes that lines
// cannot say, those of the job that is known stay if the lines are still theirs.
func jobOf(form url.Values, known schemas.Job) (j schemas.Job, problems []string) {
	get := func(name string) string { // browsers send lines as in mail
		return strings.TrimSpace(strings.ReplaceAll(form.Get(name), "\r\n", "\n"))
	}
	number := func(name string) int {
		if get(name) == "" {
			return 0
		}
		n, err := strconv.Atoi(get(name))
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %q is not a whole number", name, get(name)))
		}
		return n
	}
	j = schemas.Job{
		Title: get("title"), Description: get("description"), Entity: get("entity"),
		MediaTypes: form["media_types"], Recipients: form["recipients"],
		Match:    schemas.Match{Queues: linesOf(get("queues")), Directions: form["directions"], Statuses: linesOf(strings.ReplaceAll(get("statuses"), ",", "\n"))},
		Encoding: get("encoding"), Cipher: get("cipher"), KeyTransport: get("key_transport"),
		Compression: get("compression"), Attachments: get("attachments"), Names: get("names"),
		RetentionDays: number("retention_days"), CatchUp: get("catch_up"),
		Schedule:  schemas.Schedule{Run: get("run")},
		Timeframe: schemas.Timeframe{Kind: get("timeframe")},
	}
	if j.Entity == schemas.EntityContact {
		j.MediaTypes, j.Directions, j.Attachments = nil, nil, ""
	}
	hidden, bad := fieldPolicyOf(get)
	j.FieldPolicy, problems = hidden, append(problems, bad...)
	switch len(j.MediaTypes) {
	case len(schemas.MediaTypes()):
		j.MediaTypes = nil // all
	case 0:
		if j.Entity == schemas.EntityInteraction {
			problems = append(problems, "media types: choose at least one")
		}
	}
	if size := get("split_size"); size != "" {
		mebibytes, err := strconv.ParseFloat(size, 64)
		if err != nil || !(mebibytes > 0 && mebibytes < 1<<20) {
			problems = append(problems, fmt.Sprintf("part size: %q is no number of MiB", size))
		} else {
			j.SplitSize = int64(math.Round(mebibytes * (1 << 20)))
		}
	}
	if get("attributes") == strings.TrimSpace(jobForm{Job: known}.AttributeLines()) {
		j.Attributes = known.Attributes
		form = maps.Clone(form)
		form.Del("attributes")
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
	s := &j.Schedule
	switch s.Run {
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
	if s.Run != schemas.RunHours { // those are counted in UTC
		s.TimeZone = get("time_zone")
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

// inputOf is an instant as date inputs take it, exactly; nothing for the zero time.
func inputOf(t schemas.Time) string {
	switch {
	case t.IsZero():
		return ""
	case t.UTC().Truncate(time.Minute).Equal(t.Time):
		return t.UTC().Format("2006-01-02T15:04")
	}
	return t.UTC().Format("2006-01-02T15:04:05.000")
}

// linesOf are the lines that are not empty.
func linesOf(s string) []string {
	all := strings.Split(s, "\n")
	for n := range all {
		all[n] = strings.TrimSpace(all[n])
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}
