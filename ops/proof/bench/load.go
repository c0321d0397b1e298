package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"cdds/schemas"
	"cdds/schemas/sample"
)

// tenant is whose history is measured.
const tenant = "acme"

// rangeFrom and rangeTo hold every generated interaction.
var (
	rangeFrom = time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	rangeTo   = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
)

// readTexts returns the texts of the interactions in a file, nil without a file.
func readTexts(file string) ([]string, error) {
	if file == "" {
		return nil, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var texts []string
	lines := bufio.NewScanner(unzipped)
	lines.Buffer(nil, schemas.MaxEventBytes)
	for lines.Scan() {
		e, err := schemas.DecodeInteraction(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if e.Text != "" {
			texts = append(texts, strings.Clone(e.Text)) // the next line overwrites it
		}
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("%s has no texts", file)
	}
	return texts, lines.Err()
}

// produce publishes n interactions of the tenant that begin between rangeFrom and rangeTo.
func (r *run) produce(ctx context.Context, n int) error {
	return r.produceBetween(ctx, 1, n, rangeFrom, rangeTo)
}

func (r *run) produceBetween(ctx context.Context, seed uint64, n int, from, to time.Time) error {
	const batch = 5_000
	begin := time.Now()
	events := make([]schemas.Event, 0, batch)
	done := 0
	flush := func() error {
		err := r.system.publisher.Publish(ctx, events...)
		done += len(events)
		events = events[:0]
		return err
	}
	for e := range sample.InteractionsBetween(seed, n, from, to) {
		r.adapt(e, done+len(events))
		if events = append(events, e); len(events) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	say("produced %d interactions in %.1f s", done, time.Since(begin).Seconds())
	return nil
}

// adapt makes a generated interaction, which is number n, one of this run.
func (r *run) adapt(e *schemas.Interaction, n int) {
	e.TenantID = tenant
	if r.texts != nil {
		e.Text = r.texts[n%len(r.texts)]
	}
	if r.contacts > 0 {
		e.ContactID = contact(n % r.contacts)
	}
}

// meanBytes is the mean size of an interaction's JSON in this run.
func (r *run) meanBytes() (int, error) {
	n, bytes := max(10_000, len(r.texts)), 0
	i := 0
	for e := range sample.InteractionsBetween(1, n, rangeFrom, rangeTo) {
		r.adapt(e, i)
		body, err := schemas.Encode(e)
		if err != nil {
			return 0, err
		}
		i, bytes = i+1, bytes+len(body)
	}
	return bytes / n, nil
}

// stored waits until table holds n rows.
func (r *run) stored(ctx context.Context, table string, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	for {
		got, err := r.system.number(ctx, "SELECT count() FROM "+table)
		if err != nil {
			return err
		}
		if int(got) >= n {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), fmt.Errorf("%d of %d rows are in %s", got, n, table))
		}
	}
}

// fill produces n interactions and has them ingested, unmeasured.
func (r *run) fill(ctx context.Context, n int) error {
	ingester, err := r.system.role(ctx, "ingest")
	if err != nil {
		return err
	}
	defer ingester.stop()
	if err := r.produce(ctx, n); err != nil {
		return err
	}
	if err := r.stored(ctx, "interactions", n); err != nil {
		return err
	}
	// Merges that ingestion left behind would run beside what is measured first.
	return r.system.exec(ctx, "OPTIMIZE TABLE interactions FINAL")
}
