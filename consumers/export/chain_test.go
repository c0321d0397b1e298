package export_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cdds/consumers/export"
	"cdds/pipeline"
	"cdds/pipeline/pipelinetest"
	"cdds/pipeline/receiver"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// racing is a source that lets something happen while an export is at work.
type racing struct {
	pipeline.Source
	meanwhile *atomic.Pointer[func()]
}

func (r racing) Rows(ctx context.Context, q warehouse.Query, first, last schemas.RowKey) (warehouse.Lines, error) {
	if happen := r.meanwhile.Swap(nil); happen != nil {
		(*happen)()
	}
	return r.Source.Rows(ctx, q, first, last)
}

// chain is a job's, and what a receiver made of its runs.
type chain struct {
	*scene
	t       *rapid.T
	dir     string
	filter  schemas.Filter
	policy  *schemas.FieldPolicy
	from    schemas.Time
	runs    int
	folded  map[schemas.RowKey]string
	number  int
	sha256  string
	reached schemas.Snapshot
	// superseded counts the runs that lost their place.
	superseded int
	failing    atomic.Bool
	during     atomic.Pointer[func()]
	workers    [2]*export.Worker
}

func newChain(t *rapid.T, dir string) *chain {
	c := &chain{scene: newScene(), t: t, dir: dir, filter: pipelinetest.Everything().Filter}
	c.erased = map[string]pipelinetest.Erased{}
	around := func(inner pipeline.Source) pipeline.Source {
		return racing{broken{inner, &c.failing}, &c.during}
	}
	c.workers = [2]*export.Worker{c.worker(nil, around), c.worker(nil, around)}
	return c
}

// publish appends some versions of interactions, which may be anywhere.
func (c *chain) publish(t *rapid.T) {
	ends := c.ends()
	for range rapid.IntRange(0, 6).Draw(t, "published") {
		n := rapid.IntRange(0, 9).Draw(t, "interaction")
		p := n % 2
		if rapid.IntRange(0, 3).Draw(t, "elsewhere") == 0 {
			p = 1 - p
		}
		e := &schemas.Interaction{
			InteractionID: fmt.Sprint("i", n), TenantID: pipelinetest.Tenant, MediaType: rapid.SampledFrom([]string{"chat", "voice"}).Draw(t, "media"),
			StartedAt: schemas.TimeOf(c.filter.From.Add(time.Duration(n*37%10) * time.Hour)), Text: fmt.Sprint("version at ", p, "/", ends[p]),
		}
		body, err := schemas.Encode(e)
		fatal(t, err)
		e.Body = body
		c.mu.Lock()
		at := schemas.TimeOf(c.filter.From.Add(time.Duration(len(c.records)/2) * time.Second)) // two at once
		c.records = append(c.records, schemas.Record[*schemas.Interaction]{Event: e, Partition: int32(p), Offset: ends[p], Time: at})
		c.mu.Unlock()
		ends[p]++
	}
}

// next is the request of the next run.
func (c *chain) next() *schemas.ExportRequest {
	c.runs++
	r := request(fmt.Sprintf("run-%d", c.runs))
	r.JobID, r.Chained, r.ChainFrom = "nightly", true, c.from
	r.MediaTypes, r.Queues, r.FieldPolicy = c.filter.MediaTypes, c.filter.Queues, c.policy
	return r
}

// do handles a request, and those that superseded runs are requested again by.
func (c *chain) do(worker int, r *schemas.ExportRequest) {
	if err := c.handle(context.Background(), c.workers[worker], r); err != nil {
		c.t.Fatal(err)
	}
	c.again(worker)
}

// again handles the requests of runs that were superseded.
func (c *chain) again(worker int) {
	for len(c.requested) > 0 {
		again := c.requested[0]
		c.superseded++
		c.requested = c.requested[1:]
		if err := c.handle(context.Background(), c.workers[worker], again); err != nil {
			c.t.Fatal(err)
		}
	}
}

