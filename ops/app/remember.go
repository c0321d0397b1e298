package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cdds/consumers"
	"cdds/ops/connect"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// rememberTimeout bounds one reading of all that was ever erased, some 400 bytes each.
const rememberTimeout = 10 * time.Minute

// erasedPage is how many erased subjects are handed on at a time.
const erasedPage = 1000

// erased reads cdds.erased to its end; it is a warehouse.ErasedLog.
func (a *App) erased(ctx context.Context, each func([]*schemas.ErasedSubject) error) error {
	kafka, err := connect.Kafka(a.Config.Kafka, "erased", nil)
	if err != nil {
		return err
	}
	replica, err := consumers.NewReplica(consumers.ReplicaOptions{
		Kafka: kafka, Topics: []schemas.Topic{schemas.TopicErased}, Logger: a.Logger.With("role", "ingest.erased"),
	})
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, rememberTimeout)
	defer cancel()
	running, stop := context.WithCancel(within)
	ended := make(chan error, 1)
	var page []*schemas.ErasedSubject
	var failed error
	handOn := func() {
		if failed == nil && len(page) > 0 {
			failed = each(page)
		}
		page = nil
	}
	go func() {
		ended <- replica.Run(running, func(_ schemas.Topic, key, value []byte) {
			if value == nil || failed != nil {
				return
			}
			s, err := schemas.DecodeErasedSubject(value)
			if err != nil {
				// Only CDDS writes here. Going on would bring somebody back.
				failed = fmt.Errorf("a record of %s with the key %q: %w", schemas.TopicErased, key, err)
				return
			}
			if page = append(page, s); len(page) == erasedPage {
				handOn()
			}
		})
	}()
	select {
	case <-replica.Started():
		for err = replica.Sync(within); err != nil && within.Err() == nil; { // it was not all yet
			err = replica.Sync(within)
		}
	case err = <-ended: // it never began
		ended <- err
	}
	stop()
	err = errors.Join(err, <-ended)
	if handOn(); err != nil || failed != nil { // once Run has returned, it calls apply no more
		return fmt.Errorf("read who was erased: %w", errors.Join(err, failed))
	}
	return nil
}

// rememberPause is between attempts to learn who was erased.
const rememberPause = time.Second

// buildRemember is the part of ingest that sees to it, also where nothing is ingested,
// that ClickHouse holds nobody who was erased.
func buildRemember(a *App, f *warehouse.Forgetting) role {
	log := a.Logger.With("role", "ingest.erased")
	return role{"ingest.erased", func(ctx context.Context) error {
		for {
			err := f.Remember(ctx)
			if err == nil {
				<-ctx.Done()
				return nil
			}
			if ctx.Err() == nil {
				log.Warn("who was erased is not known yet, nothing is ingested; retrying", "error", err)
			}
			select {
			case <-time.After(rememberPause):
			case <-ctx.Done():
				return nil
			}
		}
	}, f.Ready}
}
