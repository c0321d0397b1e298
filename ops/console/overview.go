package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"

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
}

func (c *Console) overview(q *request) error {
	o, err := q.Overview(q.r.Context())
	if err != nil {
		return err
	}
	d := overviewData{Overview: o, Chart: hoursChart(o.Hours, o.AsOf), States: byState(o.Exports)}
	d.StateChart = statesChart(d.States)
	for _, h := range o.Hours {
		d.Peak = max(d.Peak, h.Interactions)
	}
	for _, behind := range o.Lag {
		d.Behind += behind
	}
	d.Completed, d.Failed = o.Exports[string(schemas.Completed)], o.Exports[string(schemas.Failed)]
	if q.who.May(auth.Read) && q.Tenant() != schemas.AllTenants {
		running, err := q.Handle.Exports(q.r.Context(), ledger.ExportFilter{States: active()}, ledger.Page{Limit: 5})
		if err != nil {
			return err
		}
		d.Running = running.Rows
	}
	return c.show(q, "overview", view{Title: "Overview", At: "/", Live: "5s", Data: d})
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

// hoursChart draws interactions by hour as bars. Its numbers stand in the title of
// each bar and in the table beside it.
func hoursChart(hours []warehouse.HourCount, now schemas.Time) template.HTML {
	const width, height, bars = 720, 120, 24
	counts, most := make([]int64, bars), int64(1)
	first := now.Truncate(time.Hour).Add(-(bars - 1) * time.Hour)
	for _, h := range hours {
		if n := int(h.Hour.Sub(first) / time.Hour); n >= 0 && n < bars {
			counts[n] = h.Interactions
			most = max(most, h.Interactions)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="chart" viewBox="0 0 %d %d" role="img" aria-label="Interactions per hour in the last 24 hours, at most %d">`, width, height+22, most)
	for n, count := range counts {
		at := first.Add(time.Duration(n) * time.Hour)
		x, h := n*width/bars, int(count*height/most)
		if count > 0 {
			h = max(h, 2)
		}
		fmt.Fprintf(&b, `<g><title>%s UTC: %d</title><rect class="back" x="%d" y="0" width="%d" height="%d"/><rect class="bar" x="%d" y="%d" width="%d" height="%d" rx="2"/></g>`,
			at.Format("15:04"), count, x, width/bars, height, x+3, height-h, width/bars-6, h)
		if n%6 == 0 {
			fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`, x+3, height+16, at.Format("15:04"))
		}
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // made of numbers and times only
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
