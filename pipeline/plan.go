package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"

	"cdds/pipeline/bucket"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// chunkRows is how many rows the finest piece of a plan has: few enough that even
// if each were the largest one a chunk would not exceed a part, many enough that
// there are not needlessly many chunks.
func chunkRows(split, largest int64) int64 {
	if largest <= 0 {
		return 1
	}
	return min(max(split/largest, 1), 4096)
}

// packer joins consecutive chunks into parts of at most split bytes that workers have the memory
// for; a chunk over that is a part of its own. It keeps parts, not chunks: of a line as large as a part there is a chunk
// for each few rows. Equal chunks give equal parts.
type packer struct {
	split int64
	// holds reports whether workers have the memory for a part; nil: they have for any.
	holds func(rows, bytes int64) bool
	plan  schemas.Plan
	// versions is that of all parts.
	versions uint64
	// attached are the rows with attachments, which first and last bound.
	attached    withFiles
	first, last schemas.RowKey
	// full says that there are more parts than a plan may have; it has not all of them.
	full bool
}

func (p *packer) add(c warehouse.Chunk) {
	last := len(p.plan.Parts) - 1
	if last < 0 || !p.takes(p.plan.Parts[last].Rows+c.Rows, p.plan.Parts[last].Bytes+c.Bytes) {
		if p.full = p.full || len(p.plan.Parts) == schemas.MaxParts; p.full {
			return
		}
		p.plan.Parts = append(p.plan.Parts, schemas.PlannedPart{Part: schemas.Part{Number: last + 2, First: c.First}})
		last++
	}
	part := &p.plan.Parts[last]
	part.Last = c.Last
	part.Rows += c.Rows
	part.Bytes += c.Bytes
	part.Versions += c.Versions
	p.versions += c.Versions
	p.plan.Rows += c.Rows
	p.plan.Bytes += c.Bytes
	if c.Attached == 0 {
		return
	}
	if p.attached.rows == 0 {
		p.first = c.First
	}
	p.attached.rows += c.Attached
	p.attached.versions += c.AttachedVersions
	p.last = c.Last
}

// takes reports whether a part of several chunks may have so many rows and bytes.
func (p *packer) takes(rows, bytes int64) bool {
	return bytes <= p.split && (p.holds == nil || p.holds(rows, bytes))
}

// Plan returns the export's division into parts: the one that is stored, or else a
// new one, which it stores. Whatever is not in the plan is not in the export, so it is
// stored only if what was counted apart says the same: an answer of ClickHouse that was
// cut short is an error, and trying again mends it. Between the two counts Plan asks whether
// any record is missing. So the plan has all there is, whatever ClickHouse lost and had
// again meanwhile: a plan is kept for good, also for the next attempt.
func (e *Exporter) Plan(ctx context.Context, x Export) (schemas.Plan, error) {
	plan, found, err := e.Planned(ctx, x.Filter.TenantID, x.ID)
	if err != nil || found {
		return plan, err
	}
	if plan, err = e.divide(ctx, x); err == nil {
		err = e.fits(x, plan)
	}
	if err != nil {
		return schemas.Plan{}, err
	}
	key := schemas.ExportPrefix(x.Filter.TenantID, x.ID) + planName
	_, _, err = putMade(ctx, e.store, key, func(w io.Writer) error { return schemas.WritePlan(w, plan) })
	if errors.Is(err, bucket.ErrExists) {
		plan, _, err = e.Planned(ctx, x.Filter.TenantID, x.ID)
	}
	return plan, err
}

