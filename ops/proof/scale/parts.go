package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"cdds/ops/api"
	"cdds/ops/console"
	"cdds/schemas"
)

// What the export of many parts is: interactions with a recording each, no two of which fit into
// a part of the smallest split size. All refer to the same object.
const (
	partsTenant, partsExport = "many", "parts"
	splitSize                = 64 << 10
	recordingBytes           = splitSize/2 + 1024
)

// measureParts makes one export of very many parts, from interactions to what a receiver
// opens and to what retention leaves of it, and measures each step, with a process of its own
// for each role. On data that an earlier run left it goes on with the export of that run.
func (s *system) measureParts(ctx context.Context, n sizes, dir string, services func() map[string]int) error {
	all, err := newProcesses(ctx, n.binary, dir)
	if err != nil {
		return err
	}
	roles := map[string]*role{}
	names := []string{"history"}
	if !n.told {
		names = append(names, "ingest", "export")
	}
	for _, name := range names {
		if roles[name], err = all.start(ctx, name); err != nil {
			return err
		}
		defer roles[name].stop()
	}
	r := &report{sizes: n}
	if !n.told {
		began := time.Now()
		if err := s.publishRows(ctx, n.parts-n.parts/130-1); err != nil { // the others hold the rows
			return err
		}
		r.step("publish and ingest", time.Since(began), "")
	}
	e, err := s.followParts(ctx, n, r, roles, func() error {
		if n.told {
			return s.tellParts(ctx, n.parts)
		}
		return s.requestParts(ctx, all.certificate)
	})
	if err != nil {
		return err
	}
	if err := s.visit(ctx, r, func(v *visitor) error { return v.measureExport(r, n, "") }); err != nil {
		return err
	}
	if err := s.measureSizes(ctx, r, e); err != nil {
		return err
	}
	if !n.told {
		files, plain := filepath.Join(dir, "downloaded"), filepath.Join(dir, "plain")
		for _, c := range []struct {
			name string
			args []string
		}{
			{"cdds export download", []string{"export", "download", partsExport, "--tenant", partsTenant, "--out", files}},
			{"cdds verify", []string{"verify", files, "--signer", e.Completion.SignerSHA256}},
			{"cdds decrypt", []string{"decrypt", files, "--signer", e.Completion.SignerSHA256, "--cert", all.certFile, "--key", all.keyFile, "--out", plain}},
		} {
			cmd := exec.CommandContext(ctx, all.binary, c.args...)
			cmd.Env = all.env
			began := time.Now()
			peak, err := resides(cmd)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			r.step(c.name, time.Since(began), fmt.Sprintf("%d MiB", peak))
		}
		if err := s.expireParts(ctx, r, e); err != nil {
			return err
		}
	}
	for name, p := range roles {
		r.resides = append(r.resides, fmt.Sprintf("%s: %d MiB", name, p.peak()))
	}
	r.memory(services())
	r.printParts(os.Stdout)
	return nil
}

// measureSizes notes how large what is kept of the export is, beside its files.
func (s *system) measureSizes(ctx context.Context, r *report, e schemas.Export) error {
	prefix := schemas.ExportPrefix(e.TenantID, e.ExportID)
	if plan, err := s.bucket.Stat(ctx, prefix+"plan.json"); err == nil {
		r.size("plan", plan.Size)
	}
	r.size("manifest", e.Completion.ManifestBytes)
	r.size("files", e.Done.SealedBytes)
	var events, bytes, largest, summary uint64
	of := " WHERE tenant_id = '" + partsTenant + "' AND export_id = '" + partsExport + "'"
	if err := s.tables.Scan(ctx, "measure status events", "SELECT count(), sum(length(body)), max(length(body)) FROM export_events"+of, nil, &events, &bytes, &largest); err != nil {
		return err
	}
	if err := s.tables.Scan(ctx, "measure the export in history", "SELECT max(length(summary)) FROM exports"+of, nil, &summary); err != nil {
		return err
	}
	r.size(fmt.Sprintf("%d status events", events), int64(bytes))
	r.size("the largest of them", int64(largest))
	r.size("the export in history, without its parts", int64(summary))
	return nil
}

// expireParts has retention remove the export when its time is over, and waits until history
// says so.
func (s *system) expireParts(ctx context.Context, r *report, e schemas.Export) error {
	keeper := s.keeper(func() time.Time { return e.Completion.ExpiresAt.Add(time.Hour) })
	began := time.Now()
	done, err := keeper.Expire(ctx)
	if err != nil {
		return err
	}
	if done.Expired != 1 {
		return fmt.Errorf("the export's time is over, and retention did %+v", done)
	}
	r.step("retention removes the files", time.Since(began), "")
	left, err := s.bucket.List(ctx, schemas.ExportPrefix(e.TenantID, e.ExportID))
	if err != nil {
		return err
	}
	for _, o := range left {
		if schemas.IsArtifact(e.ExportID, o.Key[strings.LastIndex(o.Key, "/")+1:]) {
			return fmt.Errorf("retention left %s", o.Key)
		}
	}
	for e.State != schemas.Expired {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		if e, _, err = s.ledger.Export(ctx, partsTenant, partsExport); err != nil {
			return err
		}
	}
	r.step("until history says that it expired", time.Since(began), "")
	return nil
}

