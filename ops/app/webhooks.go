package app

import (
	"time"

	"cdds/consumers"
	"cdds/consumers/webhooks"
	"cdds/schemas"
)

// Deliveries that wait at once in a process, and per partition those at work: more, so
// that what waits never fills a partition.
const (
	deliveriesWaiting = 200
	deliveriesInHand  = 256
)

func buildWebhooks(a *App) ([]role, error) {
	jobs, err := a.defined()
	if err != nil {
		return nil, err
	}
	c := a.Config.Webhooks
	h, err := webhooks.New(webhooks.Options{
		Definitions: jobs, Deliveries: a.ledger, Publisher: a.publisher,
		Secret: []byte(c.Secret.Reveal()), AllowPrivate: c.AllowPrivate,
		Timeout: c.Timeout, FirstRetry: c.FirstRetry, GiveUpAfter: c.GiveUpAfter, MaxWaiting: deliveriesWaiting,
		Registerer: a.Registry, Logger: a.Logger.With("role", "webhooks"),
	})
	if err != nil {
		return nil, err
	}
	if c.Secret == "" {
		a.Logger.Warn("webhooks are off: there is no secret to sign with; set webhooks.secret_file")
	}
	ended, err := groupRole("webhooks", consumers.Options[*schemas.ExportStatus]{
		GroupID: schemas.GroupWebhooks, Topic: schemas.TopicExportStatus,
		Decode: schemas.DecodeExportStatus, Handler: h,
		MaxRecords: 1, InFlight: deliveriesInHand, SpanPerRecord: true,
		Drain: time.Second, // the next owner goes on with the next attempt
	}, a)
	if err != nil {
		return nil, err
	}
	requested, err := groupRole("webhooks.requests", consumers.Options[*schemas.WebhookDelivery]{
		GroupID: schemas.GroupWebhookRequests, Topic: schemas.TopicWebhookDeliveries,
		Decode: schemas.DecodeWebhookDelivery, Handler: webhooks.Requests{Handler: h},
		MaxRecords: 1, InFlight: deliveriesInHand, SpanPerRecord: true,
		Drain: time.Second,
	}, a)
	return []role{ended, requested}, err
}
