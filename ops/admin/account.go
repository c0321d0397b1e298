package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cdds/ops/auth"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Book is the account of the source topics; account.Book is one.
type Book interface {
	Draw(ctx context.Context, topic schemas.Topic) (warehouse.TopicAccount, error)
	// WriteOff leaves its own audit record.
	WriteOff(ctx context.Context, topic schemas.Topic, within []schemas.Run, reason, by, from string, now time.Time) (schemas.WriteOff, error)
}

// Account is what became of every record of the source topics. Topics are everybody's: it is
// for administrators of all tenants.
func (h *Handle) Account(ctx context.Context) (all []warehouse.TopicAccount, err error) {
	if err := h.ofNoTenant(h.reads(auth.Manage)); err != nil {
		return nil, err
	}
	for _, topic := range schemas.SourceTopics() {
		a, err := h.Book.Draw(ctx, topic)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// WriteOff writes off records that neither ClickHouse nor Kafka has any more: all of a topic, or
// what lies within runs. Exports that need them then stop waiting, and say so.
func (h *Handle) WriteOff(ctx context.Context, topic schemas.Topic, within []schemas.Run, reason string) (w schemas.WriteOff, err error) {
	if err := h.ofNoTenant(h.changes(ctx, auth.Manage, schemas.ActionWriteOff, string(topic))); err != nil {
		return w, err
	}
	if schemas.EntityOf(topic) == "" {
		var names []string
		for _, t := range schemas.SourceTopics() {
			names = append(names, string(t))
		}
		return w, &schemas.InvalidError{Problems: []string{fmt.Sprintf("topic: %s is not a source topic; source topics are %s", topic, strings.Join(names, " and "))}}
	}
	w, err = h.Book.WriteOff(ctx, topic, within, reason, h.who.Actor(), h.who.From, h.Now())
	switch {
	case errors.Is(err, schemas.ErrNothingGone):
		return w, h.refuse(ctx, schemas.ActionWriteOff, string(topic), &ConflictError{err.Error()})
	case errors.Is(err, schemas.ErrNoReason):
		return w, &schemas.InvalidError{Problems: []string{"reason: " + err.Error()}}
	}
	return w, err
}

// ofNoTenant is err, or an error for who is of one tenant or named one.
func (h *Handle) ofNoTenant(err error) error {
	switch {
	case err != nil:
		return err
	case h.who.Tenant != schemas.AllTenants:
		return auth.ErrForbidden
	case h.tenant != schemas.AllTenants:
		return &schemas.InvalidError{Problems: []string{"tenant: topics have the records of all tenants; name none"}}
	}
	return nil
}