// publishRows publishes interactions, and waits until all are stored.
func (s *system) publishRows(ctx context.Context, rows int) error {
	if stored, err := s.storedRows(ctx); err != nil || stored >= rows {
		return err
	}
	recording := bytes.Repeat([]byte("recording "), recordingBytes/10)
	sum := sha256.Sum256(recording)
	a := schemas.Attachment{AttachmentID: "audio", Size: int64(len(recording)), SHA256: hex.EncodeToString(sum[:]), Object: partsTenant + "/recording"}
	if err := s.bucket.Sibling(s.config.S3.AttachmentsBucket).PutBytes(ctx, a.Object, recording, "audio/wav"); err != nil {
		return err
	}
	failed := make(chan error, 1)
	for n := range rows {
		s.publisher.PublishAsync(ctx, &schemas.Interaction{
			TenantID: partsTenant, InteractionID: fmt.Sprintf("interaction-%08d", n), MediaType: "chat",
			StartedAt: schemas.TimeOf(time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC)), Attachments: []schemas.Attachment{a},
		}, func(err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := s.publisher.Flush(ctx); err != nil {
		return err
	}
	for {
		if stored, err := s.storedRows(ctx); err != nil || stored >= rows {
			return err
		}
		select {
		case err := <-failed:
			return err
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *system) storedRows(ctx context.Context) (int, error) {
	var stored uint64
	err := s.tables.Scan(ctx, "count what is stored", "SELECT count() FROM interactions WHERE tenant_id = '"+partsTenant+"'", nil, &stored)
	return int(stored), err
}

func partsRequest() *schemas.ExportRequest {
	return &schemas.ExportRequest{
		TenantID: partsTenant, ExportID: partsExport, Entity: schemas.EntityInteraction, SplitSize: splitSize,
		From: schemas.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), To: schemas.TimeOf(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)),
		RequestedAt: schemas.TimeOf(time.Now()), RequestedBy: "scale",
	}
}

func (s *system) requestParts(ctx context.Context, cert string) error {
	request := partsRequest()
	request.Recipients = []schemas.Recipient{{Certificate: cert}}
	return s.publisher.Publish(ctx, request)
}

// tellParts publishes what a worker reports of an export of so many parts.
func (s *system) tellParts(ctx context.Context, parts int) error {
	tell := func(states ...*schemas.ExportStatus) error {
		var events []schemas.Event
		for _, e := range states {
			e.TenantID, e.ExportID, e.Time, e.Attempt, e.Worker = partsTenant, partsExport, schemas.TimeOf(time.Now()), 1, "scale"
			events = append(events, e)
		}
		return s.publisher.Publish(ctx, events...)
	}
	request := partsRequest()
	planned := schemas.Totals{Parts: parts, Rows: int64(parts), JSONLBytes: splitSize * int64(parts)}
	err := tell(&schemas.ExportStatus{EventID: "requested", State: schemas.Requested, Request: request, RequestDigest: request.Digest(), Snapshot: schemas.Snapshot{int64(parts)}},
		&schemas.ExportStatus{EventID: "planned", State: schemas.Planned, Planned: &planned})
	if err != nil {
		return err
	}
	const atOnce = 8 // as many as slots may finish together
	prefix := schemas.ExportPrefix(partsTenant, partsExport)
	for first := 1; first <= parts; first += atOnce {
		var some []*schemas.ExportStatus
		for number := first; number < min(first+atOnce, parts+1); number++ {
			key := schemas.RowKey{Time: schemas.TimeOf(time.Date(2026, 1, 1, 0, 0, number, 0, time.UTC)), ID: fmt.Sprintf("interaction-%08d", number)}
			part := schemas.Part{Number: number, First: key, Last: key, Rows: 1, Bytes: splitSize}
			name := schemas.PartName(schemas.EntityInteraction, partsExport, part)
			digest := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
			some = append(some, &schemas.ExportStatus{EventID: schemas.PartEventID(number), State: schemas.Running, Part: &schemas.Receipt{
				Part: part, Name: name, Key: prefix + name, JSONLSHA256: digest, ZipSHA256: digest, SealedSHA256: digest, ZipBytes: 9000, SealedBytes: 9999,
			}})
		}
		if err := tell(some...); err != nil {
			return err
		}
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(nil))
	return tell(&schemas.ExportStatus{EventID: "completed", State: schemas.Completed, Completion: &schemas.Completion{
		ManifestKey: prefix + schemas.ManifestName, ManifestBytes: 1000, ManifestSHA256: digest,
		SignatureKey: prefix + schemas.SignatureName, SignatureBytes: 1000, SignatureSHA256: digest,
		Totals: planned, ExpiresAt: schemas.TimeOf(time.Now().Add(30 * 24 * time.Hour)),
	}})
}

// followParts has the export begin, unless it has, and follows it in history to its end. When
// half of the parts are done it asks for every page and call about it.
func (s *system) followParts(ctx context.Context, n sizes, r *report, roles map[string]*role, begin func() error) (e schemas.Export, err error) {
	before := roles["history"].cpu()
	began, told := time.Now(), time.Now()
	e, known, err := s.ledger.Export(ctx, partsTenant, partsExport)
	if err != nil {
		return e, err
	}
	resumed, halfway := known, false
	begun := make(chan error, 1)
	if !known {
		go func() { begun <- begin() }()
	}
	for !known || !e.State.Ended() {
		if time.Since(told) > 30*time.Second {
			told = time.Now()
			fmt.Fprintf(os.Stderr, "%d of %d parts after %s\n", e.Done.Parts, e.Planned.Parts, time.Since(began).Round(time.Second))
		}
		pause := time.Second // each look is a query that the export shares the cores with
		if e.Planned.Parts > 0 && e.Done.Parts >= e.Planned.Parts-n.parts/1000 {
			pause = 20 * time.Millisecond
		}
		select {
		case err := <-begun:
			if err != nil {
				return e, err
			}
		case <-time.After(pause):
		case <-ctx.Done():
			return e, ctx.Err()
		}
		if !halfway && e.Planned.Parts > 0 && e.Done.Parts > e.Planned.Parts/2 && !n.told {
			halfway = true
			if err := s.visit(ctx, r, func(v *visitor) error { return v.measureExport(r, n, " while it runs") }); err != nil {
				return e, err
			}
		}
		if e, known, err = s.ledger.Export(ctx, partsTenant, partsExport); err != nil {
			return e, err
		}
	}
	if e.State != schemas.Completed || e.Done.AttachmentProblems > 0 || e.Done.Parts < n.parts-n.parts/100 {
		return e, fmt.Errorf("the export is %s with %d of some %d parts: %s %+v", e.State, e.Done.Parts, n.parts, e.Reason, e.Failure)
	}
	r.parts = e.Done.Parts
	if resumed {
		began = e.RequestedAt.Time
	}
	if worker := roles["export"]; worker != nil {
		r.step("plan", e.PlannedAt.Sub(e.RequestedAt.Time), "")
		r.step("export, from request to completed", e.EndedAt.Sub(began), fmt.Sprintf("worker %d MiB", worker.peak()))
	} else {
		r.step("publish what a worker reports", e.EndedAt.Sub(began), "")
	}
	if !resumed {
		r.step("history: from completed until it says so", time.Since(e.EndedAt.Time), fmt.Sprintf("history %d MiB", roles["history"].peak()))
		r.step("history: CPU of the role in all", time.Duration((roles["history"].cpu()-before)*float64(time.Second)), "")
	}
	return e, nil
}

// measureExport asks for every page and call about the export; when says at which time of it.
func (v *visitor) measureExport(r *report, n sizes, when string) error {
	v.choose(partsTenant)
	of := "/exports/" + partsExport
	last := fmt.Sprint(max(0, n.parts-500))
	var artifacts api.Listing[api.ArtifactView]
	if err := v.read(of+"/artifacts?limit=500&tenant="+partsTenant, &artifacts); err != nil {
		return err
	}
	if len(artifacts.Items) == 0 {
		return errors.New("no artifacts are listed")
	}
	for _, path := range []string{
		"/overview", "/exports", of, of + "/parts", of + "/parts?after=" + last, of + "/artifacts", of + "/artifacts?limit=500",
		of + "/artifacts?limit=500&cursor=" + artifacts.Next, "/artifacts", "/artifacts?sort=size", "/audit",
	} {
		if err := v.measure(r, partsTenant, api.Prefix+path, n.requests); err != nil {
			return err
		}
		r.last().when = when
	}
	for _, path := range []string{"/", "/history", "/history/" + partsExport, "/artifacts", "/artifacts?export=" + partsExport, "/audit"} {
		if err := v.measure(r, partsTenant, console.Prefix+path, n.requests); err != nil {
			return err
		}
		r.last().when = when
	}
	return nil
}
