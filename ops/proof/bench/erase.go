package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cdds/pipeline/ledger"
	"cdds/schemas"
)

const (
	// subjects is how many contacts an erasure names, and each how many interactions have.
	subjects = 1_000
	each     = 10
)

// erase measures an erasure of 1,000 contacts, and one of a single contact, under a steady
// load of new interactions.
func erase(ctx context.Context, r *run) error {
	r.contacts = max(r.rows/each, (subjects+1)*r.runs)
	defer func() { r.contacts = 0 }()
	if err := r.fill(ctx, r.rows); err != nil {
		return err
	}
	for _, name := range []string{"ingest", "history", "erasure"} {
		p, err := r.system.role(ctx, name)
		if err != nil {
			return err
		}
		defer p.stop()
	}
	load, stop := context.WithCancel(ctx)
	var working sync.WaitGroup
	var failed error
	working.Go(func() { failed = r.load(load) })
	defer func() { stop(); working.Wait() }()

	var list, one []float64
	for n := range r.runs {
		first := n * (subjects + 1)
		contacts := make([]string, subjects)
		for i := range contacts {
			contacts[i] = contact(first + i)
		}
		seconds, err := r.erased(ctx, &schemas.ErasureRequest{ErasureID: fmt.Sprint("list-", n), Contacts: contacts})
		if err != nil {
			return err
		}
		list = append(list, seconds)
		if seconds, err = r.erased(ctx, &schemas.ErasureRequest{ErasureID: fmt.Sprint("one-", n), ContactID: contact(first + subjects)}); err != nil {
			return err
		}
		one = append(one, seconds)
	}
	stop()
	working.Wait()
	if failed != nil && !errors.Is(failed, context.Canceled) {
		return failed
	}
	of := fmt.Sprintf(" of %s rows at %s interactions/s", count(r.rows), count(pace))
	r.report.add(value(fmt.Sprintf("erasure of %s contacts%s", count(subjects), of), "s", list, atMost(120)), value("erasure of one contact"+of, "s", one))
	return nil
}

// contact is the id of contact n of those that interactions are spread over.
func contact(n int) string { return fmt.Sprintf("c-%08d", n) }

// erased publishes an erasure, and returns after how many seconds it was done.
func (r *run) erased(ctx context.Context, e *schemas.ErasureRequest) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	history := ledger.New(r.system.tables)
	begin := time.Now()
	e.TenantID = tenant
	if err := r.system.publisher.Publish(ctx, e); err != nil {
		return 0, err
	}
	for {
		now, _, err := history.Erasure(ctx, e.TenantID, e.ErasureID)
		if err != nil {
			return 0, err
		}
		if now.Ended() {
			seconds := time.Since(begin).Seconds()
			say("%s: %s, %d versions removed in %.1f s, of which %.1f s until they were found", e.ErasureID, now.State, now.Rows, seconds, now.FoundAt.Sub(begin).Seconds())
			if now.State != schemas.ErasureDone {
				return 0, errors.New(now.Reason)
			}
			return seconds, nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
