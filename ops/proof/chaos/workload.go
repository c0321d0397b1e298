package main

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"cdds/pipeline/smime"
	"cdds/schemas"
	"cdds/schemas/sample"
)

// position is where a record is in Kafka.
type position struct {
	topic     schemas.Topic
	partition int32
	offset    int64
}

// asked is an export that was asked for.
type asked struct {
	request   *schemas.ExportRequest
	valid     bool // false: it must be refused
	cancelled bool // true: a cancel was sent, or may have been
	// acknowledged is, per partition, one past the last record acknowledged before
	// the request was sent: all of that must be in the export.
	acknowledged schemas.Snapshot
	// base is the completed export that this one continues, nil if it is whole.
	base *asked

	// Below is what is known while the workload runs, under its lock. completed is the
	// snapshot history told. What is continued is not deleted, and the other way round.
	completed          schemas.Snapshot
	continued, deleted bool
}

// workload is the work done under faults and the memory of what was acknowledged.
type workload struct {
	system *system
	report *report
	client *kgo.Client
	seed   uint64
	cert   *x509.Certificate
	pem    string
	key    crypto.Decrypter

	mu    sync.Mutex
	acked map[position][sha256.Size]byte
	ends  map[schemas.Topic]schemas.Snapshot
	asked []*asked
	bytes int64 // of what was acknowledged
	// forgettable are interactions an erasure may be about; erasures are those asked for.
	forgettable []*schemas.Interaction
	erasures    []*schemas.ErasureRequest
}

// garbled marks, for the harness, records that must be dead-lettered.
const garbled = "chaos-garbled"

func newWorkload(s *system, r *report, seed uint64) (*workload, error) {
	w := &workload{system: s, report: r, seed: seed, acked: map[position][sha256.Size]byte{}, ends: map[schemas.Topic]schemas.Snapshot{}}
	for _, topic := range schemas.SourceTopics() {
		w.ends[topic] = make(schemas.Snapshot, s.local.Config.Kafka.Partitions)
	}
	var err error
	// Any Kafka client may produce; this one is not our Publisher.
	w.client, err = kgo.NewClient(
		kgo.SeedBrokers(s.local.Config.Kafka.Brokers...),
		kgo.ProducerBatchMaxBytes(schemas.MaxRecordBytes),
		kgo.RecordDeliveryTimeout(time.Minute))
	if err != nil {
		return nil, err
	}
	certPEM, keyPEM, err := smime.GenerateKeyPair(smime.KeyOptions{CommonName: "chaos"})
	if err != nil {
		return nil, err
	}
	w.pem = string(certPEM)
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	w.cert, w.key = pair.Leaf, pair.PrivateKey.(crypto.Decrypter)
	return w, nil
}

func (w *workload) close() { w.client.Close() }

// run produces and asks until ctx ends, and returns once everything has its answer.
func (w *workload) run(ctx context.Context) {
	for e := range sample.InteractionsBetween(w.seed-1, 500, from, to) { // a tenant nobody knows is refused
		w.sendEvent(e)
		w.sendEvent(movedTo(fleeting, e))
	}
	_ = w.client.Flush(ctx)
	var working sync.WaitGroup
	working.Go(func() { w.produce(ctx) })
	working.Go(func() { w.ask(ctx) })
	working.Go(func() { w.forget(ctx) })
	working.Wait()
	_ = w.client.Flush(context.Background()) // bounded by the delivery timeout
}

// between is the range the sample events begin in.
var from, to = time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 31, 0, 0, 0, 0, time.UTC)

// produce publishes new interactions and contacts, later versions, exact duplicates
// and garbage, in bursts.
func (w *workload) produce(ctx context.Context) {
	rnd := rand.New(rand.NewPCG(w.seed, 2))
	next, stop := iter.Pull(rounds(w.seed))
	defer stop()
	var recent []schemas.Event
	for ctx.Err() == nil {
		for range 1 + rnd.IntN(40) {
			var e schemas.Event
			switch n := rnd.IntN(100); {
			case n < 2:
				w.send(&kgo.Record{
					Topic: string(schemas.SourceTopics()[rnd.IntN(2)]), Key: fmt.Append(nil, rnd.IntN(100)),
					Value:   []byte(garbage[rnd.IntN(len(garbage))]),
					Headers: []kgo.RecordHeader{{Key: garbled}},
				})
				continue
			case n < 20 && len(recent) > 0:
				e = updated(recent[rnd.IntN(len(recent))], rnd.IntN(1000))
			case n < 25 && len(recent) > 0:
				e = recent[rnd.IntN(len(recent))]
			default:
				e, _ = next()
				switch rnd.IntN(16) {
				case 0, 1:
					e = movedTo(forgetful, e)
				case 2:
					e = movedTo(fleeting, e)
				}
			}
			if recent = append(recent, e); len(recent) > 500 {
				recent = slices.Delete(recent, 0, 100)
			}
			w.sendEvent(e)
			w.mayForget(e)
		}
		hold(ctx, time.Duration(20+rnd.IntN(120))*time.Millisecond)
	}
}

