package app

import (
	"time"

	"cdds/consumers"
	"cdds/consumers/erasure"
	"cdds/pipeline"
	"cdds/schemas"
)

func buildErasure(a *App) ([]role, error) {
	defined, err := a.defined()
	if err != nil {
		return nil, err
	}
	handler := erasure.New(erasure.Options{
		Log: a.offsets, Rows: a.warehouse, Decisions: pipeline.Erasures{Store: a.bucket}, History: a.ledger, Publisher: a.publisher, Holds: defined,
		Objects: a.bucket.Sibling(a.Config.S3.AttachmentsBucket),
		Name:    a.Name, Logger: a.Logger.With("role", "erasure"),
	})
	r, err := groupRole("erasure", consumers.Options[*schemas.ErasureRequest]{
		GroupID: schemas.GroupErasure, Topic: schemas.TopicErasureRequests,
		Decode: schemas.DecodeErasureRequest, Handler: handler,
		MaxRecords: 1, SpanPerRecord: true,
		Drain: time.Second, // it goes on from where it stands
	}, a)
	ready := func() error { return nil } // a look that fails is made again
	return []role{r, {"erasure.watch", handler.Watch, ready}}, err
}