// receive applies what a receiver finds in the store, in order, and compares what it has
// with the whole.
func (c *chain) receive() {
	prefix := schemas.ExportPrefix(pipelinetest.Tenant, "")
	prefix = strings.TrimSuffix(prefix, "/")
	objects, _ := c.store.List(context.Background(), prefix)
	for found := true; found; {
		found = false
		for _, o := range objects {
			if !strings.HasSuffix(o.Key, "/"+schemas.ManifestName) {
				continue
			}
			content, err := c.store.GetBytes(context.Background(), o.Key, 1<<20)
			fatal(c.t, err)
			m, err := schemas.DecodeManifest(content)
			fatal(c.t, err)
			if m.Chain == nil || m.Chain.Number <= c.number || m.Chain.Number > c.number+1 && !m.Chain.Whole() {
				continue
			}
			c.apply(m)
			found = true
		}
	}
}

func (c *chain) apply(m *schemas.Manifest) {
	if !m.Chain.Whole() && m.Chain.PreviousManifestSHA256 != c.sha256 {
		c.t.Fatalf("run %d continues %s with %.8s, and before came %.8s", m.Chain.Number, m.Chain.PreviousExportID, m.Chain.PreviousManifestSHA256, c.sha256)
	}
	if p, past := m.Snapshot.Past(c.reached); past {
		c.t.Fatalf("run %d ends at %v, before %v in partition %d", m.Chain.Number, m.Snapshot, c.reached, p)
	}
	c.reached = m.Snapshot
	dir := filepath.Join(c.dir, m.ExportID)
	fatal(c.t, os.MkdirAll(dir, 0o700))
	defer os.RemoveAll(dir)
	objects, _ := c.store.List(context.Background(), schemas.ExportPrefix(m.TenantID, m.ExportID))
	for _, o := range objects {
		name := filepath.Base(o.Key)
		if !schemas.IsArtifact(m.ExportID, name) {
			continue
		}
		b, err := c.store.GetBytes(context.Background(), o.Key, 1<<30)
		fatal(c.t, err)
		fatal(c.t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	both, _ := pair()
	e, err := receiver.Open(context.Background(), dir, both.Leaf, both.PrivateKey.(crypto.Decrypter), filepath.Join(dir, "scratch"), receiver.Options{Signers: []*x509.Certificate{both.Leaf}})
	fatal(c.t, err)
	defer e.Close()
	if m.Chain.Whole() {
		c.folded = map[schemas.RowKey]string{}
	}
	for _, kind := range []string{schemas.KindRemoved, ""} {
		for _, part := range m.Parts {
			if part.Kind != kind {
				continue
			}
			fatal(c.t, e.Lines(context.Background(), part, func(line []byte) error {
				if kind == "" {
					row, err := schemas.DecodeInteraction(bytes.Clone(line))
					c.folded[schemas.RowKey{Time: row.StartedAt, ID: row.InteractionID}] = string(line)
					return err
				}
				r, err := schemas.DecodeRemoval(line)
				for key := range c.folded {
					if key.ID == r.ID && (r.Time.IsZero() || r.Time == key.Time) {
						delete(c.folded, key)
					}
				}
				return err
			}))
		}
	}
	c.number, c.sha256 = m.Chain.Number, e.ManifestSHA256
	c.compare(m)
}

// compare compares what the receiver has with the whole export. Of versions that were erased
// since nothing can be asked any more.
func (c *chain) compare(m *schemas.Manifest) {
	for _, e := range c.erased {
		if e.At.After(m.CreatedAt.Time) {
			return
		}
	}
	whole := warehouse.Query{Filter: m.Filter, Snapshot: m.Snapshot, Scattered: true}
	want, err := c.source().Rows(context.Background(), whole, schemas.RowKey{}, schemas.RowKey{Time: m.Filter.To})
	fatal(c.t, err)
	lines, err := io.ReadAll(want)
	fatal(c.t, err)
	n := 0
	for line := range bytes.Lines(lines) {
		line = c.shown(m, bytes.TrimSuffix(line, []byte("\n")))
		row, err := schemas.DecodeInteraction(bytes.Clone(line))
		fatal(c.t, err)
		n++
		if got := c.folded[schemas.RowKey{Time: row.StartedAt, ID: row.InteractionID}]; got != string(line) {
			c.t.Fatalf("after run %d (%s) %s is\n%s, and the whole has\n%s", m.Chain.Number, m.ExportID, row.InteractionID, got, line)
		}
	}
	if n != len(c.folded) {
		c.t.Fatalf("after run %d (%s) the receiver has %d rows, and the whole %d", m.Chain.Number, m.ExportID, len(c.folded), n)
	}
}

// shown is a row as the policy of a manifest shows it.
func (c *chain) shown(m *schemas.Manifest, line []byte) []byte {
	if m.FieldPolicy == nil {
		return line
	}
	key, err := schemas.NewPseudonymKey(c.secret, m.TenantID)
	fatal(c.t, err)
	r, err := chainPolicies[m.FieldPolicy.Digest].Redact(m.Filter.Entity, key)
	fatal(c.t, err)
	shown, err := r.Line().Append(nil, line)
	fatal(c.t, err)
	return shown
}

// chainPolicies are the policies that a chain is drawn under, by their digests.
var chainPolicies = func() map[string]*schemas.FieldPolicy {
	all := map[string]*schemas.FieldPolicy{}
	for _, p := range []*schemas.FieldPolicy{{LeaveOut: []string{"/text"}}, {Pseudonym: []string{"/interaction_id"}}, {Preset: schemas.PresetPersonal}} {
		all[p.Applied(schemas.EntityInteraction, "").Digest] = p
	}
	return all
}()

// TestRunsOfAChainTogetherAreAlwaysTheWhole draws histories of updates, late versions in any
// partition, changes of the filter, erasures, failed, retried and cancelled runs, runs at
// work together and chains started over. What a receiver makes of the runs, in order and by
// their manifests alone, must be what one whole export has.
func TestRunsOfAChainTogetherAreAlwaysTheWhole(t *testing.T) {
	runsAreTheWhole(t, 30, chainSteps)
}

// The same under field policies that change: the receiver has what they show of the whole.
func TestRunsOfAChainUnderFieldPoliciesAreAlwaysWhatTheseShowOfTheWhole(t *testing.T) {
	runsAreTheWhole(t, 12, append(slices.Clone(chainSteps), "policy", "policy"))
}

// chainSteps are in an order that histories in testdata were recorded with.
var chainSteps = []string{"run", "run", "run", "filter", "erase", "race", "fail", "cancel", "restart", "overtaken"}

func runsAreTheWhole(t *testing.T, histories int, steps []string) {
	dir := t.TempDir()
	tried, superseded := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		if tried++; tried > histories { // each seals some twenty exports; the seed varies from run to run
			return
		}
		c := newChain(t, dir)
		defer func() { superseded += c.superseded }()
		for range rapid.IntRange(3, 14).Draw(t, "steps") {
			c.publish(t)
			switch rapid.SampledFrom(steps).Draw(t, "step") {
			case "run":
				c.do(0, c.next())
			case "filter":
				c.filter.MediaTypes = rapid.SampledFrom([][]string{nil, {"chat"}, {"voice"}}).Draw(t, "media")
				c.do(0, c.next())
			case "policy":
				digests := append(slices.Sorted(maps.Keys(chainPolicies)), "")
				c.policy = chainPolicies[rapid.SampledFrom(digests).Draw(t, "policy")]
				c.do(0, c.next())
			case "erase":
				below := c.ends()
				if rapid.Bool().Draw(t, "some versions") {
					below[0] = rapid.Int64Range(0, below[0]).Draw(t, "below")
				}
				c.erased[fmt.Sprint("i", rapid.IntRange(0, 9).Draw(t, "id"))] = pipelinetest.Erased{Below: below, At: time.Now()}
				c.do(0, c.next())
			case "race":
				other := c.next()
				happen := func() { c.publish(t); c.do(1, other) }
				c.during.Store(&happen)
				c.do(0, c.next())
				c.during.Store(nil)
			case "fail":
				r := c.next()
				c.failing.Store(true)
				c.do(0, r)
				c.failing.Store(false)
				if rapid.Bool().Draw(t, "another run meanwhile") {
					c.do(0, c.next())
				}
				c.do(0, control(schemas.ActionRetry, r.ExportID))
			case "cancel":
				r := c.next()
				c.failing.Store(true)
				c.do(0, r)
				c.failing.Store(false)
				c.do(0, control(schemas.ActionCancel, r.ExportID))
			case "overtaken": // its snapshot is older than that of the run that completes first
				late := c.next()
				fatal(t, c.workers[1].Handle(context.Background(), c.published(late)))
				c.publish(t)
				c.do(0, c.next())
				fatal(t, c.workers[1].Work(context.Background()))
				c.again(1)
			case "restart":
				c.from = schemas.TimeOf(time.Now().Add(2 * time.Millisecond))
				time.Sleep(4 * time.Millisecond)
				r := c.next()
				c.do(0, r)
				content, err := c.store.GetBytes(context.Background(), schemas.ExportPrefix(r.TenantID, r.ExportID)+schemas.ManifestName, 1<<20)
				fatal(t, err)
				if m, err := schemas.DecodeManifest(content); err != nil || !m.Chain.Whole() {
					t.Fatalf("a chain that was started over goes on with %+v: %v", m.Chain, err)
				}
			}
			c.receive()
		}
		c.do(0, c.next())
		before := c.number
		if c.receive(); c.number == before && before == 0 {
			t.Fatal("the receiver has no run")
		}
	})
	if superseded == 0 {
		t.Error("no run ever lost its place: the test does not try that")
	}
}

