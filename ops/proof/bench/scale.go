package main

import (
	"context"
	"fmt"
)

// scale measures exports of growing size, each with a fresh worker: time per row and
// peak memory must not grow with the size. It also measures 1, 2 and 4 parts at once.
func scale(ctx context.Context, r *run) error {
	ingester, err := r.system.role(ctx, "ingest")
	if err != nil {
		return err
	}
	defer ingester.stop()
	var x *exports
	total := 0
	for i, n := range r.sizes {
		// Each size has a time of its own; the rows of the others are there as well.
		from, to := rangeFrom.AddDate(0, 2*i, 0), rangeTo.AddDate(0, 2*i, 0)
		if err := r.produceBetween(ctx, uint64(10+i), n, from, to); err != nil {
			return err
		}
		total += n
		if err := r.stored(ctx, "interactions", total); err != nil {
			return err
		}
		if err := r.system.exec(ctx, "OPTIMIZE TABLE interactions FINAL"); err != nil {
			return err
		}
		p := point{Rows: n, Ingest: ingester.peak()}
		worker, err := r.system.role(ctx, "export")
		if err != nil {
			return err
		}
		if x == nil {
			if x, err = r.newExports(ctx); err != nil {
				return err
			}
		}
		for range r.repeats(n) {
			before := worker.cpu()
			seconds, c, err := x.once(ctx, x.request(from, to))
			if err != nil {
				return err
			}
			if c.Totals.Rows != int64(n) {
				return fmt.Errorf("the export has %d rows instead of %d", c.Totals.Rows, n)
			}
			p.Micros = append(p.Micros, seconds/float64(n)*1e6)
			p.CPU = append(p.CPU, (worker.cpu()-before)/float64(n)*1e6)
		}
		p.Worker = worker.peak()
		worker.stop()
		say("%s rows: %.1f us a row, worker %.0f MiB", count(n), median(p.Micros), p.Worker)
		r.report.Points = append(r.report.Points, p)
	}
	r.report.judgeScale()
	return r.slots(ctx, x)
}

// minutes is how many rows take minutes to export.
const minutes = 2_000_000

// repeats is how often an export of n rows is measured: one that takes minutes has its
// spread within it.
func (r *run) repeats(n int) int {
	if n > minutes {
		return 1
	}
	return r.runs
}

// slots measures the largest size that does not take minutes with 1, 2 and 4 parts at
// once.
func (r *run) slots(ctx context.Context, x *exports) error {
	last := len(r.sizes) - 1
	for last > 0 && r.sizes[last] > minutes {
		last--
	}
	n := r.sizes[last]
	from, to := rangeFrom.AddDate(0, 2*last, 0), rangeTo.AddDate(0, 2*last, 0)
	var base float64
	for _, slots := range []int{1, 2, 4} {
		worker, err := r.start(ctx, "export", append(r.system.env, fmt.Sprintf("CDDS_EXPORT_SLOTS=%d", slots)), "--roles", "export")
		if err != nil {
			return err
		}
		var speeds []float64
		for range r.runs {
			seconds, _, err := x.once(ctx, x.request(from, to))
			if err != nil {
				return err
			}
			speeds = append(speeds, float64(n)/seconds)
		}
		worker.stop()
		if slots == 1 {
			base = median(speeds)
		}
		r.report.add(value(fmt.Sprintf("export %s rows, %d parts at once", count(n), slots), "rows/s", speeds).
			noted("%.2f times one part at a time", median(speeds)/base))
	}
	return nil
}
