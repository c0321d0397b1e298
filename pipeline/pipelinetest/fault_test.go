package pipelinetest_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/smime"
	"cdds/schemas"
)

// pair is the recipient's certificate and, for once, the signer's too.
var pair = sync.OnceValues(func() (*x509.Certificate, crypto.Signer) {
	cert, key, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "both", Bits: 2048})
	if err != nil {
		panic(err)
	}
	both, err := tls.X509KeyPair(cert, key)
	if err != nil {
		panic(err)
	}
	return both.Leaf, both.PrivateKey.(crypto.Signer)
})

// rowsHeld is how many interactions the exports of these tests have.
const rowsHeld = 600

// The largest objects of these tests are cut into segments.
const zipBytes, segmentBytes = 1500, 600

// worker does what an export worker does with one request, from the beginning, and
// returns at the first error: then it is dead. What it learnt dies with it.
func worker(t *testing.T, store pipeline.Store, source pipeline.Source, objects pipeline.Objects) (schemas.Completion, error) {
	cert, key := pair()
	e := pipeline.New(pipeline.Options{
		Source: source, Store: store, Objects: objects, Spools: pipeline.NewSpools(64 << 20),
		ZipBytes: zipBytes, SegmentBytes: segmentBytes,
		Certificate: cert, Key: key, Lifetime: time.Hour, Now: time.Now,
	})
	q := pipelinetest.Everything(rowsHeld, rowsHeld)
	r := &schemas.ExportRequest{TenantID: pipelinetest.Tenant, ExportID: "e1", Entity: q.Filter.Entity, From: q.Filter.From, To: q.Filter.To}
	a, err := e.Accept(t.Context(), r, pipeline.Origin{}, func() (pipeline.Acceptance, error) { return pipeline.Acceptance{Snapshot: q.Snapshot}, nil })
	if err != nil {
		return schemas.Completion{}, err
	}
	x := pipeline.Export{
		ID: r.ExportID, Filter: q.Filter, Snapshot: a.Snapshot, SplitSize: 40 << 10,
		Encoding: schemas.EncodingDER, Recipients: []*x509.Certificate{cert},
	}
	plan, err := e.Plan(t.Context(), x)
	if err != nil {
		return schemas.Completion{}, err
	}
	var receipts []schemas.Receipt
	for _, part := range plan.Parts {
		receipt, err := e.Export(t.Context(), x, part)
		if err != nil {
			return schemas.Completion{}, err
		}
		receipts = append(receipts, receipt)
	}
	return e.Finish(t.Context(), x, schemas.TopicInteractions, slices.Values(receipts))
}

// contents checks that the manifest matches what is stored, nothing more and nothing
// less, and returns what must be equal between exports of one snapshot.
func contents(t *testing.T, store pipeline.Store, c schemas.Completion) (digests []string) {
	t.Helper()
	content, err := store.GetBytes(t.Context(), c.ManifestKey, 1<<20)
	check(t, err)
	m, err := schemas.DecodeManifest(content)
	check(t, err)
	signature, err := store.GetBytes(t.Context(), c.SignatureKey, 1<<20)
	check(t, err)
	if _, err := smime.Verify(content, signature); err != nil {
		t.Error("the signature:", err)
	}
	listed := []string{c.ManifestKey, c.SignatureKey}
	for _, p := range m.Parts {
		listed = append(listed, p.Key)
		o, err := store.Stat(t.Context(), p.Key)
		if err != nil || o.Size != p.SealedBytes || o.Metadata["sealed-sha256"] != p.SealedSHA256 {
			t.Errorf("part %d is not the one the manifest lists: %+v, %v", p.Number, o, err)
		}
		digests = append(digests, fmt.Sprint(p.Number, p.Rows, p.JSONLSHA256, p.ZipSHA256))
		for _, s := range p.Segments {
			listed = append(listed, s.Key)
			o, err := store.Stat(t.Context(), s.Key)
			if err != nil || o.Size != s.SealedBytes || o.Metadata["sealed-sha256"] != s.SealedSHA256 {
				t.Errorf("segment %s is not the one the manifest lists: %+v, %v", s.Name, o, err)
			}
			digests = append(digests, fmt.Sprint(s.Name, s.Bytes, s.SHA256))
		}
	}
	objects, err := store.List(t.Context(), "")
	check(t, err)
	for _, o := range objects {
		decides := strings.HasSuffix(o.Key, "/accepted.json") || strings.HasSuffix(o.Key, "/plan.json") || strings.HasPrefix(o.Key, pipeline.Reserved)
		if !decides && !slices.Contains(listed, o.Key) {
			t.Errorf("%s is an orphan", o.Key)
		}
	}
	return digests
}

// held is what the attachments of these tests refer to.
func held(t *testing.T) *pipelinetest.Store {
	t.Helper()
	objects := pipelinetest.NewStore()
	check(t, pipelinetest.PutAttachments(t.Context(), objects, rowsHeld))
	return objects
}

// undisturbed is the export without faults, and how many calls it makes.
func undisturbed(t *testing.T, source pipeline.Source) (digests []string, calls int) {
	t.Helper()
	var counted pipelinetest.Faults
	store := pipelinetest.NewStore()
	c, err := worker(t, counted.Store(store), counted.Source(source), counted.Objects(held(t)))
	check(t, err)
	if c.Totals.Parts < 2 || c.Totals.Rows != rowsHeld {
		t.Fatalf("%d parts with %d rows", c.Totals.Parts, c.Totals.Rows)
	}
	if c.Totals.Attachments < 50 || c.Totals.AttachmentProblems > 0 {
		t.Fatalf("of %d attachments %d are not there", c.Totals.Attachments, c.Totals.AttachmentProblems)
	}
	return contents(t, store, c), counted.Calls()
}

