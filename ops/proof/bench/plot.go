package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"strings"
)

// plot draws time per row and peak memory against rows, as SVG that reads on light
// and dark pages.
func plot(points []point) string {
	const width, height, left, top, bottom = 640.0, 320.0, 60.0, 40.0, 50.0
	maxMicros, maxMiB := 0.0, 0.0
	for _, p := range points {
		maxMicros, maxMiB = max(maxMicros, median(p.Micros)), max(maxMiB, p.Worker, p.Ingest)
	}
	first, last := math.Log10(float64(points[0].Rows)), math.Log10(float64(points[len(points)-1].Rows))
	x := func(rows int) float64 { return left + (math.Log10(float64(rows))-first)/(last-first)*(width-2*left) }
	y := func(v, most float64) float64 { return height - bottom - v/most*(height-top-bottom) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12" role="img" aria-label="time per row and peak memory against rows">
<style>text{fill:#24292f}.axis{stroke:#57606a}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.axis{stroke:#8b949e}}</style>
<path class="axis" fill="none" d="M%g %gV%gH%gV%g"/>
`, width, height, left, top, height-bottom, width-left, top)
	for _, p := range points {
		fmt.Fprintf(&b, `<text x="%.0f" y="%.0f" text-anchor="middle">%s</text>`+"\n", x(p.Rows), height-bottom+18, count(p.Rows))
	}
	fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="middle">rows exported</text>`+"\n", width/2, height-12)
	fmt.Fprintf(&b, `<text x="8" y="%g">us per row, 0 to %s</text><text x="%g" y="%g" text-anchor="end">MiB, 0 to %s</text>`+"\n", top-20, round(maxMicros*1.1), width-8, top-20, round(maxMiB*1.1))
	for n, line := range []struct {
		name, colour string
		value        func(point) float64
		most         float64
	}{
		{"us per row", "#0969da", func(p point) float64 { return median(p.Micros) }, maxMicros * 1.1},
		{"worker, MiB", "#bf3989", func(p point) float64 { return p.Worker }, maxMiB * 1.1},
		{"ingest, MiB", "#1a7f37", func(p point) float64 { return p.Ingest }, maxMiB * 1.1},
	} {
		var path []string
		for _, p := range points {
			path = append(path, fmt.Sprintf("%.1f,%.1f", x(p.Rows), y(line.value(p), line.most)))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`, x(p.Rows), y(line.value(p), line.most), line.colour)
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/><text x="%g" y="%g" style="fill:%s">%s</text>`+"\n",
			line.colour, strings.Join(path, " "), left+12+float64(n)*110, top-2, line.colour, line.name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func parseCertificate(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}
