package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/adhocore/gronx"

	"cdds/schemas"
)

// Check says what is wrong with a job's schedule: beyond its fields, a cron expression
// that cannot be read, or no time at which it is due. The error is a *schemas.InvalidError.
func Check(j schemas.Job) error {
	if err := j.Schedule.Validate(); err != nil {
		return err
	}
	field := "schedule: "
	if j.Schedule.Run == schemas.RunCron {
		field = "schedule.cron: "
	}
	if _, err := due(j, floor(j)); err != nil {
		return &schemas.InvalidError{Problems: []string{field + err.Error()}}
	}
	return nil
}

// Next lists when a job is due after an instant, at most n times, whatever its state.
// The error is about a schedule that Check refuses.
func Next(j schemas.Job, after schemas.Time, n int) ([]schemas.Time, error) {
	var all []schemas.Time
	t := latest(after.Time, floor(j))
	for len(all) < n {
		next, err := due(j, t)
		if errors.Is(err, errNoMore) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		t = next
		all = append(all, schemas.TimeOf(next))
	}
	return all, nil
}

// errNoMore says that a job is not due again.
var errNoMore = errors.New("there is no later time")

// floor is the last instant at which the job is not due yet: its schedule holds from
// the next millisecond on.
func floor(j schemas.Job) time.Time {
	return latest(j.EffectiveAt.Time, j.Schedule.Start.Time).Add(-time.Millisecond)
}

// due is the first time past after at which the job is due.
func due(j schemas.Job, after time.Time) (time.Time, error) {
	if j.Schedule.Run == schemas.RunOnce {
		at := floor(j).Add(time.Millisecond)
		if !at.After(after) {
			return at, errNoMore
		}
		return at, nil
	}
	next, err := following(j.Schedule, after)
	if err == nil && next.Year() >= 2200 {
		err = errNoMore
	}
	return next, err
}

// missed lists the last n times in (after, now] at which the job was due, in order. It
// looks back further and further, so that a year of minutes is not counted through.
func missed(j schemas.Job, after, now time.Time, n int) ([]time.Time, error) {
	after = latest(after, floor(j))
	for back := time.Hour; ; back *= 2 {
		from := latest(after, now.Add(-back))
		var all []time.Time
		for t := from; ; {
			next, err := due(j, t)
			if errors.Is(err, errNoMore) || err == nil && next.After(now) {
				break
			}
			if err != nil {
				return nil, err
			}
			t = next
			all = append(all, next)
		}
		if len(all) >= n || !from.After(after) {
			return all[max(0, len(all)-n):], nil
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// following is the first time past after of a schedule that repeats.
func following(s schemas.Schedule, after time.Time) (time.Time, error) {
	if s.Run == schemas.RunHours {
		if s.EveryHours < 1 {
			return after, fmt.Errorf("a job cannot run every %s", schemas.Counted(s.EveryHours, "hour"))
		}
		t := after.UTC().Truncate(time.Hour).Add(time.Hour)
		for t.Hour()%s.EveryHours != 0 {
			t = t.Add(time.Hour)
		}
		return t, nil
	}
	zone := s.Zone()
	wall := wallOf(after, zone)
	if clockJumps(after, zone) {
		// It begins a day early: of what the clock shows twice, the first may lie before after.
		wall = wall.AddDate(0, 0, -1)
	}
	for {
		var err error
		if wall, err = followingWall(s, wall); err != nil {
			return wall, err
		}
		if t := instant(wall, zone); t.After(after) {
			return t, nil
		}
	}
}

// clockJumps reports whether the clock in zone is set within a day or two of t.
func clockJumps(t time.Time, zone *time.Location) bool {
	const near = 48 * time.Hour
	since, until := t.In(zone).ZoneBounds()
	return !since.IsZero() && t.Sub(since) < near || !until.IsZero() && until.Sub(t) < near
}

// followingWall is the first time past wall that the clock must show.
func followingWall(s schemas.Schedule, wall time.Time) (time.Time, error) {
	hour, minute := timeOfDay(s.At)
	on := func(year int, month time.Month, day int) time.Time {
		return time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
	}
	switch s.Run {
	case schemas.RunDaily, schemas.RunWeekly:
		if s.Run == schemas.RunWeekly && !slices.Contains(schemas.Weekdays(), s.Weekday) {
			return wall, fmt.Errorf("%q is no weekday", s.Weekday)
		}
		t := on(wall.Date())
		for !t.After(wall) || s.Run == schemas.RunWeekly && schemas.Weekdays()[(t.Weekday()+6)%7] != s.Weekday {
			t = t.AddDate(0, 0, 1)
		}
		return t, nil
	case schemas.RunMonthly:
		for year, month := wall.Year(), wall.Month(); ; month++ {
			last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
			if t := on(year, month, min(s.Day, last)); t.After(wall) {
				return t, nil
			}
		}
	case schemas.RunCron:
		if !gronx.New().IsValid(s.Cron) {
			return wall, fmt.Errorf("%q cannot be read; give minute, hour, day of month, month, day of week", s.Cron)
		}
		t, err := gronx.NextTickAfter(s.Cron, wall, false)
		if err != nil || !t.After(wall) {
			return wall, fmt.Errorf("%q never comes", s.Cron)
		}
		return t, nil
	}
	return wall, fmt.Errorf("a job cannot run %q", s.Run)
}

// timeOfDay reads HH:MM, which Validate has checked; 00:00 if it is empty.
func timeOfDay(at string) (hour, minute int) {
	if len(at) == 5 {
		hour, _ = strconv.Atoi(at[:2])
		minute, _ = strconv.Atoi(at[3:])
	}
	return hour, minute
}

// daysBefore is n calendar days before at, by the clock in the schedule's zone. Of a run
// that was due at a time the clock skipped, it goes by the time it should have shown: so
// the days of one run begin where those of the run before end.
func daysBefore(s schemas.Schedule, at time.Time, n int) time.Time {
	zone := s.Zone()
	shown := wallOf(at, zone)
	if s.Run != schemas.RunHours && s.Run != schemas.RunOnce {
		for wall := shown.AddDate(0, 0, -1); wall.Before(shown); {
			var err error
			if wall, err = followingWall(s, wall); err != nil {
				break
			}
			if instant(wall, zone).Equal(at) {
				shown = wall
				break
			}
		}
	}
	return instant(shown.AddDate(0, 0, -n), zone)
}

// wallOf is what the clock on the wall shows at t, to the millisecond, kept as if it
// were UTC's, which knows no jumps.
func wallOf(t time.Time, zone *time.Location) time.Time {
	_, offset := t.In(zone).Zone()
	return t.UTC().Truncate(time.Millisecond).Add(time.Duration(offset) * time.Second)
}

// instant is when the clock in zone shows wall: the first time if it does twice, and
// the moment it jumps if it never does. A later wall is never an earlier instant.
func instant(wall time.Time, zone *time.Location) time.Time {
	var before time.Time
	for i, near := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		_, offset := wall.Add(near).In(zone).Zone()
		t := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		if t.Day() == wall.Day() && t.Hour() == wall.Hour() && t.Minute() == wall.Minute() {
			return t.UTC() // with the offset before a jump back it is the first time
		}
		if i == 0 {
			before = t
		}
	}
	jump, _ := before.ZoneBounds()
	return jump.UTC()
}