// divide makes a plan.
func (e *Exporter) divide(ctx context.Context, x Export) (plan schemas.Plan, err error) {
	if x.HistoryFrom.IsZero() {
		if x.HistoryFrom, err = e.kept(ctx, x.Filter); err != nil {
			return plan, err
		}
	}
	extent, removed, err := e.counted(ctx, x)
	if err != nil {
		return plan, err
	}
	known := true
	if extent.Rows == 0 && x.Link.Previous == nil && x.Known != nil {
		if known, err = x.Known(ctx); err != nil {
			return plan, err
		}
	}
	if x.Whole != nil { // last: ClickHouse may lose what it was asked for meanwhile
		if err := x.Whole(ctx); err != nil {
			return plan, err
		}
	}
	if err := e.stillContinues(ctx, x); err != nil { // what was missing may have been written off
		return plan, err
	}
	if !known {
		// Asked again: ClickHouse may have been lost when it was asked, and be back.
		if known, err = x.Known(ctx); err != nil {
			return plan, err
		}
		if known {
			return plan, fmt.Errorf("ClickHouse did not know tenant %s, and does now", x.Filter.TenantID)
		}
		return plan, Permanent(ErrUnknownTenant)
	}
	x.Scattered = extent.Scattered
	packed := &packer{split: x.SplitSize, holds: func(rows, bytes int64) bool {
		return e.room(x, schemas.Part{Rows: rows, Bytes: bytes}) == nil
	}}
	finest := chunkRows(x.SplitSize, extent.Largest)
	for finest > 1 && !packed.holds(finest, finest*extent.Largest) {
		finest /= 2
	}
	err = e.source.Chunks(ctx, x.query(), finest, func(c warehouse.Chunk) error {
		if packed.add(c); packed.full { // no need to read the rest
			return tooManyParts(x, splitAdvice(extent.Bytes))
		}
		return nil
	})
	if err != nil {
		return plan, err
	}
	plan = packed.plan
	plan.Snapshot, plan.Scattered, plan.HistoryFrom = x.Snapshot, extent.Scattered, x.HistoryFrom
	if err := packed.agrees(extent); err != nil {
		return plan, err
	}
	if err := e.planRemoved(ctx, x, removed, &plan); err != nil {
		return plan, err
	}
	if !x.WithoutAttachments {
		if err := e.planAttachments(ctx, x, packed, &plan); err != nil {
			return plan, err
		}
	}
	if len(plan.Parts) > schemas.MaxParts {
		return plan, tooManyParts(x, "choose a shorter range, or leave the attachments out (attachments: none)")
	}
	return plan, nil
}

// ErrUnknownTenant says that there is nothing to export because nothing was ever stored for the
// tenant.
var ErrUnknownTenant = errors.New("nothing was ever stored for the tenant")

// tooManyParts says how many parts an export may have, and what to do.
func tooManyParts(x Export, advice string) error {
	return Permanent(fmt.Errorf("the export would have more than %s, of a split_size of %d: %s", schemas.Counted(schemas.MaxParts, "part"), x.SplitSize, advice))
}

// splitAdvice says which split size is enough for so many bytes. Two parts in a row have more
// than that together, so twice the mean is.
func splitAdvice(bytes int64) string {
	const step = 64 << 10
	if enough := (2*bytes/schemas.MaxParts/step + 1) * step; enough <= schemas.MaxSplitSize {
		return fmt.Sprintf("set split_size to %d, or choose a shorter range", enough)
	}
	return "choose a shorter range"
}

// room is a *TooLargeError if workers do not have the memory for a part, however much it grows.
func (e *Exporter) room(x Export, part schemas.Part) error {
	x.room = x.mostGrowth(part)
	return e.spools.Fits(x.memory(part))
}

// fits refuses a plan with a part that can need more memory than workers have: one of a single
// row, of attachments or of removals.
func (e *Exporter) fits(x Export, plan schemas.Plan) error {
	for _, part := range plan.Parts {
		if err := e.room(x, part.Part); err != nil {
			return fmt.Errorf("part %d of %s does not fit: %w; choose a smaller split_size, or raise export.memory", part.Number, schemas.Counted(part.Bytes, "byte"), err)
		}
	}
	return nil
}

// counted counts what the export selects, and what it removes.
func (e *Exporter) counted(ctx context.Context, x Export) (extent warehouse.Extent, removed int64, err error) {
	if extent, err = e.source.Extent(ctx, x.query()); errors.Is(err, warehouse.ErrUnstated) {
		err = Permanent(err)
	}
	if err == nil && x.Link.Previous != nil {
		removed, err = e.source.CountRemoved(ctx, x.query())
	}
	return extent, removed, err
}

// agrees is an error unless the plan has all that was counted.
func (p *packer) agrees(extent warehouse.Extent) error {
	planned := warehouse.Extent{Rows: p.plan.Rows, Bytes: p.plan.Bytes, Attached: p.attached.rows, Largest: extent.Largest, Scattered: extent.Scattered, Versions: p.versions}
	if planned != extent {
		return fmt.Errorf("the plan has %s with %s and %d with attachments, and counted were %d, %d and %d: versions %016x and %016x",
			schemas.Counted(planned.Rows, "row"), schemas.Counted(planned.Bytes, "byte"), planned.Attached, extent.Rows, extent.Bytes, extent.Attached, planned.Versions, extent.Versions)
	}
	return nil
}
