package console

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sync/errgroup"

	"cdds/ops/admin"
	"cdds/ops/auth"
	"cdds/pipeline/ledger"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// overviewData is how the system does and what runs.
type overviewData struct {
	admin.Overview
	Chart, StateChart template.HTML
	States            []stateCount
	Running           []schemas.Export
	Completed         int64
	Failed            int64
	Behind            int64
	// Peak is the most interactions in one of the hours.
	Peak int64
	// Broken are the latest exports that failed or were refused within a week; Soon are the
	// runs that are due next.
	Broken []schemas.Export
	Soon   []dueRun
	Titles map[string]string
	// FailingChecks are those of Checks that fail at services and roles; Checks is 0 for who
	// is not told. MayHealth says that somebody may see which.
	FailingChecks, Checks int
	MayHealth             bool
	// OneTenant says that somebody may read what one tenant has, and looks at one.
	OneTenant bool
}

// Old says that the counts are so old that the page says so.
func (d overviewData) Old(now schemas.Time) bool { return now.Sub(d.AsOf.Time) >= time.Minute }

func (c *Console) overview(q *request) error {
	d := overviewData{}
	d.OneTenant = q.who.May(auth.Read) && q.Tenant() != schemas.AllTenants
	g, ctx := errgroup.WithContext(q.r.Context())
	g.Go(func() (err error) {
		d.Overview, err = q.Overview(ctx)
		return err
	})
	some := func(into *[]schemas.Export, f ledger.ExportFilter) {
		g.Go(func() error {
			found, err := q.Handle.Exports(ctx, f, ledger.Page{Limit: 5})
			*into = found.Rows
			return err
		})
	}
	if d.OneTenant {
		some(&d.Running, ledger.ExportFilter{States: active()})
		some(&d.Broken, ledger.ExportFilter{States: []string{string(schemas.Failed), string(schemas.Refused)}, From: schemas.TimeOf(c.Now().AddDate(0, 0, -7))})
	}
	err := g.Wait()
	if err != nil {
		return err
	}
	d.Chart, d.States = hoursChart(d.Hours, d.AsOf, q.zone), byState(d.Overview.Exports)
	d.StateChart = statesChart(d.States)
	for _, h := range d.Hours {
		d.Peak = max(d.Peak, h.Interactions)
	}
	for _, behind := range d.Lag {
		d.Behind += behind
	}
	d.Completed, d.Failed = d.Overview.Exports[string(schemas.Completed)], d.Overview.Exports[string(schemas.Failed)]
	if q.who.May(auth.Manage) {
		if d.FailingChecks, d.Checks, err = q.Failing(); err != nil {
			return err
		}
		d.MayHealth = q.who.Tenant == schemas.AllTenants
	}
	if d.OneTenant {
		if err := c.jobsAt(q, &d); err != nil {
			return err
		}
	}
	return c.show(q, "overview", view{Title: "Overview", At: "/", Live: "5s", Data: d})
}

// dueRun is when a job runs next.
type dueRun struct {
	schemas.Job
	At schemas.Time
}

// mostPlanned bounds the jobs of which the overview tells the next run.
const mostPlanned = 200

// jobsAt adds what runs next.
func (c *Console) jobsAt(q *request, d *overviewData) error {
	jobs, err := q.Jobs(q.r.Context())
	if err != nil {
		return err
	}
	d.Titles = map[string]string{}
	for _, j := range jobs {
		d.Titles[j.JobID] = j.Title
		if j.State != schemas.JobActive || len(jobs) > mostPlanned {
			continue
		}
		if next, err := q.NextRuns(q.r.Context(), j.JobID, 1); err == nil && len(next) > 0 {
			d.Soon = append(d.Soon, dueRun{j, next[0]})
		}
	}
	slices.SortFunc(d.Soon, func(a, b dueRun) int { return a.At.Compare(b.At) })
	d.Soon = d.Soon[:min(len(d.Soon), 5)]
	return nil
}

// active are the states of exports that go on by themselves.
func active() []string {
	var all []string
	for _, s := range schemas.States() {
		if !s.Ended() {
			all = append(all, string(s))
		}
	}
	return all
}

// hoursChart draws interactions by hour as bars over an axis. Its numbers stand in the title
// of each bar and in the table beside it. Sizes across are in percent, so text keeps its size
// at any width.
func hoursChart(hours []warehouse.HourCount, now schemas.Time, zone *time.Location) template.HTML {
	const height, bars, left = 160, 24, 6.0 // left is the percent that the axis takes
	counts, most := make([]int64, bars), int64(4)
	first := now.Truncate(time.Hour).Add(-(bars - 1) * time.Hour)
	for _, h := range hours {
		if n := int(h.Hour.Sub(first) / time.Hour); n >= 0 && n < bars {
			counts[n] = h.Interactions
			most = max(most, h.Interactions)
		}
	}
	top := nice(most)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="chart hours" role="img" aria-label="Interactions per hour in the last 24 hours, at most %d">`, most)
	for n := range int64(5) {
		y := height - n*height/4 + 10
		fmt.Fprintf(&b, `<line x1="%.1f%%" x2="100%%" y1="%d" y2="%d"/><text x="%.1f%%" y="%d" text-anchor="end">%s</text>`, left, y, y, left-0.7, y+4, humanize.SIWithDigits(float64(top*n/4), 1, ""))
	}
	wide := (100 - left) / bars
	for n, count := range counts {
		at := first.Add(time.Duration(n) * time.Hour).In(zone)
		x, h := left+float64(n)*wide, count*height/top
		if count > 0 {
			h = max(h, 2)
		}
		fmt.Fprintf(&b, `<g><title>%s: %d</title><rect class="back" x="%.2f%%" y="10" width="%.2f%%" height="%d"/><rect class="bar" x="%.2f%%" y="%d" width="%.2f%%" height="%d" rx="2"/></g>`,
			at.Format("15:04"), count, x, wide, height, x+wide/6, height-h+10, wide*2/3, h)
		if n%6 == 0 {
			fmt.Fprintf(&b, `<text x="%.2f%%" y="%d">%s</text>`, x+wide/6, height+26, at.Format("15:04"))
		}
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // made of numbers and times only
}

// nice is a round number at or above n that four divide: where an axis ends.
func nice(n int64) int64 {
	for unit := int64(4); ; unit *= 10 {
		for _, step := range []int64{1, 2, 3, 5} {
			if unit*step >= n {
				return unit * step
			}
		}
	}
}

// stateCount is how many exports are in a state.
type stateCount struct {
	State string
	Count int64
}

// byState are the states there are exports in, in their order.
func byState(counts map[string]int64) []stateCount {
	var all []stateCount
	for _, s := range schemas.States() {
		if n := counts[string(s)]; n > 0 {
			all = append(all, stateCount{string(s), n})
		}
	}
	return all
}

// statesChart draws exports by state as one bar.
func statesChart(states []stateCount) template.HTML {
	const width = 720
	var total int64
	for _, s := range states {
		total += s.Count
	}
	if total == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="chart" viewBox="0 0 %d 18" role="img" aria-label="Exports by state">`, width)
	x := 0.0
	for _, s := range states {
		w := float64(s.Count) / float64(total) * width
		fmt.Fprintf(&b, `<rect class="s-%s" x="%.1f" y="0" width="%.1f" height="18"><title>%s: %d</title></rect>`, template.HTMLEscapeString(s.State), x, w, template.HTMLEscapeString(s.State), s.Count)
		x += w
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // states are escaped, the rest is numbers
}
