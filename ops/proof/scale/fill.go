package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"cdds/pipeline/smime"
	"cdds/schemas"
)

// batch is how many exports are saved at once.
const batch = 10_000

// tenant returns whose the thing with a number is: every tenth is the first tenant's.
func (n sizes) tenant(number int) string {
	if number%10 == 0 {
		return "tenant-00000"
	}
	return fmt.Sprintf("tenant-%05d", number%n.tenants)
}

// fill publishes definitions and writes history.
func (s *system) fill(ctx context.Context, n sizes) error {
	text, _, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "receiver"})
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	now := schemas.TimeOf(time.Now())
	fingerprint := ""
	var events []schemas.Event
	for number := range n.tenants {
		c := schemas.NewCertificate(fmt.Sprintf("tenant-%05d", number), certificate, "scale", now)
		c.Name = fmt.Sprintf("receiver %d", number)
		fingerprint = c.Fingerprint
		events = append(events, c)
	}
	for number := range n.jobs {
		j := schemas.Job{
			TenantID: n.tenant(number), JobID: fmt.Sprintf("job-%05d", number), Title: fmt.Sprintf("Nightly %d", number),
			Entity: schemas.EntityInteraction, State: schemas.JobActive,
			Schedule:   schemas.Schedule{Run: schemas.RunHours, EveryHours: 24},
			Timeframe:  schemas.Timeframe{Kind: schemas.TimeframeAll},
			Recipients: []string{fingerprint},
		}
		events = append(events, j.Revised(nil, "scale", now))
	}
	if err := s.publisher.Publish(ctx, events...); err != nil {
		return err
	}
	for first := 0; first < n.exports; first += batch {
		some := make([]schemas.Export, 0, batch)
		var trail []schemas.Record[*schemas.AuditRecord]
		for number := first; number < min(first+batch, n.exports); number++ {
			e := export(n, number, now.Time, fingerprint)
			some = append(some, e)
			trail = append(trail, schemas.Record[*schemas.AuditRecord]{Event: &schemas.AuditRecord{
				AuditID: e.TenantID + "/" + e.ExportID + "/completed", Time: e.EndedAt, TenantID: e.TenantID,
				Actor: "scale", Action: "export.complete", Subject: e.ExportID, Outcome: schemas.OutcomeDone,
			}})
		}
		err := s.ledger.SaveExports(ctx, some)
		if err == nil {
			err = s.ledger.InsertAudit(ctx, schemas.Batch[*schemas.AuditRecord]{Records: trail})
		}
		if err == nil {
			err = s.keep(ctx, some)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// export is a run of a job; the later its number, the later it was.
func export(n sizes, number int, now time.Time, fingerprint string) schemas.Export {
	e := schemas.Export{
		TenantID: n.tenant(number), ExportID: fmt.Sprintf("export-%07d", number), State: schemas.Completed, Events: 5, Attempt: 1,
		Done: schemas.Totals{Parts: 1, Rows: int64(number % 5000), JSONLBytes: 1 << 20, ZipBytes: 1 << 18, SealedBytes: 1 << 18},
	}
	at := now.Add(-48*time.Hour - time.Duration(n.exports-number)*time.Minute)
	e.RequestedAt, e.PlannedAt = schemas.TimeOf(at), schemas.TimeOf(at.Add(time.Second))
	e.EndedAt = schemas.TimeOf(at.Add(10 * time.Second))
	e.UpdatedAt, e.Planned = e.EndedAt, e.Done
	e.Request = &schemas.ExportRequest{
		TenantID: e.TenantID, ExportID: e.ExportID, Entity: schemas.EntityInteraction, JobID: fmt.Sprintf("job-%05d", number%n.jobs),
		From: schemas.TimeOf(at.Add(-24 * time.Hour)), To: e.RequestedAt, RequestedBy: "scheduler", ScheduledAt: e.RequestedAt,
		Recipients: []schemas.Recipient{{Fingerprint: fingerprint}},
	}
	expires := at.Add(30 * 24 * time.Hour)
	kept := number >= n.exports-n.kept
	if kept {
		expires = now.Add(30 * 24 * time.Hour)
	}
	sum := sha256.Sum256([]byte(e.ExportID))
	digest, prefix := hex.EncodeToString(sum[:]), schemas.ExportPrefix(e.TenantID, e.ExportID)
	part := schemas.Part{Number: 1, Rows: e.Done.Rows}
	name := schemas.PartName(schemas.EntityInteraction, e.ExportID, part)
	e.Parts = []schemas.Receipt{{Part: part, Name: name, Key: prefix + name, JSONLSHA256: digest, ZipSHA256: digest, SealedSHA256: digest, ZipBytes: 1 << 18, SealedBytes: 1 << 18}}
	e.Completion = &schemas.Completion{
		ManifestKey: prefix + schemas.ManifestName, ManifestBytes: 2000, ManifestSHA256: digest,
		SignatureKey: prefix + schemas.SignatureName, SignatureBytes: 2000, SignatureSHA256: digest,
		Totals: e.Done, ExpiresAt: schemas.TimeOf(expires),
	}
	if !kept {
		e.State, e.Reason, e.RemovedAt, e.UpdatedAt = schemas.Expired, "its artifacts were kept as long as agreed", schemas.TimeOf(expires), schemas.TimeOf(expires)
		e.Events++
	}
	return e
}

// keep stores a small object in the place of each artifact that is kept.
func (s *system) keep(ctx context.Context, exports []schemas.Export) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for _, e := range exports {
		if e.State != schemas.Completed {
			continue
		}
		group.Go(func() error {
			var all []error
			for _, a := range schemas.Artifacts(e) {
				all = append(all, s.bucket.PutBytes(ctx, a.Key, []byte(a.Name), "application/octet-stream"))
			}
			return errors.Join(all...)
		})
	}
	return group.Wait()
}
