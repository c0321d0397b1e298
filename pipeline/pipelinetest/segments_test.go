package pipelinetest_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/receiver"
	"cdds/schemas"
)

const recordingKey = pipelinetest.Tenant + "/recording"

// recording is an interaction with a recording of so many bytes, and the recording.
func recording(t *testing.T, size int) (*pipelinetest.Source, *pipelinetest.Store, []byte) {
	t.Helper()
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i * i >> 3)
	}
	sum := sha256.Sum256(content)
	records := pipelinetest.Records(3)
	e := *records[1].Event
	e.Attachments = []schemas.Attachment{
		{AttachmentID: "note", Name: "note.txt", Content: "bm90ZQ=="},
		{AttachmentID: "audio", Name: "call.wav", ContentType: "audio/wav", Object: recordingKey, Size: int64(size), SHA256: hex.EncodeToString(sum[:])},
		{AttachmentID: "last", Name: "last.txt", Content: "bGFzdA=="},
	}
	e.Body = nil
	body, err := schemas.Encode(&e)
	check(t, err)
	e.Body, records[1].Event = body, &e
	objects := pipelinetest.NewStore()
	check(t, pipelinetest.PutAttachments(t.Context(), objects, 3))
	check(t, objects.PutBytes(t.Context(), recordingKey, content, ""))
	return pipelinetest.NewSource(records...), objects, content
}

