package export

import (
	"context"
	"fmt"
	"time"

	"cdds/pipeline"
	"cdds/schemas"
)

// awaitIngest waits until everything before the snapshot is stored, saying so.
func (w *Worker) awaitIngest(ctx context.Context, r *schemas.ExportRequest, topic schemas.Topic, a pipeline.Acceptance) error {
	started := w.Now()
	var first, told int64 = -1, -1
	var toldAt time.Time
	ticker := time.NewTicker(barrierPoll)
	defer ticker.Stop()
	for {
		var done schemas.Snapshot
		err := w.stage(ctx, "barrier", 0, func() (err error) {
			done, err = w.Log.Ingested(ctx, topic)
			return err
		})
		if err != nil {
			return err
		}
		behind := a.Snapshot.Behind(done)
		if behind == 0 {
			w.metrics.barrierSeconds.Observe(w.Now().Sub(started).Seconds())
			return nil
		}
		if first < 0 {
			first = behind
		}
		waited := w.Now().Sub(started)
		if waited > w.IngestWait {
			return failure{"barrier", 0, fmt.Errorf("ingest is still %d records behind after %s", behind, waited.Round(time.Second))}
		}
		if behind != told && w.Now().Sub(toldAt) >= time.Second {
			told, toldAt = behind, w.Now()
			err := w.report(ctx, &schemas.ExportStatus{
				TenantID: r.TenantID, ExportID: r.ExportID, State: schemas.Requested,
				EventID: fmt.Sprintf("waiting/%020d", w.Now().UnixMilli()), Waiting: waiting(behind, first, waited),
			})
			if err != nil {
				return err
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

const barrierPoll = 25 * time.Millisecond

// waiting is the sentence an admin reads while ingest catches up.
func waiting(behind, first int64, waited time.Duration) string {
	s := fmt.Sprintf("waiting for ingest: %s records behind", grouped(behind))
	if progress := first - behind; progress > 0 && waited > 0 {
		left := time.Duration(float64(waited) * float64(behind) / float64(progress))
		s += fmt.Sprintf(", about %s", max(left.Round(time.Second), time.Second))
	}
	return s
}

// grouped writes 12000 as 12,000.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
