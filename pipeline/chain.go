package pipeline

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"cdds/pipeline/bucket"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Link is the stored decision what an export continues. Of a run of a chain (see
// schemas.Chain) it is made when the run begins, and names the place that the run will take
// when it completes. A run that finds its place taken then is superseded: what it holds
// differs from the wrong run.
type Link struct {
	// JobID and Number are of a run of a chain only.
	JobID  string `json:"job_id,omitempty"`
	Number int    `json:"number,omitempty"`
	// Previous is nil if the export holds all that is selected.
	Previous *Run `json:"previous,omitempty"`
	// StartsOver says why a run that has one before it does so all the same.
	StartsOver string `json:"starts_over,omitempty"`
	// The run carries the erasures from ErasedFrom up to ErasedTo; zero if there are none.
	ErasedFrom schemas.Time `json:"erased_from,omitzero"`
	// ErasedTo is the clock of ClickHouse.
	ErasedTo schemas.Time `json:"erased_to,omitzero"`
	// WriteOffs is how many write-offs there were. A run may hold records that were written off
	// later: its parts may be older than its manifest.
	WriteOffs int `json:"write_offs,omitempty"`
}

// Run is what an export selected that another one continues.
type Run struct {
	ExportID       string `json:"export_id"`
	ManifestSHA256 string `json:"manifest_sha256,omitempty"`
	// Filter is its filter, From being from when on rows were kept.
	Filter      schemas.Filter   `json:"filter"`
	Snapshot    schemas.Snapshot `json:"snapshot"`
	Attachments string           `json:"attachments,omitempty"`
	// FieldPolicy is the identity of what it hides.
	FieldPolicy string `json:"field_policy,omitempty"`
	// Names are the field names that its rows have next to ours.
	Names      string               `json:"names,omitempty"`
	WrittenOff []schemas.WrittenOff `json:"written_off,omitempty"`
	ErasedTo   schemas.Time         `json:"erased_to,omitzero"`
}

// erasedMargin is how far back a run repeats erasures: clocks differ, and a recorded erasure
// is seen a moment later.
const erasedMargin = time.Hour

// Before is what the previous run selected, nil if none exists.
func (l Link) Before() *warehouse.Before {
	if l.Previous == nil {
		return nil
	}
	b := &warehouse.Before{Filter: l.Previous.Filter, Snapshot: l.Previous.Snapshot}
	if !l.ErasedFrom.IsZero() {
		b.ErasedFrom, b.ErasedTo = l.ErasedFrom.Time, l.ErasedTo.Time
	}
	return b
}

// Continues is what it is in events, nil if none exists.
func (l Link) Continues() *schemas.Continued {
	if l.Previous == nil {
		return nil
	}
	return &schemas.Continued{ExportID: l.Previous.ExportID, Filter: l.Previous.Filter, Snapshot: l.Previous.Snapshot, ErasedFrom: l.ErasedFrom, ErasedTo: l.ErasedTo}
}

// chain is the manifest's chain, nil for an export outside any chain.
func (l Link) chain(x Export) *schemas.Chain {
	if l.JobID == "" {
		return nil
	}
	c := &schemas.Chain{JobID: l.JobID, Number: l.Number, FilterDigest: schemas.SelectionDigest(x.shownFilter(), x.appliedPolicy(), x.Names)}
	if l.Previous != nil {
		c.PreviousExportID, c.PreviousManifestSHA256 = l.Previous.ExportID, l.Previous.ManifestSHA256
	}
	return c
}

// SupersededError says that a run holds what differs from the wrong run: another one took its
// place in the chain, or nobody can say any more what the one before it selected.
type SupersededError struct {
	Number int
	By     string
	// Reason is set if nobody took the place.
	Reason string
}

func (e *SupersededError) Error() string {
	if e.Reason != "" {
		return e.Reason
	}
	return fmt.Sprintf("run %s took place %d of the chain first", e.By, e.Number)
}

// place is the stored decision which export is a run of a chain.
type place struct {
	ExportID string       `json:"export_id"`
	TakenAt  schemas.Time `json:"taken_at"`
}

func chainPrefix(tenantID, jobID string) string {
	return Reserved + "chains/" + tenantID + "/" + jobID + "/"
}

func placeKey(tenantID, jobID string, n int) string {
	return fmt.Sprintf("%s%08d.json", chainPrefix(tenantID, jobID), n)
}

// runKey is where a run is kept that is complete: its manifest goes, and the chain goes on.
func runKey(tenantID, jobID string, n int) string {
	return fmt.Sprintf("%s%08d-run.json", chainPrefix(tenantID, jobID), n)
}

// Follow decides what an accepted export continues, once. It is a *SupersededError for a run
// whose snapshot a completed one is past, and an error that will pass while the run before is
// being completed. forgotten reports whether records below an earlier snapshot may be lost without
// a trace: no removal would name these, so the export starts over.
func (e *Exporter) Follow(ctx context.Context, a Acceptance, forgotten func(ctx context.Context, earlier schemas.Snapshot) (bool, error)) (l Link, err error) {
	r := a.Request
	if !r.Chained && r.SinceExport == "" {
		return l, nil
	}
	_, err = once(ctx, e.store, schemas.ExportPrefix(r.TenantID, r.ExportID)+linkName, &l, func() (l Link, err error) {
		if r.Chained {
			l, err = e.nextLink(ctx, a)
		} else {
			l.Previous, l.StartsOver, err = e.continued(ctx, a)
		}
		if err == nil && l.Previous != nil {
			if lost, failed := forgotten(ctx, l.Previous.Snapshot); lost || failed != nil {
				l.StartsOver, err = fmt.Sprintf("nobody knows any more of all records that export %s may have", l.Previous.ExportID), failed
				l.Previous = nil
			}
		}
		if err != nil {
			return l, err
		}
		if r.Chained {
			if l.WriteOffs, err = e.writeOffs(ctx, r.Entity); err != nil {
				return l, err
			}
		}
		var from time.Time
		if l.Previous != nil {
			from = l.Previous.ErasedTo.Add(-erasedMargin)
		}
		until, erased, err := e.source.ErasedUntil(ctx, r.TenantID, r.Entity, from)
		if err != nil {
			return l, err
		}
		l.ErasedTo = schemas.TimeOf(until.Add(time.Millisecond)) // times have milliseconds: what was erased within this one counts
		if erased && l.Previous != nil {
			l.ErasedFrom = schemas.TimeOf(from)
		}
		return l, nil
	})
	return l, err
}

// nextLink is the place after the last run of the chain that a run belongs to.
func (e *Exporter) nextLink(ctx context.Context, a Acceptance) (l Link, err error) {
	r := a.Request
	last, err := e.lastPlace(ctx, r.TenantID, r.JobID)
	if err != nil {
		return l, err
	}
	l = Link{JobID: r.JobID, Number: last + 1}
	if last == 0 {
		return l, nil
	}
	previous, lost, err := e.chainRun(ctx, r.TenantID, r.JobID, last)
	if err != nil {
		return l, err
	}
	if lost != "" {
		l.StartsOver = lost
		return l, nil
	}
	if _, past := a.Snapshot.Past(previous.Snapshot); past {
		return l, Permanent(&SupersededError{Number: last, By: previous.ExportID})
	}
	if l.StartsOver, err = e.startsOver(ctx, a, *previous); l.StartsOver == "" {
		l.Previous = previous
	}
	return l, err
}

// lastPlace is the number of the last place of a chain that is taken, 0 if none is. It looks
// at some 2 log n of n places.
func (e *Exporter) lastPlace(ctx context.Context, tenantID, jobID string) (int, error) {
	taken := func(n int) (bool, error) { return e.exists(ctx, placeKey(tenantID, jobID, n)) }
	low, high := 0, 1
	for {
		is, err := taken(high)
		if err != nil {
			return 0, err
		}
		if !is {
			break
		}
		low, high = high, 2*high
	}
	for high-low > 1 {
		mid := (low + high) / 2
		is, err := taken(mid)
		if err != nil {
			return 0, err
		}
		if is {
			low = mid
		} else {
			high = mid
		}
	}
	return low, nil
}

// chainRun is the run at a place, or why it cannot be continued.
func (e *Exporter) chainRun(ctx context.Context, tenantID, jobID string, n int) (run *Run, lost string, err error) {
	run = new(Run)
	if found, err := e.read(ctx, runKey(tenantID, jobID, n), run); err != nil || found {
		return run, "", err
	}
	var at place
	if _, err := e.read(ctx, placeKey(tenantID, jobID, n), &at); err != nil {
		return nil, "", err
	}
	m, err := e.manifest(ctx, tenantID, at.ExportID, nil)
	if err == nil {
		var l Link
		if _, err := e.read(ctx, schemas.ExportPrefix(tenantID, at.ExportID)+linkName, &l); err != nil {
			return nil, "", err
		}
		all, err := WriteOffs{e.store}.All(ctx, m.Topic, nil)
		if err != nil {
			return nil, "", err
		}
		filter := m.Filter
		if m.FieldPolicy != nil { // which may hide values of the filter
			a, found, err := e.Accepted(ctx, tenantID, at.ExportID)
			if err != nil || !found || a.Request == nil {
				return nil, fmt.Sprintf("nothing is known any more of the filter of run %s", at.ExportID), err
			}
			filter = a.Request.Filter()
		}
		made := runOf(&m.Manifest, filter, hex.EncodeToString(m.sum[:]), l, all)
		return &made, "", nil
	}
	if !errors.Is(err, bucket.ErrNotFound) {
		return nil, "", err
	}
	state, err := e.Ended(ctx, tenantID, at.ExportID)
	if err != nil {
		return nil, "", err
	}
	if state == "" {
		last, _, err := e.Attempts(ctx, tenantID, at.ExportID, Origin{Partition: -1})
		if err != nil {
			return nil, "", err
		}
		failed, err := e.Failed(ctx, tenantID, at.ExportID, last)
		if err != nil {
			return nil, "", err
		}
		if failed == nil {
			return nil, "", fmt.Errorf("run %s, which comes before, is being completed", at.ExportID)
		}
		state = schemas.Failed
	}
	return nil, fmt.Sprintf("run %s, which took the place before, is %s", at.ExportID, state), nil
}

// runOf is what the manifest of an export, and its filter, say that the next one needs to know.
func runOf(m *schemas.Manifest, f schemas.Filter, sha256 string, l Link, writeOffs []schemas.WriteOff) Run {
	run := Run{
		ExportID: m.ExportID, ManifestSHA256: sha256, Filter: f, Snapshot: m.Snapshot, Attachments: m.Attachments, FieldPolicy: m.FieldPolicy.Identity(), Names: m.Names,
		WrittenOff: schemas.Touching(writeOffs[:min(l.WriteOffs, len(writeOffs))], nil, m.Snapshot), ErasedTo: l.ErasedTo,
	}
	if m.HistoryFrom != nil {
		run.Filter.From = *m.HistoryFrom
	}
	return run
}

// take takes the place of a run in its chain, or is a *SupersededError.
func (e *Exporter) take(ctx context.Context, x Export) error {
	if x.Link.JobID == "" {
		return nil
	}
	var at place
	_, err := once(ctx, e.store, placeKey(x.Filter.TenantID, x.Link.JobID, x.Link.Number), &at, func() (place, error) {
		return place{x.ID, schemas.TimeOf(e.now())}, nil
	})
	if err == nil && at.ExportID != x.ID {
		return Permanent(&SupersededError{Number: x.Link.Number, By: at.ExportID})
	}
	return err
}

// keepRun records the run of a chain that is complete.
func (e *Exporter) keepRun(ctx context.Context, x Export, m *schemas.Manifest, sha256 string, writeOffs []schemas.WriteOff) error {
	if m.Chain == nil {
		return nil
	}
	var kept Run
	_, err := once(ctx, e.store, runKey(m.TenantID, m.Chain.JobID, m.Chain.Number), &kept, func() (Run, error) {
		return runOf(m, x.Filter, sha256, x.Link, writeOffs), nil
	})
	return err
}
