package schedule_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cdds/producers/schedule"
	"cdds/schemas"
)

func at(s string) schemas.Time {
	t, err := schemas.ParseTime(s)
	if err != nil {
		panic(err)
	}
	return t
}

func job(s schemas.Schedule) schemas.Job {
	return *schemas.Job{
		TenantID: "acme", JobID: "nightly", Title: "Nightly", Entity: schemas.EntityInteraction, State: schemas.JobActive,
		Schedule: s, Timeframe: schemas.Timeframe{Kind: schemas.TimeframeAll}, Recipients: []string{strings.Repeat("ab", 32)},
	}.Revised(nil, "ada", at("2020-01-01T00:00:00Z"))
}

func TestNextIsWhatTheClockOnTheWallShows(t *testing.T) {
	daily := func(clock, zone string) schemas.Schedule {
		return schemas.Schedule{Run: schemas.RunDaily, At: clock, TimeZone: zone}
	}
	monthly := func(day int) schemas.Schedule {
		return schemas.Schedule{Run: schemas.RunMonthly, Day: day, At: "06:00"}
	}
	cron := func(expression, zone string) schemas.Schedule {
		return schemas.Schedule{Run: schemas.RunCron, Cron: expression, TimeZone: zone}
	}
	for name, c := range map[string]struct {
		schedule schemas.Schedule
		after    string
		want     []string
	}{
		"daily follows summer time":         {daily("02:30", "Europe/Berlin"), "2026-03-27T12:00:00Z", []string{"2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
		"a time shown twice is the first":   {daily("02:30", "Europe/Berlin"), "2026-10-24T00:30:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		"not again the second time":         {daily("02:30", "Europe/Berlin"), "2026-10-25T00:30:00Z", []string{"2026-10-26T01:30:00Z"}},
		"New York jumps at other times":     {daily("02:15", "America/New_York"), "2026-03-07T08:00:00Z", []string{"2026-03-08T07:00:00Z", "2026-03-09T06:15:00Z"}},
		"midnight that does not exist":      {daily("00:00", "America/Santiago"), "2026-09-05T05:00:00Z", []string{"2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"}},
		"half an hour of Lord Howe":         {daily("02:15", "Australia/Lord_Howe"), "2026-10-03T00:00:00Z", []string{"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
		"a time is not due at itself":       {daily("02:30", ""), "2026-05-05T02:30:00Z", []string{"2026-05-06T02:30:00Z"}},
		"every 6 hours":                     {schemas.Schedule{Run: schemas.RunHours, EveryHours: 6}, "2026-05-05T05:59:59.999Z", []string{"2026-05-05T06:00:00Z", "2026-05-05T12:00:00Z"}},
		"every 5 hours begins at midnight":  {schemas.Schedule{Run: schemas.RunHours, EveryHours: 5}, "2026-05-05T19:00:00Z", []string{"2026-05-05T20:00:00Z", "2026-05-06T00:00:00Z", "2026-05-06T05:00:00Z"}},
		"every 24 hours":                    {schemas.Schedule{Run: schemas.RunHours, EveryHours: 24}, "2026-05-05T00:00:00Z", []string{"2026-05-06T00:00:00Z"}},
		"weekly":                            {schemas.Schedule{Run: schemas.RunWeekly, Weekday: "sunday", At: "23:00", TimeZone: "Asia/Tokyo"}, "2026-05-05T00:00:00Z", []string{"2026-05-10T14:00:00Z", "2026-05-17T14:00:00Z"}},
		"the 31st is the last of the month": {monthly(31), "2026-01-31T06:00:00Z", []string{"2026-02-28T06:00:00Z", "2026-03-31T06:00:00Z", "2026-04-30T06:00:00Z"}},
		"the 29th in a leap year":           {monthly(29), "2028-02-01T00:00:00Z", []string{"2028-02-29T06:00:00Z", "2028-03-29T06:00:00Z"}},
		"the 29th in another year":          {monthly(29), "2027-02-01T00:00:00Z", []string{"2027-02-28T06:00:00Z", "2027-03-29T06:00:00Z"}},
		"over the year's end":               {monthly(1), "2026-12-05T00:00:00Z", []string{"2027-01-01T06:00:00Z"}},
		"cron on workdays":                  {cron("30 7 * * MON-FRI", "Europe/Berlin"), "2026-10-23T06:00:00Z", []string{"2026-10-26T06:30:00Z", "2026-10-27T06:30:00Z"}},
		"cron on leap days":                 {cron("0 0 29 2 *", ""), "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		"cron in the hour that is skipped":  {cron("*/30 2 * * *", "Europe/Berlin"), "2026-03-28T02:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T00:30:00Z"}},
		"cron in the hour that is repeated": {cron("*/30 2 * * *", "Europe/Berlin"), "2026-10-24T01:00:00Z", []string{"2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:00:00Z"}},
	} {
		got, err := schedule.Next(job(c.schedule), at(c.after), len(c.want))
		var want []schemas.Time
		for _, w := range c.want {
			want = append(want, at(w))
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
}

func TestNothingIsDueBeforeTheStart(t *testing.T) {
	s := schemas.Schedule{Run: schemas.RunDaily, At: "06:00", Start: at("2026-05-05T06:00:00Z")}
	if got, _ := schedule.Next(job(s), at("2026-01-01T00:00:00Z"), 1); got[0] != at("2026-05-05T06:00:00Z") {
		t.Errorf("first due at %s", got[0])
	}
	once := job(schemas.Schedule{Run: schemas.RunOnce})
	if got, _ := schedule.Next(once, at("2019-01-01T00:00:00Z"), 5); !slices.Equal(got, []schemas.Time{once.CreatedAt}) {
		t.Errorf("once, now: due at %v", got)
	}
	if got, _ := schedule.Next(once, once.CreatedAt, 5); len(got) != 0 {
		t.Errorf("once, done: due at %v", got)
	}
}

func TestCronThatCannotBeReadIsRefused(t *testing.T) {
	for _, expression := range []string{"a b c d e", "61 * * * *", "* * 31 2 *", "* 25 * * *", "1- * * * *", "*/0 * * * *"} {
		j := job(schemas.Schedule{Run: schemas.RunCron, Cron: expression})
		if err := schedule.Check(j); err == nil || !strings.HasPrefix(err.Error(), "schedule.cron: ") {
			t.Errorf("%q: got %v", expression, err)
		}
	}
	if err := schedule.Check(job(schemas.Schedule{Run: schemas.RunCron, Cron: "*/15 8-17 1,15 * *"})); err != nil {
		t.Error(err)
	}
}

func TestAScheduleThatIsNeverDueIsRefused(t *testing.T) {
	for _, s := range []schemas.Schedule{
		{Run: schemas.RunDaily, At: "12:00", Start: at("2199-12-31T12:00:00.001Z")},
		{Run: schemas.RunCron, Cron: "0 0 1 1 *", Start: at("2199-01-01T00:00:00.001Z")},
	} {
		if err := schedule.Check(job(s)); err == nil || !strings.Contains(err.Error(), "there is no later time") {
			t.Errorf("%+v: got %v", s, err)
		}
	}
	if err := schedule.Check(job(schemas.Schedule{Run: schemas.RunOnce, Start: at("2199-12-31T12:00:00Z")})); err != nil {
		t.Error(err)
	}
}

func TestAScheduleThatIsNotWholeIsRefusedAndNeverLookedForForEver(t *testing.T) {
	for want, s := range map[string]schemas.Schedule{
		"schedule.weekday":     {Run: schemas.RunWeekly, Weekday: "x"},
		"schedule.every_hours": {Run: schemas.RunHours},
		"schedule.day":         {Run: schemas.RunMonthly},
		"schedule.time_zone":   {Run: schemas.RunDaily, TimeZone: "Europe/Berln"},
		"schedule.run":         {Run: "yearly"},
	} {
		if err := schedule.Check(job(s)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: got %v", s, err)
		}
		if s.Day == 0 && s.Run != schemas.RunMonthly && s.TimeZone == "" {
			if got, err := schedule.Next(job(s), at("2026-11-01T00:00:00Z"), 1); err == nil {
				t.Errorf("%+v: due at %v", s, got)
			}
		}
	}
}

// Whatever the zone and the schedule: later times are later, none lies outside what was
// asked for, and asking from any of them continues the same list.
func TestTimesRiseAndContinueFromAnyOfThem(t *testing.T) {
	zones := []string{"", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia"}
	rapid.Check(t, func(t *rapid.T) {
		s := schemas.Schedule{
			Run:        rapid.SampledFrom([]string{schemas.RunHours, schemas.RunDaily, schemas.RunWeekly, schemas.RunMonthly, schemas.RunCron}).Draw(t, "run"),
			EveryHours: rapid.IntRange(1, 24).Draw(t, "hours"), Weekday: rapid.SampledFrom(schemas.Weekdays()).Draw(t, "weekday"),
			Day: rapid.IntRange(1, 31).Draw(t, "day"), At: time.Unix(int64(rapid.IntRange(0, 1439).Draw(t, "at"))*60, 0).UTC().Format("15:04"),
			Cron:     rapid.SampledFrom([]string{"*/20 * * * *", "15 1-3 * * *", "0 0 * * 0", "5 2 28-31 3,10 *"}).Draw(t, "cron"),
			TimeZone: rapid.SampledFrom(zones).Draw(t, "zone"),
		}
		after := schemas.TimeOf(time.Unix(rapid.Int64Range(1.7e9, 2.0e9).Draw(t, "after"), 0))
		all, err := schedule.Next(job(s), after, 8)
		if err != nil || len(all) != 8 {
			t.Fatal(len(all), err)
		}
		last := after
		for i, x := range all {
			if !x.After(last.Time) {
				t.Fatalf("%s does not follow %s", x, last)
			}
			rest, err := schedule.Next(job(s), x, 7-i)
			if err != nil || !slices.Equal(rest, all[i+1:]) {
				t.Fatalf("after %s: %v, want %v (%v)", x, rest, all[i+1:], err)
			}
			last = x
		}
	})
}

func TestWantedFollowsTheCatchUpPolicy(t *testing.T) {
	now := at("2026-05-05T10:00:30Z").Time
	hours := func(all ...int) (times []time.Time) {
		for _, h := range all {
			times = append(times, time.Date(2026, 5, 5, h, 0, 0, 0, time.UTC))
		}
		return times
	}
	for name, c := range map[string]struct {
		policy    string
		due, want []time.Time
	}{
		"in time":                 {"", hours(10), hours(10)},
		"once":                    {schemas.CatchUpOnce, hours(7, 8, 9, 10), hours(10)},
		"once, all late":          {"", hours(7, 8), hours(8)},
		"all":                     {schemas.CatchUpAll, hours(8, 9, 10), hours(8, 9, 10)},
		"all is bounded":          {schemas.CatchUpAll, hours(6, 7, 8, 9, 10), hours(8, 9, 10)},
		"skip leaves the late":    {schemas.CatchUpSkip, hours(8, 9, 10), hours(10)},
		"skip with nothing fresh": {schemas.CatchUpSkip, hours(7, 8, 9), nil},
	} {
		j := job(schemas.Schedule{Run: schemas.RunHours, EveryHours: 1})
		j.CatchUp = c.policy
		if got := schedule.Wanted(j, c.due, now, 5*time.Minute, 3); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestRequestIsTheSameWhoeverMakesIt(t *testing.T) {
	j := job(schemas.Schedule{Run: schemas.RunDaily, At: "02:30", TimeZone: "Europe/Berlin"})
	j.Timeframe = schemas.Timeframe{Kind: schemas.TimeframeLastDays, Days: 1}
	first, second := schedule.Request(j, at("2026-03-29T01:00:00Z")), schedule.Request(j, at("2026-03-30T00:30:00Z"))
	if err := first.Validate(); err != nil {
		t.Fatal(err)
	}
	if first.ExportID != "nightly-20260329T010000Z" || first.From != at("2026-03-28T01:30:00Z") || first.To != second.From {
		t.Errorf("%+v, then %+v", first, second)
	}
	again := schedule.Request(j, at("2026-03-29T01:00:00Z"))
	again.RequestedAt = at("2026-03-30T00:00:00Z")
	if first.Digest() != again.Digest() {
		t.Error("asked for again it is another request")
	}
}

// FuzzCron looks for expressions that panic or never return.
func FuzzCron(f *testing.F) {
	for _, seed := range []string{"*/5 * * * *", "0 0 L * *", "0 0 15W * *", "0 0 * * 5#3", "1-5/2,7 ? * JAN-MAR MON", "0 0 31 2 *"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		j := job(schemas.Schedule{Run: schemas.RunCron, Cron: expression, TimeZone: "Europe/Berlin"})
		if j.Validate() != nil || schedule.Check(j) != nil {
			return
		}
		all, _ := schedule.Next(j, at("2026-03-28T00:00:00Z"), 3)
		for i := 1; i < len(all); i++ {
			if !all[i].After(all[i-1].Time) {
				t.Fatalf("%q: %v", expression, all)
			}
		}
	})
}

// A daily job over its last day leaves nothing out and takes nothing twice, also where
// the clock jumps.
func TestDaysOfOneRunBeginWhereThoseOfTheRunBeforeEnd(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "UTC"} {
		for _, clock := range []string{"00:00", "01:30", "02:00", "02:15", "02:30", "03:00", "12:00"} {
			j := job(schemas.Schedule{Run: schemas.RunDaily, At: clock, TimeZone: zone})
			j.Timeframe = schemas.Timeframe{Kind: schemas.TimeframeLastDays, Days: 1}
			runs, err := schedule.Next(j, at("2026-01-01T00:00:00Z"), 400)
			if err != nil {
				t.Fatal(err)
			}
			for i := 1; i < len(runs); i++ {
				if r := schedule.Request(j, runs[i]); r.From != runs[i-1] || r.To != runs[i] {
					t.Fatalf("%s at %s: the run at %s holds [%s, %s), the one before ended at %s", zone, clock, runs[i], r.From, r.To, runs[i-1])
				}
			}
		}
	}
}
