package pictures_test

import (
	"strings"
	"testing"
	"time"

	"cdds/ops/dashboards"
	"cdds/ops/proof/pictures"
)

func TestValuesAreWrittenInTheirUnit(t *testing.T) {
	for _, c := range []struct {
		unit  string
		value float64
		want  string
	}{
		{"s", 0.000002, "2 µs"}, {"s", 0.0042, "4.2 ms"}, {"s", 0, "0 s"}, {"s", 90, "90 s"}, {"s", 5400, "90 min"}, {"s", 30 * 86400, "30 days"},
		{"bytes", 1536, "1.5 KiB"}, {"Bps", 3 << 20, "3 MiB/s"}, {"ops", 12500, "12.5 K/s"}, {"percentunit", 0.125, "12.5%"},
		{"none", 7, "7"}, {"none", 2000, "2 K"},
	} {
		if got := pictures.Format(c.unit, c.value); got != c.want {
			t.Errorf("%v %s is written %q, want %q", c.value, c.unit, got, c.want)
		}
	}
}

func TestAPageShowsLinesNumbersAndWhatIsMissing(t *testing.T) {
	all, err := dashboards.Read()
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, d := range all {
		series := make([][]pictures.Series, len(d.Panels))
		for i := range series {
			if i == 0 {
				continue
			}
			for _, name := range []string{"one", "<two>"} {
				series[i] = append(series[i], pictures.Series{Name: name, Points: []pictures.Point{{at, 0}, {at.Add(time.Second), 0}, {at.Add(2 * time.Second), float64(i)}}})
			}
		}
		var b strings.Builder
		if err := pictures.Page(&b, d, pictures.Span{From: at, To: at.Add(time.Minute)}, "", series); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(b.String(), "No data"); got != 1 {
			t.Errorf("%s: %d panels say that they have no data", d.File, got)
		}
		if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") || strings.Contains(b.String(), "<two>") || strings.Contains(b.String(), "ZgotmplZ") {
			t.Errorf("%s: what cannot be drawn is drawn", d.File)
		}
		for _, p := range d.Panels {
			if p.Type != "stat" && p.Type != "timeseries" {
				t.Errorf("%s: %s is a %s, which nothing draws here", d.File, p.Title, p.Type)
			}
		}
	}
}
