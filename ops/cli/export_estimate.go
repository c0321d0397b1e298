//go:build !receiver

package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cdds/ops/admin"
	"cdds/ops/connect"
	"cdds/pipeline"
	"cdds/schemas"
)

// estimate says what an export would hold.
func (s *session) estimate(ctx context.Context, services *services, r schemas.ExportRequest) error {
	c := services.config
	of, err := admin.Estimator{
		Exporter: pipeline.New(pipeline.Options{
			Source: services.warehouse, SegmentBytes: int64(c.Export.SegmentSize), HistoryFrom: connect.HistoryFrom(services.warehouse, c.History, time.Now), Now: time.Now,
		}),
		Rows: services.warehouse, Positions: services.offsets, History: services.ledger,
	}.Estimate(ctx, r)
	if invalid := (*schemas.InvalidError)(nil); errors.As(err, &invalid) {
		return refused(err)
	}
	if err != nil {
		return unreachable(err)
	}
	return s.toldEstimate(of)
}

// toldEstimate writes an estimate.
func (s *session) toldEstimate(of schemas.Estimate) error {
	return s.result(of, func() {
		rows := [][]string{
			{"rows", schemas.Grouped(of.Rows)}, {"parts", schemas.Grouped(int64(of.Parts))}, {"json lines", size(of.JSONLBytes)},
			{"attachments", fmt.Sprintf("%s, %s", schemas.Grouped(of.Attachments), size(of.AttachmentBytes))},
		}
		if of.Rows > 0 {
			rows = append(rows, []string{"first", of.First.String()}, []string{"last", of.Last.String()})
		}
		var media []string
		for _, m := range slices.Sorted(maps.Keys(of.MediaTypes)) {
			media = append(media, m+" "+schemas.Grouped(of.MediaTypes[m]))
		}
		if len(media) > 0 {
			rows = append(rows, []string{"media", strings.Join(media, ", ")})
		}
		if of.Behind > 0 {
			rows = append(rows, []string{"not stored yet", schemas.Counted(of.Behind, "record") + " of all tenants"})
		}
		switch e := of.Expected; {
		case e == nil:
			rows = append(rows, []string{"expected", "unknown: no export of this kind completed lately"})
		case e.Seconds == 0:
			rows = append(rows, []string{"expected", fmt.Sprintf("%s sealed, by %s; much larger than those, so its duration is unknown", size(e.SealedBytes), schemas.Counted(e.Exports, "recent export"))})
		default:
			took := (time.Duration(e.Seconds * float64(time.Second))).Round(time.Second)
			rows = append(rows, []string{"expected", fmt.Sprintf("%s sealed in about %s, by %s", size(e.SealedBytes), max(took, time.Second), schemas.Counted(e.Exports, "recent export"))})
		}
		s.table(rows)
	})
}
