package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"cdds/schemas"
)

// checker holds the system against the laws once it is quiet.
type checker struct {
	system *system
	work   *workload
	report *report
	log    map[schemas.Topic][]record
	ended  []finished
	erased []schemas.Erasure
}

// finished is an export that was asked for and what history says of it.
type finished struct {
	*asked
	export schemas.Export
}

// Laws, as the report prints them.
const (
	lawKept      = "Kafka keeps what it acknowledged"
	lawStored    = "every record is stored once or dead-lettered once"
	lawContent   = "what is stored is what was produced"
	lawLetters   = "the dead-letter topic has every dead letter's bytes"
	lawEnds      = "every request ends as it must"
	lawSnapshot  = "a snapshot holds all that was acknowledged before the request"
	lawReceiver  = "the manifest is signed and covers the files"
	lawLines     = "every line as of the snapshot, in order, and no other"
	lawObjects   = "the store has what the manifest lists, and no orphans"
	lawHistory   = "history says what the manifest says"
	lawCancelled = "a cancelled export leaves no artifacts"
	lawDeleted   = "a deleted export leaves no artifacts"
	lawExpired   = "an expired export leaves no artifacts"
	lawSince     = "what continues an export has what came since, and no more"
	lawAttached  = "every attachment is there with its content"
	lawEqual     = "equal snapshots give equal digests"
	lawErased    = "what was erased is gone, and nothing else"
	lawAccount   = "the account of each partition has no gaps and no overlaps"
)

// awaitQuiet waits until ingest is done and every export has ended.
func (c *checker) awaitQuiet(ctx context.Context) {
	offsets := c.system.offsets
	for _, topic := range schemas.SourceTopics() {
		var behind int64
		var err error
		c.report.holds(lawStored, until(ctx, func() bool {
			var end, done schemas.Snapshot
			if end, err = offsets.EndOffsets(ctx, topic); err == nil {
				done, err = offsets.Ingested(ctx, topic)
			}
			behind = end.Behind(done)
			return err == nil && behind == 0
		}), "ingest of %s is still %d records behind after %s, last error %v", topic, behind, quietWithin, err)
	}
	for _, a := range c.work.asked {
		if e, ok := c.awaitEnd(ctx, a); ok {
			c.ended = append(c.ended, finished{a, e})
		}
	}
	c.awaitErasures(ctx)
}

// awaitEnd waits for the end of an export, and asks again for one that failed.
func (c *checker) awaitEnd(ctx context.Context, a *asked) (e schemas.Export, ok bool) {
	var err error
	ended := until(ctx, func() bool {
		// Not bounded by ctx: when time is up the report still says where it stands.
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		e, ok, err = c.system.ledger.WholeExport(asking, a.request.TenantID, a.request.ExportID)
		switch {
		case err != nil || !ok:
			return false
		case e.State == schemas.Failed && e.Failure != nil && e.Failure.Retryable:
			c.work.retry(a.request)
			hold(ctx, time.Second)
			return false
		case e.State == schemas.Completed: // and on its way to another end
			return !a.deleted && a.request.TenantID != fleeting
		}
		return e.State.Ended()
	})
	if !ended {
		told, _ := json.Marshal(e)
		c.report.holds(lawEnds, false, "%s of %s, cancelled %v, has not ended, last error %v: %.4000s\n%s",
			a.request.ExportID, a.request.TenantID, a.cancelled, err, told, c.system.logged(a.request.ExportID))
	}
	return e, ended
}

// until polls that until it holds; false if ctx ends first.
func until(ctx context.Context, that func() bool) bool {
	for !that() {
		if ctx.Err() != nil {
			return false
		}
		hold(ctx, 50*time.Millisecond)
	}
	return true
}

// check checks every law. Its error says that checking itself failed.
func (c *checker) check(ctx context.Context) error {
	c.log = map[schemas.Topic][]record{}
	for _, topic := range schemas.SourceTopics() {
		log, err := c.readLog(ctx, topic)
		if err != nil {
			return err
		}
		c.log[topic] = log
	}
	c.markErased()
	for topic, log := range c.log {
		c.report.fact("records of "+string(topic), int64(len(log)))
		c.checkKept(topic)
		if err := c.checkStored(ctx, topic); err != nil {
			return err
		}
		if err := c.checkAccount(ctx, topic); err != nil {
			return err
		}
	}
	c.repeat(ctx)
	for _, f := range c.ended {
		if err := c.checkExport(ctx, f); err != nil {
			return err
		}
	}
	c.checkEqual()
	return nil
}

func (c *checker) checkKept(topic schemas.Topic) {
	at := make(map[position]int, len(c.log[topic]))
	for i, r := range c.log[topic] {
		at[r.position] = i
	}
	for p, sum := range c.work.acked {
		if p.topic != topic {
			continue
		}
		i, ok := at[p]
		c.report.holds(lawKept, ok && sha256.Sum256(c.log[topic][i].value) == sum, "%v is not in the log as it was acknowledged", p)
	}
}

// repeat asks, undisturbed, for what is left where there were erasures, and again for the
// snapshots of some exports that were completed under faults.
func (c *checker) repeat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, quietWithin)
	defer cancel()
	again := c.askForgetful()
	for _, f := range c.ended {
		if f.export.State == schemas.Completed && f.export.Done.Rows > 0 && len(again) < 10 {
			r := *f.request
			r.ExportID, r.Snapshot = "again-"+r.ExportID, f.export.Snapshot
			a := &asked{request: &r, valid: true, acknowledged: f.acknowledged, base: f.base}
			c.work.publish(&r)
			again = append(again, a)
		}
	}
	for _, a := range again {
		if e, ok := c.awaitEnd(ctx, a); ok {
			c.ended = append(c.ended, finished{a, e})
		}
	}
}

// checkEqual compares the exports of equal requests as of equal snapshots.
func (c *checker) checkEqual() {
	first := map[string]finished{}
	for _, f := range c.ended {
		if f.export.State != schemas.Completed {
			continue
		}
		what := fmt.Sprint(f.request.Filter(), f.request.Split(), f.request.SinceExport, f.export.Snapshot)
		other, ok := first[what]
		if !ok {
			first[what] = f
			continue
		}
		c.report.holds(lawEqual, slices.Equal(digests(f.export), digests(other.export)),
			"%s and %s of %s differ", f.request.ExportID, other.request.ExportID, f.request.TenantID)
	}
}

func digests(e schemas.Export) (all []string) {
	for _, p := range e.Parts {
		all = append(all, fmt.Sprint(p.Number, p.First, p.Last, p.Rows, p.Bytes, p.JSONLSHA256, p.ZipSHA256))
	}
	return all
}