// exported exports everything and returns a directory with the files.
func exported(t *testing.T, source pipeline.Source, objects pipeline.Objects, change func(*pipeline.Export)) (string, *schemas.Manifest) {
	t.Helper()
	cert, key := pair()
	store := pipelinetest.NewStore()
	e := pipeline.New(pipeline.Options{
		Source: source, Store: store, Objects: objects, Spools: pipeline.NewSpools(64 << 20),
		ZipBytes: zipBytes, SegmentBytes: segmentBytes, Certificate: cert, Key: key, Lifetime: time.Hour, Now: time.Now,
	})
	q := pipelinetest.Everything(100, 100)
	x := pipeline.Export{
		ID: "e1", Filter: q.Filter, Snapshot: q.Snapshot, SplitSize: 40 << 10, Encoding: schemas.EncodingSMIME, Recipients: []*x509.Certificate{cert},
	}
	if change != nil {
		change(&x)
	}
	plan, err := e.Plan(t.Context(), x)
	check(t, err)
	var receipts []schemas.Receipt
	for _, part := range plan.Parts {
		receipt, err := e.Export(t.Context(), x, part)
		check(t, err)
		adopted, err := e.Export(t.Context(), x, part)
		if check(t, err); encoded(t, adopted) != encoded(t, receipt) {
			t.Errorf("part %d is adopted as %s, not %s", part.Number, encoded(t, adopted), encoded(t, receipt))
		}
		receipts = append(receipts, receipt)
	}
	_, err = e.Finish(t.Context(), x, schemas.TopicInteractions, slices.Values(receipts))
	check(t, err)
	dir := t.TempDir()
	prefix := schemas.ExportPrefix(pipelinetest.Tenant, "e1")
	all, err := store.List(t.Context(), prefix)
	check(t, err)
	for _, o := range all {
		name := strings.TrimPrefix(o.Key, prefix)
		content, err := store.GetBytes(t.Context(), o.Key, 1<<20)
		check(t, err)
		if schemas.IsArtifact("e1", name) {
			check(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
		} else if !strings.HasSuffix(name, ".json") {
			t.Errorf("%s is no artifact", name)
		}
	}
	content, err := os.ReadFile(filepath.Join(dir, schemas.ManifestName))
	check(t, err)
	m, err := schemas.DecodeManifest(content)
	check(t, err)
	return dir, m
}

func TestARecordingIsSegmentsThatOpenByThemselvesAndJoin(t *testing.T) {
	cert, key := pair()
	openssl, err := exec.LookPath("openssl")
	check(t, err)
	files := t.TempDir()
	for name, text := range map[string][]byte{"cert.pem": pemOf(t, cert), "key.pem": keyOf(t, key)} {
		check(t, os.WriteFile(filepath.Join(files, name), text, 0o600))
	}
	for name, c := range map[string]struct {
		size   int
		change func(*pipeline.Export)
		form   string
	}{
		"several":         {5000, nil, "SMIME"},
		"whole segments":  {5 * segmentBytes, nil, "SMIME"},
		"as DER":          {5000, func(x *pipeline.Export) { x.Encoding = schemas.EncodingDER }, "DER"},
		"with GCM":        {5000, func(x *pipeline.Export) { x.Cipher = schemas.CipherGCM }, "SMIME"},
		"with OAEP":       {5000, func(x *pipeline.Export) { x.KeyTransport = schemas.KeyTransportOAEP }, "SMIME"},
		"just over a zip": {zipBytes + 1, nil, "SMIME"},
	} {
		t.Run(name, func(t *testing.T) {
			source, objects, content := recording(t, c.size)
			dir, m := exported(t, source, objects, c.change)
			report, err := receiver.Decrypt(t.Context(), dir, cert, key.(crypto.Decrypter), filepath.Join(dir, "out"), receiver.Options{Signers: []*x509.Certificate{cert}})
			check(t, err)
			again, err := receiver.Decrypt(t.Context(), dir, cert, key.(crypto.Decrypter), filepath.Join(dir, "out"), receiver.Options{Signers: []*x509.Certificate{cert}})
			if check(t, err); again.Kept.Len() != report.Written.Len() || again.Written.Len() != 0 {
				t.Errorf("a second time it keeps %d of %d files", again.Kept.Len(), report.Written.Len())
			}
			var joined []byte
			segments := 0
			for _, part := range m.Parts {
				for _, s := range part.Segments {
					segments++
					opened, err := exec.Command(openssl, "cms", "-decrypt", "-binary", "-inform", c.form, "-in", filepath.Join(dir, s.Name),
						"-recip", filepath.Join(files, "cert.pem"), "-inkey", filepath.Join(files, "key.pem")).Output()
					check(t, err)
					joined = append(joined, opened...)
				}
				if len(part.Segments) == 0 {
					continue
				}
				got, err := os.ReadFile(filepath.Join(dir, "out", schemas.AttachmentPath(part.Part, 1, "call.wav")))
				if check(t, err); !bytes.Equal(got, content) {
					t.Errorf("decrypt joins %d bytes of %d", len(got), len(content))
				}
			}
			if want := (c.size + segmentBytes - 1) / segmentBytes; segments != want || !bytes.Equal(joined, content) {
				t.Errorf("openssl opens %d segments with %d bytes, want %d with %d", segments, len(joined), want, len(content))
			}
			if m.Totals.AttachmentProblems != 0 {
				t.Errorf("%d attachments are a problem", m.Totals.AttachmentProblems)
			}
		})
	}
}

// changing gives another content from the second time on that an object is opened.
type changing struct {
	*pipelinetest.Store
	t       *testing.T
	opened  int
	content []byte // nil: the object goes away
	etag    bool   // the store says that it changed
}

func (c *changing) OpenAt(ctx context.Context, key, version string, offset, size int64) (io.ReadCloser, string, error) {
	if c.opened++; c.opened == 2 {
		check(c.t, c.Remove(ctx, key))
		if c.content != nil {
			check(c.t, c.PutBytes(ctx, key, c.content, ""))
		}
	}
	if !c.etag {
		version = ""
	}
	return c.Store.OpenAt(ctx, key, version, offset, size)
}

// A recording that is not what its event says must neither end the export nor pass.
func TestARecordingThatCannotBeHadIsALineOfTheIndex(t *testing.T) {
	const size = 5000
	for name, c := range map[string]struct {
		change func(t *testing.T, s *pipelinetest.Store, content []byte) pipeline.Objects
		want   string
	}{
		"it is not there": {func(t *testing.T, s *pipelinetest.Store, _ []byte) pipeline.Objects { return put(t, s, nil) }, "the object is not there"},
		"it is shorter":   {func(t *testing.T, s *pipelinetest.Store, b []byte) pipeline.Objects { return put(t, s, b[:size-1]) }, "its event says 5000"},
		"it is longer":    {func(t *testing.T, s *pipelinetest.Store, b []byte) pipeline.Objects { return put(t, s, append(b, 'x')) }, "the object has more than"},
		"it is corrupt":   {func(t *testing.T, s *pipelinetest.Store, b []byte) pipeline.Objects { return put(t, s, flipped(b)) }, "the object has another SHA-256"},
		"it is replaced": {func(t *testing.T, s *pipelinetest.Store, b []byte) pipeline.Objects {
			return &changing{s, t, 0, flipped(b), true}
		}, "changed or removed while"},
		"it goes away": {func(t *testing.T, s *pipelinetest.Store, _ []byte) pipeline.Objects {
			return &changing{s, t, 0, nil, true}
		}, "changed or removed while"},
		"it changes secretly": {func(t *testing.T, s *pipelinetest.Store, b []byte) pipeline.Objects {
			return &changing{s, t, 0, flipped(b), false}
		}, "changed or removed while"},
	} {
		t.Run(name, func(t *testing.T) {
			cert, key := pair()
			source, objects, content := recording(t, size)
			dir, m := exported(t, source, c.change(t, objects, content), nil)
			if m.Totals.AttachmentProblems != 1 {
				t.Errorf("%d attachments are a problem", m.Totals.AttachmentProblems)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "attachments-*.0??.p7m")); len(left) > 0 {
				t.Errorf("%v are left", left)
			}
			out := filepath.Join(dir, "out")
			_, err := receiver.Decrypt(t.Context(), dir, cert, key.(crypto.Decrypter), out, receiver.Options{Signers: []*x509.Certificate{cert}})
			check(t, err)
			var index []byte
			for _, part := range m.Parts {
				if part.SegmentBytes > 0 {
					index, err = os.ReadFile(filepath.Join(out, schemas.EntryName(m.Filter.Entity, part.Part)))
					check(t, err)
				}
			}
			if !strings.Contains(string(index), `"problem":"`) || !strings.Contains(string(index), c.want) {
				t.Errorf("the index says %q", index)
			}
		})
	}
}

