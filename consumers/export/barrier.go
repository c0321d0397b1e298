package export

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/spans"
	"cdds/schemas"
)

// awaitIngest waits until everything before the snapshot is stored, saying so. That
// ingest has committed it is not enough: ClickHouse may have lost it since, and an
// export without it would be signed as complete.
func (w *Worker) awaitIngest(ctx context.Context, r *schemas.ExportRequest, topic schemas.Topic, a pipeline.Acceptance) (err error) {
	ctx, span := spans.Start(ctx, "barrier")
	defer func() { spans.End(span, err) }()
	b := barrier{topic: topic, snapshot: a.Snapshot, began: w.Now(), first: -1}
	for {
		err := w.try(ctx, "barrier", 0, func(ctx context.Context) error { return b.look(ctx, w) })
		if err != nil {
			return err
		}
		if b.behind == 0 && b.lost == 0 {
			spans.Observe(ctx, w.metrics.barrierSeconds, w.Now().Sub(b.began).Seconds())
			return nil
		}
		waited := w.Now().Sub(b.began)
		if waited > w.IngestWait || len(b.gone) > 0 {
			return failure{"barrier", 0, b.reason(waited)}
		}
		if now := [2]int64{b.behind, b.lost}; now != b.told && w.Now().Sub(b.toldAt) >= time.Second {
			b.told, b.toldAt = now, w.Now()
			err := w.report(ctx, &schemas.ExportStatus{
				TenantID: r.TenantID, ExportID: r.ExportID, State: schemas.Requested,
				EventID: fmt.Sprintf("waiting/%020d", w.Now().UnixMilli()), Waiting: b.waiting(waited),
			})
			if err != nil {
				return err
			}
		}
		poll := barrierPoll
		if b.lost > 0 {
			poll = lossPoll
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

const (
	barrierPoll = 25 * time.Millisecond
	// lossPoll is longer: what was lost takes somebody to bring it back.
	lossPoll = time.Second
)

var (
	// errLost says that ClickHouse does not have what ingest had stored.
	errLost = errors.New("ClickHouse has lost them; ingest reads them again")
	// errGone says that nobody has it any more.
	errGone = errors.New("neither ClickHouse nor Kafka has them any more")
)

// barrier is where the wait for a snapshot stands.
type barrier struct {
	topic    schemas.Topic
	snapshot schemas.Snapshot
	began    time.Time
	// behind is how many records ingest has yet to store; lost how many it had stored
	// that are not there; gone are those of them that Kafka does not have either. Only one
	// of behind and lost is looked for at a time.
	behind, lost, first int64
	gone                []schemas.Run
	// told are behind and lost as they were last reported.
	told   [2]int64
	toldAt time.Time
}

// look finds out how far ingest is and, if it is past the snapshot, what is missing.
func (b *barrier) look(ctx context.Context, w *Worker) error {
	done, err := w.Log.Ingested(ctx, b.topic)
	if err != nil {
		return err
	}
	b.behind, b.lost, b.gone = b.snapshot.Behind(done), 0, nil
	if b.behind > 0 {
		b.first = max(b.first, b.behind)
		return nil
	}
	return b.lookMissing(ctx, w)
}

// maxGaps bounds the gaps that one look compares with what Kafka has.
const maxGaps = 1000

// lookMissing finds out what below the snapshot is not accounted for, and what of that is
// gone for good.
func (b *barrier) lookMissing(ctx context.Context, w *Worker) error {
	used, err := w.Log.Used(ctx, b.topic, b.snapshot)
	if err != nil {
		return err
	}
	if b.lost, err = w.Ledger.Missing(ctx, b.topic, used); err != nil || b.lost == 0 {
		return err
	}
	gaps, _, err := w.Ledger.Gaps(ctx, b.topic, used, maxGaps)
	if err != nil {
		return err
	}
	b.gone, err = w.Log.Gone(ctx, b.topic, gaps)
	return err
}

// checkWhole fails the export if records were lost while it ran.
func (w *Worker) checkWhole(ctx context.Context, topic schemas.Topic, snapshot schemas.Snapshot) error {
	return w.stage(ctx, "barrier", 0, func(ctx context.Context) error { return w.whole(ctx, topic, snapshot) })
}

// whole is an error if records below a snapshot are missing.
func (w *Worker) whole(ctx context.Context, topic schemas.Topic, snapshot schemas.Snapshot) error {
	b := barrier{topic: topic, snapshot: snapshot}
	err := b.lookMissing(ctx, w)
	if err == nil && b.lost > 0 {
		return pipeline.Permanent(b.reason(0))
	}
	return err
}

// reason is why an export is given up.
func (b *barrier) reason(waited time.Duration) error {
	if len(b.gone) > 0 {
		return fmt.Errorf("records of %s are missing: %s: %w", b.topic, schemas.Places(b.gone), errGone)
	}
	if b.lost > 0 {
		return fmt.Errorf("missing: %s of %s that ingest had stored: %w", schemas.Counted(b.lost, "record"), b.topic, errLost)
	}
	return fmt.Errorf("ingest is still %s behind after %s", schemas.Counted(b.behind, "record"), waited.Round(time.Second))
}

// waiting is the sentence an admin reads meanwhile.
func (b *barrier) waiting(waited time.Duration) string {
	if b.lost > 0 {
		return fmt.Sprintf("waiting for %s of %s that ingest had stored: %v", schemas.Counted(b.lost, "record"), b.topic, errLost)
	}
	s := "waiting for ingest: " + schemas.Counted(b.behind, "record") + " behind"
	if progress := b.first - b.behind; progress > 0 && waited > 0 {
		left := time.Duration(float64(waited) * float64(b.behind) / float64(progress))
		s += fmt.Sprintf(", about %s", max(left.Round(time.Second), time.Second))
	}
	return s
}
