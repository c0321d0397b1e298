package erasure

import (
	"context"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// holding returns the exports that hold what was found, once history knows every export
// there is: also after it is removed, and in one question however many exports there are.
func (h *Handler) holding(ctx context.Context, e schemas.Erasure, found warehouse.Impact) ([]schemas.AffectedExport, error) {
	end, err := h.Log.EndOffsets(ctx, schemas.TopicExportStatus)
	if err != nil {
		return nil, err
	}
	behind := h.showing(e.Request.TenantID, log{schemas.GroupHistory, schemas.TopicExportStatus, end})
	for {
		if err := h.await(ctx, e, "history", behind); err != nil {
			return nil, err
		}
		all := []schemas.AffectedExport{}
		err = h.History.ExportsHoldingRows(ctx, e.Request.TenantID, func(x schemas.Export) error {
			if held, is := found.Affects(x); is {
				all = append(all, held)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if err := h.describe(ctx, e, found, all); err != nil {
			return nil, err
		}
		// ClickHouse may have lost some of it before it answered: then it is read again.
		if lost, err := behind(ctx); err != nil || lost == 0 {
			return all, err
		}
	}
}

// describe adds which files of exports hold what was found, and who downloaded some.
func (h *Handler) describe(ctx context.Context, e schemas.Erasure, found warehouse.Impact, exports []schemas.AffectedExport) error {
	if len(exports) == 0 {
		return nil
	}
	ids, of := make([]string, len(exports)), make(map[string]*schemas.AffectedExport, len(exports))
	for i := range exports {
		ids[i], of[exports[i].ExportID] = exports[i].ExportID, &exports[i]
	}
	err := h.History.ExportsWithParts(ctx, e.Request.TenantID, ids, func(x schemas.Export) error {
		of[x.ExportID].Parts = found.PartsOf(x)
		return nil
	})
	if err != nil {
		return err
	}
	downloads, err := h.History.Downloads(ctx, e.Request.TenantID, ids)
	for id, d := range downloads {
		of[id].Downloads = d
	}
	return err
}
