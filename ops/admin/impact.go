package admin

import (
	"context"
	"errors"

	"cdds/ops/auth"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Impact is what an erasure would remove if it was requested now.
type Impact struct {
	// Versions is how many versions of rows it would remove; 0 if nothing is stored of its
	// subject.
	Versions int64
	// Exports are those whose artifacts hold some of them, or are to.
	Exports []schemas.AffectedExport
	// Hold keeps some of them: the erasure would wait for its release. nil if no hold does.
	Hold *schemas.Hold
	// Similar are ids that differ by letter case or blanks only from the first subject's, if
	// nothing is stored.
	Similar []string
	// Behind is how many published records of all tenants are not stored yet: an erasure waits
	// for them, and may find some.
	Behind int64
}

// Impact finds what an erasure would remove, and requests nothing. It needs the permission to
// request the erasure, and is audited like that.
func (h *Handle) Impact(ctx context.Context, r schemas.ErasureRequest) (of Impact, err error) {
	if err := h.changes(ctx, auth.Privacy, "erasure.preview", subjectOf(r.ErasureID)); err != nil {
		return of, err
	}
	r.TenantID = h.tenant
	if err := r.Validate(); err != nil {
		return of, h.refuse(ctx, "erasure.preview", subjectOf(r.ErasureID), err)
	}
	e := schemas.Erasure{Request: r, State: schemas.ErasureRequested}
	for topic, stored := range map[schemas.Topic]*schemas.Snapshot{schemas.TopicInteractions: &e.Interactions, schemas.TopicContacts: &e.Contacts} {
		end, err := h.Positions.EndOffsets(ctx, topic)
		if err != nil {
			return of, err
		}
		if *stored, err = h.Positions.Ingested(ctx, topic); err != nil {
			return of, err
		}
		of.Behind += end.Behind(*stored)
	}
	found, err := h.Rows.Impact(ctx, e)
	if err != nil {
		return of, err
	}
	if of.Versions = found.Versions; of.Versions == 0 {
		var similar map[schemas.Subject][]string
		subjects := r.Subjects()[:1]
		similar, err = h.Rows.Similar(ctx, h.tenant, subjects)
		of.Similar = similar[subjects[0]]
	} else if of.Exports, err = h.holding(ctx, found); err == nil {
		of.Hold, err = h.keeps(ctx, r, found, of.Exports)
	}
	return of, errors.Join(err, h.change(ctx, "erasure.preview", subjectOf(r.ErasureID), ""))
}

// holding are the exports of the tenant that hold what was found.
func (h *Handle) holding(ctx context.Context, found warehouse.Impact) (all []schemas.AffectedExport, err error) {
	err = h.History.ExportsHoldingRows(ctx, h.tenant, func(x schemas.Export) error {
		if held, is := found.Affects(x); is {
			all = append(all, held)
		}
		return nil
	})
	return all, err
}

// keeps returns the first hold that an erasure would wait for, or nil.
func (h *Handle) keeps(ctx context.Context, r schemas.ErasureRequest, found warehouse.Impact, exports []schemas.AffectedExport) (*schemas.Hold, error) {
	holds, err := h.Definitions.Held(ctx, h.tenant)
	if err != nil {
		return nil, err
	}
	hold, held := found.Held(holds)
	if r.DeleteArtifacts {
		for n := 0; n < len(exports) && !held; n++ {
			hold, held = holds.OfExport(exports[n].ExportID)
		}
	}
	if !held {
		return nil, nil //nolint:nilnil // no hold keeps it
	}
	return &hold, nil
}
