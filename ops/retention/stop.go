package retention

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/bucket"
	"cdds/schemas"
)

// A Stop says that too many exports disagree at once for the sweep to go on by itself:
// a wrong bucket, a lost bucket and a history that was restored look like this. It is
// kept in the bucket, for all replicas and for `cdds retention`.
type Stop struct {
	// ID tells stops apart: what was confirmed is this one.
	ID     string       `json:"id"`
	At     schemas.Time `json:"at"`
	Worker string       `json:"worker"`
	// Exports is how many disagree: Orphans that history does not know and Lost ones that
	// objects are missing of. Compared is how many were looked at.
	Exports  int `json:"exports"`
	Orphans  int `json:"orphans"`
	Lost     int `json:"lost"`
	Compared int `json:"compared"`
	// Examples are some of them, each with the reason.
	Examples []string `json:"examples"`
}

// Confirmation is an operator's word that a stop may be lifted.
type Confirmation struct {
	StopID string       `json:"stop_id"`
	By     string       `json:"by"`
	At     schemas.Time `json:"at"`
}

const (
	stopKey    = pipeline.Reserved + "retention/stop.json"
	confirmKey = pipeline.Reserved + "retention/confirmed.json"
)

const (
	// atOnce and oneIn bound what is settled without an operator's word: so many exports,
	// and one in so many.
	atOnce = 20
	oneIn  = 20
	// examples is how many a Stop names.
	examples = 20

	maxDocument = 1 << 20
)

// ErrNotStopped says that there is nothing to confirm.
var ErrNotStopped = errors.New("retention is not stopped")

// Stopped returns what retention is stopped by, if it is.
func Stopped(ctx context.Context, o Objects) (stop Stop, confirmed bool, err error) {
	if err := read(ctx, o, stopKey, &stop); err != nil {
		if errors.Is(err, bucket.ErrNotFound) {
			err = ErrNotStopped
		}
		return stop, false, err
	}
	var c Confirmation
	err = read(ctx, o, confirmKey, &c)
	if errors.Is(err, bucket.ErrNotFound) {
		err = nil
	}
	return stop, c.StopID == stop.ID, err
}

// Confirm lifts a stop: the next sweep settles as many exports as it names.
func Confirm(ctx context.Context, o Objects, stopID, by string, now time.Time) error {
	if err := pipeline.Unseen(o.Remove(ctx, confirmKey)); err != nil { // that of an earlier stop
		return err
	}
	return write(ctx, o, confirmKey, Confirmation{stopID, by, schemas.TimeOf(now)})
}

// stopped reports whether what was found is too much to be settled without an
// operator's word, and records it.
func (k *Keeper) stopped(ctx context.Context, found []finding, compared int) (Stop, bool, error) {
	now := Stop{At: schemas.TimeOf(k.Now()), Worker: k.Name, Compared: compared}
	for _, f := range found {
		switch f.kind {
		case orphan:
			now.Orphans++
		case lost:
			now.Lost++
		default:
			continue
		}
		if now.Exports++; len(now.Examples) < examples {
			now.Examples = append(now.Examples, f.tenant+"/"+f.export+": "+f.why)
		}
	}
	before, confirmed, err := Stopped(ctx, k.Objects)
	known := err == nil
	if err != nil && !errors.Is(err, ErrNotStopped) {
		return now, true, err
	}
	switch {
	case now.Exports <= atOnce && now.Exports*oneIn <= compared:
		if !known {
			return now, false, nil
		}
		k.Logger.Info("bucket and history agree again but for a few exports; retention goes on", "exports", now.Exports)
		return now, false, errors.Join(pipeline.Unseen(k.Objects.Remove(ctx, confirmKey)), pipeline.Unseen(k.Objects.Remove(ctx, stopKey)))
	case known && confirmed && now.Exports <= before.Exports:
		return now, false, nil
	case known && now.Exports <= before.Exports:
		return now, true, nil
	}
	now.ID = now.At.UTC().Format("20060102T150405.000Z")
	if err := pipeline.Unseen(k.Objects.Remove(ctx, stopKey)); err != nil {
		return now, true, err
	}
	err = write(ctx, k.Objects, stopKey, now)
	if errors.Is(err, bucket.ErrExists) { // a replica's, which says the same
		err = nil
	}
	return now, true, err
}

func read(ctx context.Context, o Objects, key string, v any) error {
	content, err := o.GetBytes(ctx, key, maxDocument)
	if err != nil {
		return err
	}
	if err := schemas.Read(content, v); err != nil {
		return fmt.Errorf("the document %s is not readable: %w", key, err)
	}
	return nil
}

func write(ctx context.Context, o Objects, key string, v any) error {
	content, err := schemas.Encode(v)
	if err != nil {
		return err
	}
	return o.PutBytes(ctx, key, content, schemas.ContentTypeJSON)
}
