//go:build !receiver

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"cdds/ops/api"
	"cdds/ops/api/client"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

// anywhere runs one of the two: against the server that is named, or on the services.
func (s *session) anywhere(there func(*client.Client) error, here func(*services) error) error {
	c, err := s.remote()
	if err != nil {
		return err
	}
	if c != nil {
		return answered(there(c))
	}
	return s.withServices(here)
}

// remotePage is how many exports are asked for at once.
const remotePage = 500

func (s *session) remoteList(ctx context.Context, c *client.Client, tenant, state string, limit int) ([]schemas.Export, error) {
	var all []schemas.Export
	cursor := ""
	for len(all) < limit {
		page, err := c.Exports(ctx, tenant, state, min(remotePage, limit), cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	return all[:min(limit, len(all))], nil
}

// remoteCreate asks a server for an export and follows it as far as the flags say.
func (s *session) remoteCreate(ctx context.Context, c *client.Client, f createFlags) error {
	r, err := f.request()
	if errors.Is(err, smime.ErrPrivateKey) {
		return refused(err)
	}
	if err != nil {
		return usageError{err}
	}
	r.Queues, err = f.match.resolve(func(names []string) ([]string, error) { return c.QueuesAmong(ctx, f.tenant, names) })
	if err != nil {
		return err
	}
	in := api.ExportInput{
		ID: f.id, Entity: r.Entity, From: r.From, To: r.To, MediaTypes: r.MediaTypes,
		Queues: r.Queues, Directions: r.Directions, Statuses: r.Statuses, Attributes: r.Attributes, Contacts: r.Contacts, Reason: r.Reason,
		SplitSize: r.SplitSize, Encoding: r.Encoding, Cipher: r.Cipher, Transport: r.KeyTransport, Compression: r.Compression, Attachments: r.Attachments, FieldPolicy: r.FieldPolicy, Names: r.Names, Recipients: r.Recipients, SinceExport: r.SinceExport, AsOf: f.asOf, Retention: r.RetentionDays,
	}
	if f.dryRun {
		of, err := c.Estimate(ctx, f.tenant, in)
		if err != nil {
			return err
		}
		return s.toldEstimate(of)
	}
	e, err := c.CreateExport(ctx, f.tenant, in)
	if err != nil {
		return err
	}
	return s.remoteFollow(ctx, c, e, f)
}

// remoteRun asks a server to run a job now.
func (s *session) remoteRun(ctx context.Context, c *client.Client, jobID string, f createFlags) error {
	e, err := c.RunJob(ctx, f.tenant, jobID)
	if err != nil {
		return err
	}
	return s.remoteFollow(ctx, c, e, f)
}

// remoteFollow follows an export that was asked for as far as the flags say, and tells
// how it stands.
func (s *session) remoteFollow(ctx context.Context, c *client.Client, e schemas.Export, f createFlags) (err error) {
	if f.wait {
		if f.timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, f.timeout)
			defer cancel()
		}
		if e, err = s.remoteAwait(ctx, c, e); err != nil {
			return aboutExport{err, e}
		}
	}
	if err := s.told(e, func() { s.describe(e) }); err != nil {
		return err
	}
	return outcome(e)
}

// remotePoll is how often a server is asked how an export stands.
const remotePoll = 500 * time.Millisecond

// remoteAwait follows an export to its end.
func (s *session) remoteAwait(ctx context.Context, c *client.Client, e schemas.Export) (schemas.Export, error) {
	bar := s.newBar("exporting", 0)
	ticker := time.NewTicker(remotePoll)
	defer ticker.Stop()
	for !e.State.Ended() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			bar.end(ctx.Err())
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return e, withHint(fmt.Errorf("export %s is still %s", e.ExportID, e.State), fmt.Sprintf("it goes on: `%s` shows its progress", showCommand(e)))
			}
			return e, ctx.Err()
		}
		now, err := c.Export(ctx, e.TenantID, e.ExportID)
		var p *client.Problem
		if errors.As(err, &p) && !passing(err) {
			bar.end(err)
			return e, err
		}
		if err == nil { // else it is away for a moment, and the export goes on
			e = now
			bar.set(e.Done.JSONLBytes, max(e.Planned.JSONLBytes, 1))
		}
	}
	bar.end(nil)
	return e, nil
}

func (s *services) open(ctx context.Context, _ schemas.Export, a schemas.Artifact) (io.ReadCloser, error) {
	r, err := s.bucket.Open(ctx, a.Key)
	if err != nil {
		return nil, unreachable(err)
	}
	return r, nil
}