func TestOnlyASignatureOfItsOwnIsVouchedFor(t *testing.T) {
	source, store, objects := pipelinetest.NewSource(pipelinetest.Records(rowsHeld)...), pipelinetest.NewStore(), held(t)
	c, err := worker(t, store, source, objects)
	check(t, err)
	if cert, _ := pair(); c.SignerSHA256 != smime.Fingerprint(cert) {
		t.Errorf("the signer is reported as %q", c.SignerSHA256)
	}
	certPEM, keyPEM, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "somebody else", Bits: 2048})
	check(t, err)
	other, err := tls.X509KeyPair(certPEM, keyPEM)
	check(t, err)
	manifest, err := store.GetBytes(t.Context(), c.ManifestKey, 1<<20)
	check(t, err)
	signature, err := smime.Sign(manifest, other.Leaf, other.PrivateKey.(crypto.Signer))
	check(t, err)
	check(t, store.Remove(t.Context(), c.SignatureKey))
	check(t, store.PutBytes(t.Context(), c.SignatureKey, signature, ""))
	if c, err = worker(t, store, source, objects); err != nil || c.SignerSHA256 != "" {
		t.Errorf("the signature of somebody else is vouched for as %q, %v", c.SignerSHA256, err)
	}
}

func TestAWorkerThatDiesAtAnyStepIsSucceededWithTheSameDigests(t *testing.T) {
	source, objects := pipelinetest.NewSource(pipelinetest.Records(rowsHeld)...), held(t)
	want, calls := undisturbed(t, source)
	for n := 1; n <= calls; n++ {
		for _, moment := range []pipelinetest.Moment{pipelinetest.Before, pipelinetest.After} {
			store, faults := pipelinetest.NewStore(), pipelinetest.FailAt(n, moment)
			_, err := worker(t, faults.Store(store), faults.Source(source), faults.Objects(objects))
			if !errors.Is(err, pipelinetest.ErrInjected) || pipeline.IsPermanent(err) {
				t.Errorf("call %d, after its effect %v: the worker said %v", n, moment, err)
			}
			c, err := worker(t, store, source, objects)
			if err != nil {
				t.Errorf("call %d, after its effect %v: the successor said %v", n, moment, err)
				continue
			}
			if got := contents(t, store, c); !slices.Equal(got, want) {
				t.Errorf("call %d, after its effect %v: the digests are not those of an undisturbed run", n, moment)
			}
		}
	}
	t.Logf("%d faults, one by one", 2*calls)
}

func TestAZombieThatWakesUpAtAnyStepEndsInTheSameSet(t *testing.T) {
	source, objects := pipelinetest.NewSource(pipelinetest.Records(rowsHeld)...), held(t)
	want, calls := undisturbed(t, source)
	for n := 1; n <= calls; n++ {
		for _, moment := range []pipelinetest.Moment{pipelinetest.Before, pipelinetest.After} {
			store := pipelinetest.NewStore()
			paused, wake := make(chan struct{}), make(chan struct{})
			faults := &pipelinetest.Faults{Step: func(call int, m pipelinetest.Moment) error {
				if call == n && m == moment {
					close(paused)
					<-wake
				}
				return nil
			}}
			var slow schemas.Completion
			var slowErr error
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				slow, slowErr = worker(t, faults.Store(store), faults.Source(source), faults.Objects(objects))
			}()
			<-paused
			quick, err := worker(t, store, source, objects) // the whole export, while the other sleeps
			close(wake)
			<-ended
			if err != nil || slowErr != nil {
				t.Errorf("asleep in call %d, after its effect %v: the workers said %v and %v", n, moment, err, slowErr)
				continue
			}
			if a, b := encoded(t, quick), encoded(t, slow); a != b {
				t.Errorf("asleep in call %d, after its effect %v: one reports %s, the other %s", n, moment, a, b)
			}
			if got := contents(t, store, slow); !slices.Equal(got, want) {
				t.Errorf("asleep in call %d, after its effect %v: the digests are not those of an undisturbed run", n, moment)
			}
		}
	}
}

func TestTwoWorkersAtOnceOnTheRealStoreEndInOneSet(t *testing.T) {
	source, objects := clickHouse(t, rowsHeld), held(t)
	want, _ := undisturbed(t, source)
	store := s3(t, "two-workers")
	var completions [3]schemas.Completion
	var working sync.WaitGroup
	for i := range completions {
		working.Go(func() {
			var err error
			if completions[i], err = worker(t, store, source, objects); err != nil {
				t.Error(err)
			}
		})
	}
	working.Wait()
	for _, c := range completions {
		if encoded(t, c) != encoded(t, completions[0]) {
			t.Errorf("one reports %+v, another %+v", c, completions[0])
		}
	}
	if got := contents(t, store, completions[0]); !slices.Equal(got, want) {
		t.Error("the digests are not those of an undisturbed run")
	}
}

func encoded(t *testing.T, c any) string {
	t.Helper()
	b, err := json.Marshal(c)
	check(t, err)
	return string(b)
}
