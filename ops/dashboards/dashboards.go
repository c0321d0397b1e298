// Package dashboards holds Prometheus rules with their tests and Grafana dashboards, the
// tests that hold both to the metrics there are (ops/docs/metrics.md), and what is needed
// to look at a dashboard without Grafana.
package dashboards

import (
	"cmp"
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"cdds/schemas"
)

//go:embed grafana/dashboards/*.json
var files embed.FS

//go:embed rules/*.yml
var ruleFiles embed.FS

// Rules are Prometheus' rules by name of file.
func Rules() (map[string]string, error) {
	entries, err := ruleFiles.ReadDir("rules")
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, e := range entries {
		content, err := ruleFiles.ReadFile(path.Join("rules", e.Name()))
		if err != nil {
			return nil, err
		}
		all[e.Name()] = string(content)
	}
	return all, nil
}

// Dashboard is what this package needs of a Grafana dashboard.
type Dashboard struct {
	// File is its name without .json.
	File        string `json:"-"`
	Title       string `json:"title"`
	Description string `json:"description"`
	// Panels from top left, row by row.
	Panels []Panel `json:"panels"`
}

// Panel is one graph (type "timeseries") or number ("stat").
type Panel struct {
	Type        string  `json:"type"`
	Title       string  `json:"title"`
	Description string  `json:"description"`
	Queries     []Query `json:"targets"`
	// Grid is where it stands and how large it is, on a grid 24 wide.
	Grid  Grid `json:"gridPos"`
	Field struct {
		Defaults Field `json:"defaults"`
	} `json:"fieldConfig"`
}

// Grid is a rectangle in Grafana's units.
type Grid struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

// Query is a PromQL expression and the name of its series, in which {{label}} stands
// for the value of a label.
type Query struct {
	Expr   string `json:"expr"`
	Legend string `json:"legendFormat"`
}

// Field says how values are shown.
type Field struct {
	// Unit in Grafana's words, such as s, bytes, Bps, ops, percentunit, none.
	Unit string `json:"unit"`
	// Min is where the axis begins; nil: at the least value.
	Min        *float64 `json:"min"`
	Thresholds struct {
		Steps []Step `json:"steps"`
	} `json:"thresholds"`
}

// Step is the colour of values from Value on; the first has none.
type Step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

// Read returns the dashboards by name of file.
func Read() ([]Dashboard, error) {
	entries, err := files.ReadDir("grafana/dashboards")
	if err != nil {
		return nil, err
	}
	all := make([]Dashboard, 0, len(entries))
	for _, e := range entries {
		content, err := files.ReadFile(path.Join("grafana/dashboards", e.Name()))
		if err != nil {
			return nil, err
		}
		var d Dashboard
		if err := schemas.Read(content, &d); err != nil {
			return nil, fmt.Errorf("dashboard %s: %w", e.Name(), err)
		}
		d.File = strings.TrimSuffix(e.Name(), ".json") // Read starts from nothing
		slices.SortStableFunc(d.Panels, func(a, b Panel) int {
			return cmp.Or(cmp.Compare(a.Grid.Y, b.Grid.Y), cmp.Compare(a.Grid.X, b.Grid.X))
		})
		all = append(all, d)
	}
	return all, nil
}