var garbage = []string{
	"", "{", "[]", "null", `{"interaction_id":"x"}`, "\xff\xfe", `{"tenant_id":7}`,
	`{"interaction_id":"x","tenant_id":"acme","media_type":"smoke","started_at":"2026-09-01T10:00:00.000Z"}`,
	`{"contact_id":"x","tenant_id":"../acme","created_at":"2026-09-01T10:00:00.000Z"}`,
}

// rounds yields interactions, every ninth time a contact, spread over the range in
// each round of a few thousand.
func rounds(seed uint64) iter.Seq[schemas.Event] {
	return func(yield func(schemas.Event) bool) {
		for ; ; seed++ {
			contact, stop := iter.Pull(sample.Contacts(seed, 500))
			n := 0
			for i := range sample.InteractionsBetween(seed, 4000, from, to) {
				if !yield(i) {
					stop()
					return
				}
				if n++; n%9 > 0 {
					continue
				}
				if c, ok := contact(); ok && !yield(c) {
					stop()
					return
				}
			}
			stop()
		}
	}
}

// updated is a later version of an event.
func updated(e schemas.Event, n int) schemas.Event {
	switch e := e.(type) {
	case *schemas.Interaction:
		later := *e
		later.Notes, later.MediaType = fmt.Sprint("version ", n), schemas.MediaTypes()[n%len(schemas.MediaTypes())]
		return &later
	case *schemas.Contact:
		later := *e
		later.Notes = fmt.Sprint("version ", n)
		return &later
	}
	panic("neither interaction nor contact")
}

func (w *workload) sendEvent(e schemas.Event) {
	body, err := schemas.Encode(e)
	if err != nil {
		panic(err) // samples encode
	}
	w.send(&kgo.Record{Topic: string(e.Topic()), Key: []byte(e.Key()), Value: body})
}

