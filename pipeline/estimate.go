package pipeline

import (
	"context"
	"fmt"

	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// ExportOf returns what a request asks for, without what is decided when it is accepted.
func ExportOf(r *schemas.ExportRequest) Export {
	cipher, keyTransport := r.Enciphering()
	return Export{
		ID: r.ExportID, Filter: r.Filter(), SplitSize: r.Split(), WithoutAttachments: r.WithoutAttachments(), FieldPolicy: r.FieldPolicy, Names: r.Names,
		Encoding: r.Sealing(), Cipher: cipher, KeyTransport: keyTransport, Compression: r.Compressing(),
	}
}

// MediaCounter counts the rows of a query by media type; *warehouse.Warehouse is one.
type MediaCounter interface {
	MediaTypes(ctx context.Context, q warehouse.Query) (map[string]int64, error)
}

// Estimate plans an export that nobody requested yet, and stores nothing. Three answers of
// ClickHouse must agree, so a cut-off one is an error and not a small export.
func (e *Exporter) Estimate(ctx context.Context, x Export, by MediaCounter) (schemas.Estimate, error) {
	of := schemas.Estimate{TenantID: x.Filter.TenantID, Entity: x.Filter.Entity}
	plan, err := e.divide(ctx, x)
	if err != nil {
		return of, err
	}
	of.Parts, of.Rows, of.JSONLBytes, of.Attachments, of.AttachmentBytes = len(plan.Parts), plan.Rows, plan.Bytes, plan.Attachments, plan.AttachmentBytes
	for n, part := range plan.Parts {
		if part.Kind != "" {
			break
		}
		if n == 0 {
			of.First = part.First.Time
		}
		of.Last = part.Last.Time
	}
	if x.Filter.Entity == schemas.EntityContact {
		return of, nil
	}
	x.Scattered, x.HistoryFrom = plan.Scattered, plan.HistoryFrom
	if of.MediaTypes, err = by.MediaTypes(ctx, x.query()); err != nil {
		return of, err
	}
	var rows int64
	for _, n := range of.MediaTypes {
		rows += n
	}
	if rows != plan.Rows {
		return of, fmt.Errorf("the media types have %s, and %d were counted", schemas.Counted(rows, "row"), plan.Rows)
	}
	return of, nil
}
