package main

import (
	"context"
	"fmt"

	"cdds/schemas"
	"cdds/schemas/sample"
)

// persons is how many persons an access request is about.
const persons = 3

// few measures exports of little out of much: of nothing that changed, of what changed in some
// rows, and of a few persons.
func few(ctx context.Context, r *run) error {
	r.contacts = max(r.rows/each, persons*samples)
	defer func() { r.contacts = 0 }()
	if err := r.fill(ctx, r.rows); err != nil {
		return err
	}
	for _, name := range []string{"ingest", "export"} {
		p, err := r.system.role(ctx, name)
		if err != nil {
			return err
		}
		defer p.stop()
	}
	x, err := r.newExports(ctx)
	if err != nil {
		return err
	}

	var subject []float64
	for n := range samples {
		request := x.request(rangeFrom, rangeTo)
		for i := range persons {
			request.Contacts = append(request.Contacts, contact(n*persons+i))
		}
		request.Reason = "bench"
		seconds, done, err := x.once(ctx, request)
		if err != nil {
			return err
		}
		if done.Totals.Rows < persons {
			return fmt.Errorf("the export of %d persons has %d rows", persons, done.Totals.Rows)
		}
		subject = append(subject, seconds*1e3)
	}

	last := x.request(rangeFrom, rangeTo)
	if _, _, err := x.once(ctx, last); err != nil {
		return err
	}
	var unchanged, changed []float64
	changes := max(r.rows/1_000, 1)
	for n := range r.runs {
		for _, rows := range []int{0, changes} {
			if err := r.change(ctx, rows, fmt.Sprint("changed-", n)); err != nil {
				return err
			}
			request := x.request(rangeFrom, rangeTo)
			request.SinceExport = last.ExportID
			seconds, done, err := x.once(ctx, request)
			if err != nil {
				return err
			}
			if done.Totals.Rows != int64(rows) {
				return fmt.Errorf("of %d rows that changed the export has %d", rows, done.Totals.Rows)
			}
			if last = request; rows == 0 {
				unchanged = append(unchanged, seconds*1e3)
			} else {
				changed = append(changed, seconds*1e3)
			}
		}
	}
	of := fmt.Sprintf(" of %s rows", count(r.rows))
	subjects := fmt.Sprintf("export of %d persons%s", persons, of)
	r.report.add(percentile(subjects, 0.5, subject), percentile(subjects, 0.99, subject, atMost(1000)),
		value("export of what changed since an earlier one, nothing"+of, "ms", unchanged, atMost(500)),
		value(fmt.Sprintf("export of what changed since an earlier one, %s%s", count(changes), of), "ms", changed))
	return nil
}

// change publishes later versions of the first n rows: the same ids and times, another queue.
func (r *run) change(ctx context.Context, n int, queue string) error {
	events := make([]schemas.Event, 0, n)
	for e := range sample.InteractionsBetween(1, r.rows, rangeFrom, rangeTo) {
		if len(events) == n {
			break
		}
		r.adapt(e, len(events))
		e.Queue = queue
		events = append(events, e)
	}
	return r.system.publisher.Publish(ctx, events...)
}
