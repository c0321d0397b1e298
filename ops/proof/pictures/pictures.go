// Package pictures draws Grafana dashboards as a web page, for looking at them where
// Grafana is not: panels where they stand, lines as SVG, for light and dark screens.
package pictures

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"cdds/ops/dashboards"
)

//go:embed page.html
var files embed.FS

var page = template.Must(template.ParseFS(files, "page.html"))

// Point is a value at an instant.
type Point struct {
	At    time.Time
	Value float64
}

// Series is one line, its points in order of time. Points without a value are not there.
type Series struct {
	Name   string
	Points []Point
}

// Span is what the time axis shows.
type Span struct{ From, To time.Time }

// Page writes the page of a dashboard; series are those of each of its panels, in the
// order of d.Panels. A panel without points says so. Its errors are w's.
func Page(w io.Writer, d dashboards.Dashboard, span Span, note string, series [][]Series) error {
	view := pageView{Title: d.Title, Description: d.Description, Note: note}
	for i, p := range d.Panels {
		view.Panels = append(view.Panels, look(p, span, series[i]))
	}
	return page.Execute(w, view)
}

type pageView struct {
	Title, Description, Note string
	Panels                   []panelView
}

type panelView struct {
	dashboards.Panel
	Column, Row template.CSS // of the grid
	Number      string       // of a stat
	Color       string       // of it: green, orange, red or nothing
	Chart       *chart
	Empty       bool
}

func look(p dashboards.Panel, span Span, series []Series) panelView {
	g := p.Grid
	v := panelView{Panel: p, Column: place(g.X, g.W), Row: place(g.Y, g.H)}
	last := math.NaN()
	for _, s := range series {
		if n := len(s.Points); n > 0 {
			last = s.Points[n-1].Value
		}
	}
	switch {
	case math.IsNaN(last):
		v.Empty = true
	case p.Type == "stat":
		v.Number = Format(p.Field.Defaults.Unit, last)
		for _, s := range p.Field.Defaults.Thresholds.Steps {
			if s.Value == nil || last >= *s.Value {
				v.Color = s.Color
			}
		}
	default:
		v.Chart = draw(p, span, series)
	}
	return v
}

// place is a line of the grid and how many it spans; numbers only, so safe as CSS.
func place(from, span int) template.CSS {
	return template.CSS(fmt.Sprintf("%d / span %d", from+1, span)) //nolint:gosec // two numbers
}

// chart is a drawing, in units of which a panel of width 24 has 1200.
type chart struct {
	Width, Height, Left, Right, Top, Bottom float64
	Ticks, Times                            []tick
	Lines                                   []line
}

type tick struct {
	At   float64
	Text string
}

type line struct {
	Class      string // colour
	Path, Area string // of SVG
	Name, Last string
}

const colours = 8

func draw(p dashboards.Panel, span Span, series []Series) *chart {
	unit := p.Field.Defaults.Unit
	c := &chart{Width: float64(p.Grid.W) * 50, Height: 180, Left: 64, Top: 8, Bottom: 158}
	c.Right = c.Width - 10
	least, most := math.Inf(1), math.Inf(-1)
	for _, s := range series {
		for _, at := range s.Points {
			least, most = min(least, at.Value), max(most, at.Value)
		}
	}
	if p.Field.Defaults.Min != nil {
		least = min(least, *p.Field.Defaults.Min)
	}
	low, step := scale(least, most, unit)
	high := low + step
	for high < most {
		high += step
	}
	y := func(v float64) float64 { return c.Bottom - (v-low)/(high-low)*(c.Bottom-c.Top) }
	x := func(at time.Time) float64 {
		return c.Left + float64(at.Sub(span.From))/float64(span.To.Sub(span.From))*(c.Right-c.Left)
	}
	for v := low; v <= high+step/2; v += step {
		c.Ticks = append(c.Ticks, tick{y(v), Format(unit, v)})
	}
	for i := range 4 {
		at := span.From.Add(span.To.Sub(span.From) * time.Duration(2*i+1) / 8)
		c.Times = append(c.Times, tick{x(at), at.UTC().Format("15:04:05")})
	}
	slices.SortStableFunc(series, func(a, b Series) int { return strings.Compare(a.Name, b.Name) })
	n := 0
	for _, s := range series {
		if len(s.Points) == 0 {
			continue
		}
		var path strings.Builder
		for i, at := range s.Points {
			verb := "L"
			if i == 0 {
				verb = "M"
			}
			fmt.Fprintf(&path, "%s%.1f %.1f", verb, x(at.At), y(at.Value))
		}
		area := fmt.Sprintf("%sV%.1fH%.1fZ", path.String(), c.Bottom, x(s.Points[0].At))
		c.Lines = append(c.Lines, line{fmt.Sprintf("c%d", n%colours), path.String(), area, s.Name, Format(unit, s.Points[len(s.Points)-1].Value)})
		n++
	}
	return c
}

// scale returns where an axis begins and its step, a round number in the unit.
func scale(least, most float64, unit string) (low, step float64) {
	if most <= least { // a flat line
		most = least + max(math.Abs(least)*0.1, 1e-3)
		switch unit {
		case "none", "bytes", "Bps":
			most = least + 1
		case "percentunit":
			most = least + 0.1
		}
	}
	base := 1.0 // what round numbers are round in
	switch {
	case unit == "bytes" || unit == "Bps":
		for most-least >= 1024*base {
			base *= 1024
		}
	case unit == "s" && most >= 2*86400:
		base = 86400
	case unit == "s" && most >= 2*3600:
		base = 3600
	case unit == "s" && most >= 120:
		base = 60
	}
	rough := max(most-least, most/50) / base / 4 // ticks that differ in what is written
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	step = 10 * power
	for _, round := range []float64{1, 2, 5} {
		if round*power >= rough {
			step = round * power
			break
		}
	}
	step *= base
	if unit == "none" {
		step = max(1, step) // what is counted comes whole
	}
	return math.Floor(least/step) * step, step
}

// Format writes a value as Grafana does in this unit, short.
func Format(unit string, v float64) string {
	short := func(v float64) string {
		s := fmt.Sprintf("%.3g", v)
		if math.Abs(v) >= 1000 {
			s = fmt.Sprintf("%.0f", v)
		}
		return s
	}
	ladder := func(v, by float64, names ...string) string {
		i := 0
		for ; math.Abs(v) >= by && i < len(names)-1; i++ {
			v /= by
		}
		return strings.TrimSpace(short(v) + " " + names[i])
	}
	switch unit {
	case "bytes":
		return ladder(v, 1024, "B", "KiB", "MiB", "GiB", "TiB", "PiB")
	case "Bps":
		return ladder(v, 1024, "B/s", "KiB/s", "MiB/s", "GiB/s")
	case "ops":
		return ladder(v, 1000, "/s", "K/s", "M/s")
	case "percentunit":
		return short(v*100) + "%"
	case "s":
		switch a := math.Abs(v); {
		case a == 0:
			return "0 s"
		case a < 1e-3:
			return short(v*1e6) + " µs"
		case a < 1:
			return short(v*1000) + " ms"
		case a < 120:
			return short(v) + " s"
		case a < 2*3600:
			return short(v/60) + " min"
		case a < 2*86400:
			return short(v/3600) + " h"
		}
		return short(v/86400) + " days"
	}
	return ladder(v, 1000, "", "K", "M", "G")
}
