package app_test

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/dustin/go-humanize"

	"cdds/ops/app"
	"cdds/pipeline/bucket"
	"cdds/pipeline/receiver"
	"cdds/schemas"
)

// generated is content that does not compress, as long as wanted and kept nowhere.
type generated struct {
	size, at int64
	random   *rand.ChaCha8
}

func (g *generated) Read(p []byte) (int, error) {
	if g.at == g.size {
		return 0, io.EOF
	}
	n, err := g.random.Read(p[:min(int64(len(p)), g.size-g.at)])
	g.at += int64(n)
	return n, err
}

func (g *generated) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, errors.ErrUnsupported
	}
	g.at, g.random = 0, rand.NewChaCha8([32]byte{1})
	return 0, nil
}

func generate(size int64) *generated {
	return &generated{size: size, random: rand.NewChaCha8([32]byte{1})}
}

// peak returns by how much the process's resident memory exceeded what it was before, at
// most, while do ran.
func peak(t *testing.T, do func()) int64 {
	t.Helper()
	read := func(name string) (kib int64) {
		status, err := os.ReadFile("/proc/self/status")
		check(t, err)
		_, rest, _ := strings.Cut(string(status), name+":")
		_, err = fmt.Sscan(rest, &kib)
		check(t, err)
		return kib
	}
	debug.FreeOSMemory()
	check(t, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)) // VmHWM begins again
	before := read("VmRSS")
	do()
	return (read("VmHWM") - before) << 10
}

// CDDS_RECORDING=5GiB go test ./ops/app -run Recording -v measures one of that size.
func TestARecordingPassesThroughWorkerAndReceiverInFlatMemory(t *testing.T) {
	const most = 64 << 20 // over idle, for the worker and for the receiver
	size, segment := int64(80<<20), int64(32<<20)
	if text := os.Getenv("CDDS_RECORDING"); text != "" {
		n, err := humanize.ParseBytes(text)
		check(t, err)
		size, segment = int64(n), 256<<20
	}
	w := newWorld(t)
	w.config.Export.SegmentSize = 0
	check(t, w.config.Export.SegmentSize.UnmarshalText([]byte(fmt.Sprint(segment))))
	w.run("ingest", "export", "history")
	sum := sha256.New()
	_, err := io.Copy(sum, generate(size))
	check(t, err)
	digest := hex.EncodeToString(sum.Sum(nil))
	const key = "acme/2026/call.wav"
	objects := w.bucket.Sibling(w.config.S3.AttachmentsBucket)
	check(t, objects.Put(t.Context(), key, bucket.Content{Body: generate(size), Size: size, SHA256: digest, Type: "audio/wav"}))
	call := interaction("acme", 1)
	call.Attachments = []schemas.Attachment{{AttachmentID: "audio", Name: "call.wav", Size: size, SHA256: digest, Object: key}}
	w.publish(call)
	none := w.request("acme", "idle")
	none.Attachments = schemas.AttachmentsNone
	w.publish(none)
	w.await("acme", "idle")

	var e schemas.Export
	worker := peak(t, func() {
		w.publish(w.request("acme", "e1"))
		e = w.awaitWithin(patience*time.Duration(1+size>>29), "acme", "e1", func(e schemas.Export) bool { return e.State.Ended() })
	})
	if e.State != schemas.Completed || e.Done.Attachments != 1 || e.Done.AttachmentProblems != 0 {
		t.Fatalf("%s, %+v, %+v", e.State, e.Failure, e.Done)
	}
	t.Logf("%s: the worker's resident memory rose by at most %s", humanize.IBytes(uint64(size)), humanize.IBytes(uint64(worker)))
	check(t, objects.Remove(t.Context(), key)) // room on the disk for what follows
	dir, out := t.TempDir(), t.TempDir()
	for _, a := range schemas.Artifacts(e) {
		w.fetch(a.Key, filepath.Join(dir, a.Name))
		check(t, w.bucket.Remove(t.Context(), a.Key))
	}
	pair, err := tls.LoadX509KeyPair(w.cert, w.key)
	check(t, err)
	signer, err := app.LoadSigner(w.config.Service)
	check(t, err)
	var segments []schemas.Segment
	var file string
	for _, part := range e.Parts {
		if part.SegmentBytes > 0 {
			segments, file = part.Segments, filepath.Join(out, schemas.AttachmentPath(part.Part, 1, "call.wav"))
		}
	}
	received := peak(t, func() {
		_, err = receiver.Decrypt(context.WithoutCancel(t.Context()), dir, pair.Leaf, pair.PrivateKey.(*rsa.PrivateKey), out, receiver.Options{Signers: []*x509.Certificate{signer.Certificate}})
	})
	check(t, err)
	t.Logf("%d segments: the receiver's rose by at most %s", len(segments), humanize.IBytes(uint64(received)))
	if worker > most || received > most {
		t.Errorf("that is more than %s", humanize.IBytes(most))
	}
	joined, err := os.Open(file)
	check(t, err)
	defer joined.Close()
	sum.Reset()
	_, err = io.Copy(sum, joined)
	if check(t, err); hex.EncodeToString(sum.Sum(nil)) != digest {
		t.Error("what decrypt joins is another recording")
	}
	sum.Reset()
	for _, s := range segments {
		openssl := exec.Command("openssl", "cms", "-decrypt", "-binary", "-in", filepath.Join(dir, s.Name), "-recip", w.cert, "-inkey", w.key)
		openssl.Stdout, openssl.Stderr = sum, t.Output()
		check(t, openssl.Run())
	}
	if want := int((size + segment - 1) / segment); len(segments) != want || hex.EncodeToString(sum.Sum(nil)) != digest {
		t.Errorf("openssl opens %d segments of %d to another recording", len(segments), want)
	}
}

// fetch streams an object to a file.
func (w *world) fetch(key, file string) {
	w.t.Helper()
	r, err := w.bucket.Open(w.t.Context(), key)
	check(w.t, err)
	f, err := os.Create(file)
	check(w.t, err)
	_, err = io.Copy(f, r)
	check(w.t, errors.Join(err, f.Close(), r.Close()))
}