func pemOf(t *testing.T, c *x509.Certificate) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func keyOf(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	check(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func flipped(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)-1] ^= 1
	return b
}

// put replaces the recording.
func put(t *testing.T, s *pipelinetest.Store, content []byte) pipeline.Objects {
	check(t, s.Remove(t.Context(), recordingKey))
	if content != nil {
		check(t, s.PutBytes(t.Context(), recordingKey, content, ""))
	}
	return s
}

func TestASegmentThatIsMissingAddedOrChangedIsFound(t *testing.T) {
	cert, _ := pair()
	for name, c := range map[string]struct {
		change func(name string) error
		want   receiver.Rule
	}{
		"missing": {os.Remove, receiver.RuleMissing},
		"added": {func(name string) error {
			return os.WriteFile(strings.Replace(name, ".002.", ".042.", 1), nil, 0o600)
		}, receiver.RuleNotListed},
		"changed": {func(name string) error {
			content, err := os.ReadFile(name)
			return errors.Join(err, os.WriteFile(name, flipped(content), 0o600))
		}, receiver.RuleDigest},
	} {
		source, objects, _ := recording(t, 5000)
		dir, m := exported(t, source, objects, nil)
		for _, part := range m.Parts {
			if len(part.Segments) > 0 {
				check(t, c.change(filepath.Join(dir, part.Segments[1].Name)))
			}
		}
		_, err := receiver.Verify(t.Context(), dir, receiver.Options{Signers: []*x509.Certificate{cert}})
		var unproven *receiver.UnprovenError
		if !errors.As(err, &unproven) || len(unproven.Violations) != 1 || unproven.Violations[0].Rule != c.want {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// What a worker may hold is decided before anything is exported.
func TestAPartThatNeedsMoreMemoryThanThereIsIsRefusedAtPlanning(t *testing.T) {
	source, objects, _ := recording(t, 5000)
	cert, key := pair()
	q := pipelinetest.Everything(100, 100)
	plan := func(memory int64, change func(*pipeline.Export)) error {
		e := pipeline.New(pipeline.Options{
			Source: source, Store: pipelinetest.NewStore(), Objects: objects, Spools: pipeline.NewSpools(memory),
			ZipBytes: zipBytes, SegmentBytes: 8 << 20, Certificate: cert, Key: key, Lifetime: time.Hour, Now: time.Now,
		})
		x := pipeline.Export{ID: "e1", Filter: q.Filter, Snapshot: q.Snapshot, SplitSize: 64 << 10, Recipients: []*x509.Certificate{cert}}
		if change != nil {
			change(&x)
		}
		_, err := e.Plan(t.Context(), x)
		return err
	}
	err := plan(100<<10, nil)
	if err == nil || !pipeline.IsPermanent(err) || !strings.Contains(err.Error(), "choose a smaller split_size, or raise export.memory") || !strings.Contains(err.Error(), "it can need 1 MiB of memory") {
		t.Errorf("got %v", err)
	}
	gcm := func(x *pipeline.Export) { x.Cipher = schemas.CipherGCM }
	if err := plan(4<<20, gcm); err == nil || !strings.Contains(err.Error(), "it can need 22 MiB of memory, and export.memory is 4 MiB") {
		t.Errorf("a segment sealed whole: got %v", err)
	}
	check(t, plan(4<<20, nil))
	check(t, plan(32<<20, gcm))
}
