package app

import (
	"time"

	"cdds/consumers"
	"cdds/consumers/erasure"
	"cdds/ops/connect"
	"cdds/schemas"
)

func buildErasure(a *App) ([]role, error) {
	r, err := groupRole("erasure", consumers.Options[*schemas.ErasureRequest]{
		GroupID: schemas.GroupErasure, Topic: schemas.TopicErasureRequests,
		Decode: schemas.DecodeErasureRequest,
		Handler: erasure.New(erasure.Options{
			Log: connect.NewOffsets(a.client), Store: a.warehouse, Publisher: a.publisher,
			Objects: a.bucket.Sibling(a.Config.S3.AttachmentsBucket),
			Name:    a.Name, Logger: a.Logger.With("role", "erasure"),
		}),
		MaxRecords: 1, SpanPerRecord: true,
		Drain: time.Second, // it goes on from where it stands
	}, a)
	return []role{r}, err
}
