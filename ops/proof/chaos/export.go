package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cdds/pipeline/receiver"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

// checkExport holds one export against its manifest, the store, history, and what
// the log says it must hold.
func (c *checker) checkExport(ctx context.Context, f finished) error {
	id, state := f.request.TenantID+"/"+f.request.ExportID, f.export.State
	c.report.fact("exports "+string(state), 1)
	completed := schemas.Completed
	switch {
	case f.deleted:
		completed = schemas.Deleted
	case f.request.TenantID == fleeting:
		completed = schemas.Expired
	}
	allowed := state == completed || f.cancelled && state == schemas.Cancelled
	if !f.valid { // a cancel may come before the refusal
		allowed = state == schemas.Refused || f.cancelled && state == schemas.Cancelled
	}
	c.report.holds(lawEnds, allowed, "%s is %s: %+v %s", id, state, f.export.Failure, f.export.Reason)

	objects, err := c.system.bucket.List(ctx, schemas.ExportPrefix(f.request.TenantID, f.request.ExportID))
	if err != nil {
		return err
	}
	var artifacts []string
	for _, o := range objects {
		if isArtifact(o.Key) {
			artifacts = append(artifacts, o.Key)
		}
	}
	for gone, law := range map[schemas.State]string{schemas.Deleted: lawDeleted, schemas.Expired: lawExpired} {
		if state == gone {
			c.report.holds(law, len(artifacts) == 0, "%s is %s and leaves %v", id, state, artifacts)
			return c.checkNotListed(ctx, f, law, id)
		}
	}
	if state != schemas.Completed {
		c.report.holds(lawCancelled, len(artifacts) == 0, "%s is %s and leaves %v", id, state, artifacts)
		return nil
	}
	for p, acknowledged := range f.acknowledged {
		c.report.holds(lawSnapshot, f.export.Snapshot[p] >= acknowledged, "%s: partition %d ends at %d, and %d was acknowledged", id, p, f.export.Snapshot[p], acknowledged)
	}
	return c.checkArtifacts(ctx, f, id, artifacts)
}

// isArtifact tells files for receivers from the documents by which workers decide.
func isArtifact(key string) bool {
	return strings.HasSuffix(key, ".p7m") || strings.HasSuffix(key, ".p7s") || path.Base(key) == schemas.ManifestName
}

// checkArtifacts does what a receiver does, and compares the outcome.
func (c *checker) checkArtifacts(ctx context.Context, f finished, id string, keys []string) error {
	dir, err := os.MkdirTemp(c.system.dir, "download-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for _, key := range keys {
		content, err := c.system.bucket.GetBytes(ctx, key, 1<<30)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, path.Base(key)), content, 0o600); err != nil {
			return err
		}
	}
	signer, err := c.signer()
	if err != nil {
		return err
	}
	opened, err := receiver.Decrypt(ctx, dir, c.work.cert, c.work.key, filepath.Join(dir, "plain"), receiver.Options{Signers: []*x509.Certificate{signer}})
	c.report.holds(lawReceiver, err == nil, "%s: %v", id, err)
	if err != nil {
		return nil
	}
	m := opened.Manifest
	err = opened.PartsIn(dir, func(part schemas.Receipt) error { m.Parts = append(m.Parts, part); return nil })
	c.report.holds(lawReceiver, err == nil, "%s: the parts of its manifest: %v", id, err)
	listed := []string{f.export.Completion.ManifestKey, f.export.Completion.SignatureKey}
	for _, p := range m.Parts {
		listed = append(listed, p.Key)
	}
	slices.Sort(listed)
	slices.Sort(keys)
	c.report.holds(lawObjects, slices.Equal(listed, keys), "%s: stored are %v, listed %v", id, keys, listed)
	vouched := f.export.Completion.SignerSHA256
	c.report.holds(lawHistory, vouched == smime.Fingerprint(signer), "%s: history vouches for %q, which did not sign it", id, vouched)
	c.checkHistory(ctx, f, id, m, dir)
	return c.checkLines(f, id, m, slices.Collect(opened.Written.Paths()))
}

// checkNotListed holds that admins are shown no artifact of an export that is gone.
func (c *checker) checkNotListed(ctx context.Context, f finished, law, id string) error {
	var listed uint64
	err := c.system.conn.QueryRow(ctx, "SELECT count() FROM artifacts FINAL WHERE tenant_id = ? AND export_id = ? AND removed_at IS NULL",
		f.request.TenantID, f.request.ExportID).Scan(&listed)
	c.report.holds(law, err != nil || listed == 0, "%s is gone, and %d artifacts are listed", id, listed)
	return err
}

