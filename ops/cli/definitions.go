//go:build !receiver

package cli

import (
	"context"
	"errors"
	"os"

	"cdds/consumers"
	"cdds/consumers/definitions"
	"cdds/producers"
	"cdds/schemas"
)

// defined are the jobs and certificates there are, and a way to change them.
type defined struct {
	*services
	*definitions.Definitions
	publisher *producers.Publisher
	records   *producers.Records
}

// withDefinitions runs do with the jobs and certificates as of now.
func (s *session) withDefinitions(ctx context.Context, do func(*defined) error) error {
	return s.withServices(func(services *services) error { return readDefinitions(ctx, services, do) })
}

// readDefinitions is withDefinitions of services that are connected.
func readDefinitions(ctx context.Context, services *services, do func(*defined) error) error {
	var known *definitions.Definitions
	begin := func(replica *consumers.Replica) (_ apply, err error) {
		known, err = definitions.New(definitions.Options{Log: replica})
		return known.Apply, err
	}
	return withCopy(ctx, services, definitions.Topics(), begin, func(publisher *producers.Publisher) error {
		return do(&defined{services, known, publisher, producers.NewRecords(publisher, known.Versions())})
	})
}

// change makes the next version of a job or a certificate, and then its audit record.
func (d *defined) change(ctx context.Context, next schemas.Versioned, audit *schemas.AuditRecord) error {
	if err := next.Validate(); err != nil {
		return usageError{err}
	}
	err := d.records.Change(ctx, next)
	if errors.Is(err, schemas.ErrChanged) {
		return refused(err)
	}
	if err == nil {
		err = d.publisher.Publish(context.WithoutCancel(ctx), audit)
	}
	if err != nil {
		return unreachable(err)
	}
	return nil
}

// machine is where a change was made from, for the audit trail.
func machine() string {
	host, _ := os.Hostname()
	return "cli@" + host
}
