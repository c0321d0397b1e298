package schemas_test

import (
	"strings"
	"testing"

	"cdds/schemas"
)

func TestJobTellsAllThatIsWrongAtOnce(t *testing.T) {
	for field, breaks := range map[string]func(*schemas.Job){
		"title":                  func(j *schemas.Job) { j.Title = "  " },
		"job_id":                 func(j *schemas.Job) { j.JobID = "a/b" },
		"recipients":             func(j *schemas.Job) { j.Recipients = nil },
		"recipients[0]":          func(j *schemas.Job) { j.Recipients = []string{"short"} },
		"directions":             func(j *schemas.Job) { j.Directions = []string{"sideways"} },
		"statuses":               func(j *schemas.Job) { j.Statuses = []string{"Closed!"} },
		"attributes":             func(j *schemas.Job) { j.Attributes = map[string]string{"": "x"} },
		"schedule.run":           func(j *schemas.Job) { j.Schedule = schemas.Schedule{Run: "hourly"} },
		"schedule.every_hours":   func(j *schemas.Job) { j.Schedule = schemas.Schedule{Run: schemas.RunHours} },
		"schedule.weekday":       func(j *schemas.Job) { j.Schedule = schemas.Schedule{Run: schemas.RunWeekly, Weekday: "Mon"} },
		"schedule.day":           func(j *schemas.Job) { j.Schedule = schemas.Schedule{Run: schemas.RunMonthly, Day: 32} },
		"schedule.at":            func(j *schemas.Job) { j.Schedule.At = "24:00" },
		"schedule.cron":          func(j *schemas.Job) { j.Schedule = schemas.Schedule{Run: schemas.RunCron, Cron: "* * * *"} },
		"schedule.time_zone":     func(j *schemas.Job) { j.Schedule.TimeZone = "Mars/Olympus" },
		"timeframe.from":         func(j *schemas.Job) { j.Timeframe = schemas.Timeframe{Kind: schemas.TimeframeFixed} },
		"timeframe.days":         func(j *schemas.Job) { j.Timeframe.Days = 0 },
		"webhook.url":            func(j *schemas.Job) { j.Webhook.URL = "https://user:password@hooks.example.com" },
		"webhook.secret_version": func(j *schemas.Job) { j.Webhook.SecretVersion = 0 },
		"retention_days":         func(j *schemas.Job) { j.RetentionDays = -1 },
		"catch_up":               func(j *schemas.Job) { j.CatchUp = "maybe" },
		"state":                  func(j *schemas.Job) { j.State = "" },
		"revision":               func(j *schemas.Job) { j.Revision = 0 },
	} {
		j := validJob()
		if err := j.Validate(); err != nil {
			t.Fatal(err)
		}
		breaks(j)
		j.SplitSize = 1 // and one more
		err := j.Validate()
		if err == nil || !strings.Contains(err.Error(), field+": ") || !strings.Contains(err.Error(), "split_size: ") {
			t.Errorf("%s: got %v, want both problems", field, err)
		}
	}
}

func TestContactJobsHaveNoQueue(t *testing.T) {
	j := validJob()
	j.Entity, j.MediaTypes = schemas.EntityContact, nil
	if err := j.Validate(); err == nil || !strings.Contains(err.Error(), "queues: contacts have no queue") {
		t.Errorf("got %v", err)
	}
}

func TestOnlyAnotherScheduleOrResumingMakesAJobsPastNotDue(t *testing.T) {
	first := validJob()
	now := at("2026-11-05T00:00:00Z")
	title := *first
	title.Title = "Another"
	if next := title.Revised(first, "bob", now); next.EffectiveAt != first.EffectiveAt || next.CreatedBy != "ada" || next.UpdatedBy != "bob" || next.Revision != 2 {
		t.Errorf("another title: %+v", next)
	}
	hour := *first
	hour.Schedule.At = "03:30"
	if next := hour.Revised(first, "bob", now); next.EffectiveAt != now {
		t.Errorf("another hour: effective at %s", next.EffectiveAt)
	}
	suspended := *first
	suspended.State = schemas.JobSuspended
	suspended = *suspended.Revised(first, "bob", at("2026-11-01T00:00:00Z"))
	resumed := suspended
	resumed.State = schemas.JobActive
	if next := resumed.Revised(&suspended, "bob", now); next.EffectiveAt != now {
		t.Errorf("resumed: effective at %s", next.EffectiveAt)
	}
	once := *first
	once.Schedule = schemas.Schedule{Run: schemas.RunOnce}
	suspended = once
	suspended.State = schemas.JobSuspended
	if next := once.Revised(&suspended, "bob", now); next.EffectiveAt != first.EffectiveAt {
		t.Errorf("once, resumed: effective at %s, and it would run again", next.EffectiveAt)
	}
}

// A digest names a request in what was stored before there were these members.
func TestDigestOfARequestWithoutNewMembersStays(t *testing.T) {
	if got, want := validRequest().Digest(), "4640eedb50ccf36bd692e4ca767fae11564d907d1edc8ecc1e1dba3a86ed2ec9"; got != want {
		t.Errorf("digest = %s, want %s", got, want)
	}
	changed := map[string]func(*schemas.ExportRequest){
		"queues":         func(r *schemas.ExportRequest) { r.Queues = []string{"sales"} },
		"attributes":     func(r *schemas.ExportRequest) { r.Attributes = map[string]string{"a": "b"} },
		"retention_days": func(r *schemas.ExportRequest) { r.RetentionDays = 3 },
		"job_id":         func(r *schemas.ExportRequest) { r.JobID = "nightly" },
	}
	for name, change := range changed {
		r := validRequest()
		change(r)
		if r.Digest() == validRequest().Digest() {
			t.Errorf("%s does not count", name)
		}
	}
	a, b := validRequest(), validRequest()
	a.Queues, b.Queues = []string{"x", "y"}, []string{"y", "x"}
	if a.Digest() != b.Digest() {
		t.Error("the order of queues counts")
	}
}

func TestCertificateMustBeWhatItSays(t *testing.T) {
	b := exampleOf(t, "certificate.schema.json")
	if _, err := schemas.DecodeCertificate(b); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		"CN=Acme": "CN=Globex", "keyEncipherment": "digitalSignature", `"key_bits":2048`: `"key_bits":4096`,
		"BEGIN CERTIFICATE": "BEGIN RSA PRIVATE KEY", `"added_by"`: `"added_by_whom"`,
	} {
		broken := strings.Replace(string(b), from, to, 1)
		if broken == string(b) {
			t.Fatalf("the example has no %s", from)
		}
		if _, err := schemas.DecodeCertificate([]byte(broken)); err == nil {
			t.Errorf("%s for %s was taken", to, from)
		} else if strings.Contains(err.Error(), "MII") {
			t.Errorf("the error repeats the PEM: %v", err)
		}
	}
}