func (c *checker) checkHistory(ctx context.Context, f finished, id string, m *schemas.Manifest, dir string) {
	told, _ := json.Marshal(f.export.Parts)
	signed, _ := json.Marshal(m.Parts)
	c.report.holds(lawHistory, bytes.Equal(told, signed) || len(f.export.Parts)+len(m.Parts) == 0, "%s: parts in history %s, in the manifest %s", id, told, signed)
	c.report.holds(lawHistory, slices.Equal(f.export.Snapshot, m.Snapshot), "%s: snapshot in history %v, in the manifest %v", id, f.export.Snapshot, m.Snapshot)
	for name, sum := range map[string]string{
		schemas.ManifestName: f.export.Completion.ManifestSHA256, schemas.SignatureName: f.export.Completion.SignatureSHA256,
	} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		stored := sha256.Sum256(content)
		c.report.holds(lawHistory, err == nil && hex.EncodeToString(stored[:]) == sum, "%s: %s is not the one history knows, %v", id, name, err)
	}
	var listed uint64
	err := c.system.conn.QueryRow(ctx, "SELECT count() FROM artifacts FINAL WHERE tenant_id = ? AND export_id = ?", m.TenantID, m.ExportID).Scan(&listed)
	c.report.holds(lawHistory, err == nil && listed == uint64(len(m.Parts)+2), "%s: %d artifacts are listed for %d parts, %v", id, listed, len(m.Parts), err)
}

// checkLines compares the decrypted files with the model.
func (c *checker) checkLines(f finished, id string, m *schemas.Manifest, files []string) error {
	var got []byte
	for _, file := range files {
		if !strings.HasPrefix(filepath.Base(file), f.request.Entity+"-") {
			continue // the index of a part of attachments
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		got = append(got, content...)
	}
	topic, _ := schemas.SourceOf(f.request.Entity)
	law, since := lawLines, schemas.Snapshot(nil)
	if f.request.TenantID == forgetful {
		law = lawErased
	}
	if f.base != nil {
		law, since = lawSince, f.base.completed
		c.report.holds(law, slices.Equal(m.Since, since), "%s goes on from %v, and %s ended at %v", id, m.Since, f.base.request.ExportID, since)
	}
	want := expected(c.log[topic], f.request, m.Snapshot, since)
	c.report.fact("lines compared", int64(len(want)))
	lines := bytes.SplitAfter(got, []byte("\n"))
	lines = lines[:len(lines)-1] // after the last line feed
	for i := range max(len(lines), len(want)) {
		if i >= len(lines) || i >= len(want) || !bytes.Equal(bytes.TrimSuffix(lines[i], []byte("\n")), want[i].value) {
			c.report.holds(law, false, "%s: %d lines, want %d, and line %d differs", id, len(lines), len(want), i+1)
			return nil
		}
	}
	c.report.holds(law, true, "")
	return c.checkAttachments(id, want, files)
}

// checkAttachments compares the files that came out of parts with attachments with what
// the records carry.
func (c *checker) checkAttachments(id string, want []record, files []string) error {
	name := func(interaction string, at time.Time, attachment string) string {
		return fmt.Sprint(interaction, " ", at.UTC(), " ", attachment)
	}
	got := map[string]string{}
	for _, file := range files {
		if !strings.HasPrefix(filepath.Base(file), schemas.KindAttachments+"-") || filepath.Ext(file) != ".jsonl" {
			continue
		}
		index, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(index) {
			var l schemas.AttachmentLine
			if err := json.Unmarshal(line, &l); err != nil {
				return err
			}
			content, err := os.ReadFile(filepath.Join(filepath.Dir(file), l.File))
			c.report.holds(lawAttached, err == nil, "%s: %+v, %v", id, l, err)
			got[name(l.InteractionID, l.StartedAt.Time, l.AttachmentID)] = string(content)
		}
	}
	carried := 0
	for _, r := range want {
		for _, a := range r.attachments {
			carried++
			content, there := got[name(r.id, r.time, a.ID)]
			c.report.holds(lawAttached, there && content == string(a.Content), "%s: attachment %s of %v is %q, and was %q", id, a.ID, r.position, content, a.Content)
		}
	}
	c.report.holds(lawAttached, len(got) == carried, "%s: %d attachments, want %d", id, len(got), carried)
	return nil
}

// expected is the model of an export: of the records at or past since and below the
// snapshot the newest version of each row, filtered, in order of time and id.
func expected(log []record, r *schemas.ExportRequest, snapshot, since schemas.Snapshot) []record {
	newest := map[string]record{}
	for _, l := range log {
		if l.garbled || l.erased || l.tenant != r.TenantID || l.offset >= snapshot[l.partition] || len(since) > 0 && l.offset < since[l.partition] ||
			l.time.Before(r.From.Time) || !l.time.Before(r.To.Time) {
			continue
		}
		row := l.time.UTC().String() + " " + l.id
		if old, ok := newest[row]; !ok || cmp.Or(cmp.Compare(l.offset, old.offset), cmp.Compare(l.partition, old.partition)) > 0 {
			newest[row] = l
		}
	}
	var all []record
	for _, l := range newest {
		if len(r.MediaTypes) == 0 || slices.Contains(r.MediaTypes, l.media) {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b record) int { return cmp.Or(a.time.Compare(b.time), strings.Compare(a.id, b.id)) })
	return all
}

// signer is the service's certificate, as a receiver would pin it.
func (c *checker) signer() (*x509.Certificate, error) {
	content, err := os.ReadFile(c.system.local.Config.Service.CertFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", c.system.local.Config.Service.CertFile)
	}
	return x509.ParseCertificate(block.Bytes)
}