func fatal(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Whoever cancelled it may have died before it said so.
func TestARunThatWasSupersededSaysSoWhoeverReportsIt(t *testing.T) {
	s := newScene(pipelinetest.Records(10)...)
	w := s.worker(nil, nil)
	r := request("late")
	r.JobID, r.Chained = "nightly", true
	check(t, w.Handle(t.Context(), s.published(r)))
	decisions := pipeline.Decisions{Store: s.store, Now: time.Now}
	const reason = "run early took place 1 of the chain first; requested again as late.2"
	_, err := decisions.EndBecause(t.Context(), r.TenantID, r.ExportID, schemas.Cancelled, reason)
	check(t, err)
	check(t, w.Work(t.Context()))
	if e := schemas.Fold(s.statuses("late")...); e.State != schemas.Cancelled || e.Reason != reason {
		t.Errorf("it is %s: %s", e.State, e.Reason)
	}
}

// Its parts may be older than its manifest.
func TestARunStartsOverWhenRecordsWereWrittenOffWhileTheOneBeforeWasAtWork(t *testing.T) {
	s := newScene(pipelinetest.Records(10)...)
	var during atomic.Pointer[func()]
	w := s.worker(nil, func(inner pipeline.Source) pipeline.Source { return racing{inner, &during} })
	writeOff := func() {
		_, err := pipeline.WriteOffs{Store: s.store}.Record(t.Context(), schemas.WriteOff{
			Topic: schemas.TopicInteractions, Runs: []schemas.Run{{Partition: 0, First: 0, Next: 1}}, Reason: "the disk burned", By: "ada", At: schemas.TimeOf(s.now()),
		})
		check(t, err)
	}
	run := func(id string) schemas.Export {
		r := request(id)
		r.JobID, r.Chained = "nightly", true
		check(t, s.handle(t.Context(), w, r))
		return schemas.Fold(s.statuses(id)...)
	}
	during.Store(&writeOff)
	if e := run("first"); e.State != schemas.Completed {
		t.Fatalf("the first run is %s", e.State)
	}
	if e := run("second"); e.State != schemas.Completed || e.Continues != nil || !strings.Contains(e.StartsOver, "written off") {
		t.Errorf("the second run continues %v, starts over: %q", e.Continues, e.StartsOver)
	}
	if e := run("third"); e.State != schemas.Completed || e.Continues == nil || e.StartsOver != "" {
		t.Errorf("nothing was written off since, and the third run continues %v, starts over: %q", e.Continues, e.StartsOver)
	}
}
