package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"cdds/schemas"
)

// forgetful is the tenant that asks for erasures, and for no export until the faults are
// over: one at work on rows that are erased fails, as it should.
const forgetful = "umbrella"

// fleeting is the tenant whose artifacts expire while a run lasts.
const fleeting = "hooli"

// movedTo is an event of another tenant.
func movedTo(tenant string, e schemas.Event) schemas.Event {
	switch e := e.(type) {
	case *schemas.Interaction:
		moved := *e
		moved.TenantID = tenant
		return &moved
	case *schemas.Contact:
		moved := *e
		moved.TenantID = tenant
		return &moved
	}
	panic("neither interaction nor contact")
}

// mayForget remembers an interaction of the tenant as one that may be erased.
func (w *workload) mayForget(e schemas.Event) {
	i, ok := e.(*schemas.Interaction)
	if !ok || i.TenantID != forgetful {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.forgettable = append(w.forgettable, i); len(w.forgettable) > 500 {
		w.forgettable = w.forgettable[100:]
	}
}

// forgetInHand bounds the erasures that are not done yet: each rewrites parts of tables,
// which takes seconds on a machine that is busy with faults.
const forgetInHand = 6

// forget asks for erasures of interactions and of contacts, some twice.
func (w *workload) forget(ctx context.Context) {
	rnd := rand.New(rand.NewPCG(w.seed, 4))
	var asking sync.WaitGroup
	defer asking.Wait()
	room := make(chan struct{}, forgetInHand)
	for n := 0; ; n++ {
		which, contact, twice := rnd.Int(), rnd.IntN(3) == 0, rnd.IntN(5) == 0
		hold(ctx, time.Duration(500+rnd.IntN(3500))*time.Millisecond)
		if ctx.Err() != nil {
			return
		}
		w.mu.Lock()
		var of *schemas.Interaction
		if len(w.forgettable) > 0 {
			of = w.forgettable[which%len(w.forgettable)]
		}
		w.mu.Unlock()
		if of == nil {
			continue
		}
		r := &schemas.ErasureRequest{TenantID: forgetful, ErasureID: fmt.Sprintf("forget-%04d", n), InteractionID: of.InteractionID}
		if contact {
			r.ContactID, r.InteractionID = of.ContactID, ""
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		w.publish(r)
		if twice {
			w.publish(r)
		}
		w.erasures = append(w.erasures, r) // read once the workload is over
		asking.Go(func() {
			defer func() { <-room }()
			for done := false; !done && ctx.Err() == nil; hold(ctx, time.Second) {
				e, _, err := w.system.ledger.Erasure(ctx, r.TenantID, r.ErasureID)
				done = err == nil && e.Ended()
			}
		})
	}
}

// awaitErasures waits until every erasure has ended. One of what was erased before finds
// nothing.
func (c *checker) awaitErasures(ctx context.Context) {
	for _, r := range c.work.erasures {
		var e schemas.Erasure
		var err error
		done := until(ctx, func() bool {
			asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			e, _, err = c.system.ledger.Erasure(asking, r.TenantID, r.ErasureID)
			return err == nil && e.Ended()
		})
		c.report.holds(lawEnds, done, "erasure %s is %q (%s), last error %v", r.ErasureID, e.State, e.Waiting, err)
		if done {
			c.erased = append(c.erased, e)
		}
	}
	c.report.fact("erasures done", int64(len(c.erased)))
}

// markErased is the model of erasures: it marks the records below the snapshot of one
// that it is about.
func (c *checker) markErased() {
	interactions, contacts := c.log[schemas.TopicInteractions], c.log[schemas.TopicContacts]
	for _, e := range c.erased {
		about := map[string]bool{e.Request.InteractionID: true}
		each := func(log []record, below schemas.Snapshot, do func(*record)) {
			for i := range log {
				if r := &log[i]; r.tenant == e.Request.TenantID && r.offset < below[r.partition] {
					do(r)
				}
			}
		}
		if contact := e.Request.ContactID; contact != "" {
			each(contacts, e.Contacts, func(r *record) { r.erased = r.erased || r.id == contact })
			each(interactions, e.Interactions, func(r *record) {
				if r.contact == contact {
					about[r.id] = true
				}
			})
		}
		each(interactions, e.Interactions, func(r *record) { r.erased = r.erased || about[r.id] })
	}
}

// goesAgain waits until a record that was stored after its erasure, by an ingest that was
// paused meanwhile, is removed again.
func (c *checker) goesAgain(ctx context.Context, topic schemas.Topic, r record) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	c.report.fact("records stored after their erasure", 1)
	sql := fmt.Sprintf("SELECT count() FROM %s WHERE source_partition = %d AND source_offset = %d", tableOf(topic), r.partition, r.offset)
	return until(ctx, func() bool {
		var n uint64
		return c.system.conn.QueryRow(ctx, sql).Scan(&n) == nil && n == 0
	})
}

// askForgetful asks for everything the tenant has left.
func (c *checker) askForgetful() []*asked {
	var all []*asked
	for _, entity := range []string{schemas.EntityInteraction, schemas.EntityContact} {
		topic, _ := schemas.SourceOf(entity)
		r := &schemas.ExportRequest{
			TenantID: forgetful, ExportID: "what-is-left-of-" + entity + "s", Entity: entity,
			From: schemas.TimeOf(from.AddDate(-10, 0, 0)), To: schemas.TimeOf(to.AddDate(1, 0, 0)),
			SplitSize: c.work.splitSize(0), Recipients: []schemas.Recipient{{Certificate: c.work.pem}},
		}
		c.work.publish(r)
		all = append(all, &asked{request: r, valid: true, acknowledged: c.work.ends[topic]})
	}
	return all
}