// send produces a record and remembers that it was acknowledged, if it was.
func (w *workload) send(r *kgo.Record) {
	w.client.Produce(context.Background(), r, func(r *kgo.Record, err error) {
		if err != nil {
			return // it may be in the log all the same; nothing was promised
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		topic := schemas.Topic(r.Topic)
		w.acked[position{topic, r.Partition, r.Offset}] = sha256.Sum256(r.Value)
		w.ends[topic][r.Partition] = max(w.ends[topic][r.Partition], r.Offset+1)
		w.bytes += int64(len(r.Value))
	})
}

// inHand bounds the exports that have not ended yet.
const inHand = 16

// ask requests exports, some twice, some wrongly, some to continue an earlier one, and
// cancels some and deletes some.
func (w *workload) ask(ctx context.Context) {
	rnd := rand.New(rand.NewPCG(w.seed, 3))
	var asking sync.WaitGroup
	defer asking.Wait()
	room := make(chan struct{}, inHand)
	for n := 0; ; n++ {
		a := w.request(rnd, n)
		twice, cancel := rnd.IntN(7) == 0, rnd.IntN(6) == 0
		continues, which, deletes := rnd.IntN(4) == 0, rnd.Int(), rnd.IntN(6) == 0
		wait := time.Duration(rnd.IntN(3000)) * time.Millisecond
		gap := time.Duration(200+rnd.IntN(1800)) * time.Millisecond
		hold(ctx, gap)
		if ctx.Err() != nil {
			return
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		asking.Go(func() {
			defer func() { <-room }()
			w.mu.Lock()
			if continues {
				w.continueOne(a, which)
			}
			topic, _ := schemas.SourceOf(a.request.Entity)
			a.acknowledged = slices.Clone(w.ends[topic])
			a.cancelled = cancel
			w.asked = append(w.asked, a)
			w.mu.Unlock()
			w.publish(a.request)
			if twice {
				w.publish(a.request)
			}
			if cancel {
				hold(ctx, wait)
				w.publish(&schemas.ExportRequest{Action: schemas.ActionCancel, TenantID: a.request.TenantID, ExportID: a.request.ExportID})
			}
			if w.awaitCompleted(ctx, a) && deletes && w.mayDelete(a) {
				w.publish(&schemas.ExportRequest{Action: schemas.ActionDelete, TenantID: a.request.TenantID, ExportID: a.request.ExportID})
			}
		})
	}
}

// awaitCompleted waits until history says that an export has ended, and asks again for
// one that failed: on a machine that is too slow for the pace, what is asked for must not
// pile up, or there would be no quiet. It is true if the export was completed.
func (w *workload) awaitCompleted(ctx context.Context, a *asked) bool {
	for ctx.Err() == nil {
		e, ok, err := w.system.ledger.Export(ctx, a.request.TenantID, a.request.ExportID)
		if err == nil && ok && e.State == schemas.Failed {
			w.retry(a.request)
		} else if err == nil && ok && e.State.Ended() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if e.State == schemas.Completed {
				a.completed = e.Snapshot
			}
			return e.State == schemas.Completed
		}
		hold(ctx, time.Second)
	}
	return false
}

// retry asks again for an export that failed.
func (w *workload) retry(r *schemas.ExportRequest) {
	w.report.fact("retries asked for", 1)
	w.publish(&schemas.ExportRequest{Action: schemas.ActionRetry, TenantID: r.TenantID, ExportID: r.ExportID})
}

// continueOne makes a request one for what came since a completed export, if there is
// one; which of them, is drawn. w.mu is held.
func (w *workload) continueOne(a *asked, which int) {
	var bases []*asked
	for _, b := range w.asked {
		if b.completed != nil && !b.deleted && b.request.TenantID != fleeting {
			bases = append(bases, b)
		}
	}
	if len(bases) == 0 {
		return
	}
	base := bases[which%len(bases)]
	base.continued = true
	a.base, a.valid = base, true
	r, earlier := a.request, base.request
	r.SinceExport, r.TenantID, r.Entity = earlier.ExportID, earlier.TenantID, earlier.Entity
	r.From, r.To, r.MediaTypes = earlier.From, earlier.To, earlier.MediaTypes
}

// mayDelete is true, and remembered, unless another export continues this one, or it goes
// by itself.
func (w *workload) mayDelete(a *asked) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	a.deleted = !a.continued && a.request.TenantID != fleeting
	return a.deleted
}

// splitSize is small enough for many parts, and grows with what there is: the thousands
// of parts that the last exports of a long run would have take minutes by themselves.
func (w *workload) splitSize(doublings int) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(64<<10, w.bytes/256) << doublings
}

// request draws the n-th request.
func (w *workload) request(rnd *rand.Rand, n int) *asked {
	r := &schemas.ExportRequest{
		TenantID: []string{"acme", "globex", "initech", fleeting}[rnd.IntN(4)], ExportID: fmt.Sprintf("chaos-%04d", n),
		Entity: schemas.EntityInteraction, SplitSize: w.splitSize(rnd.IntN(4)),
		Encoding:   []string{schemas.EncodingSMIME, schemas.EncodingDER}[rnd.IntN(2)],
		Recipients: []schemas.Recipient{{Certificate: w.pem}},
	}
	// Mostly windows of a week or so, now and then everything.
	start := from.Add(time.Duration(rnd.Int64N(int64(to.Sub(from)))))
	end := start.Add(time.Duration(rnd.Int64N(int64(14 * 24 * time.Hour))))
	if rnd.IntN(8) == 0 {
		start, end = from.AddDate(-10, 0, 0), to.AddDate(1, 0, 0)
	}
	switch rnd.IntN(8) {
	case 0, 1:
		r.MediaTypes = schemas.MediaTypes()[:1+rnd.IntN(2)]
	case 2:
		r.Entity = schemas.EntityContact
		start, end = from.AddDate(-10, 0, 0), to.AddDate(1, 0, 0)
	}
	valid := rnd.IntN(16) > 0
	if !valid {
		start, end = end, start
	}
	r.From, r.To = schemas.TimeOf(start), schemas.TimeOf(end.Add(time.Millisecond))
	return &asked{request: r, valid: valid && r.From.Before(r.To.Time)}
}

// publish tries until it is acknowledged: whoever asks wants an answer. One that is
// never taken shows as an export, or an erasure, that never ends.
func (w *workload) publish(r schemas.Event) {
	ctx, cancel := context.WithTimeout(context.Background(), quietWithin)
	defer cancel()
	for w.system.publisher.Publish(ctx, r) != nil && ctx.Err() == nil {
		hold(ctx, 100*time.Millisecond)
	}
}
