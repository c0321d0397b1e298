// Package recent keeps the requests of the last days in memory, by id: those for exports
// and those for erasures. History learns of a request only when a worker has taken it and
// the history role has stored what the worker said; until then this is how any process
// answers for a request that any other process published. So it is with a retry: until a
// worker has begun another attempt, history says that the export has failed.
package recent

import (
	"context"
	"errors"
	"sync"
	"time"

	"cdds/schemas"
)

// Log reads the topics from Since on; *consumers.Replica is one.
type Log interface {
	// Run calls apply with every record, in order of each key, until ctx ends.
	Run(ctx context.Context, apply func(topic schemas.Topic, key, value []byte)) error
	// Sync returns once everything acknowledged before the call was applied.
	Sync(ctx context.Context) error
	// Ready is nil once what was there at the start is applied.
	Ready() error
}

// Topics are what the Log must read.
func Topics() []schemas.Topic {
	return []schemas.Topic{schemas.TopicExportRequests, schemas.TopicErasureRequests}
}

const (
	// Days is how far back a process reads when it starts. History is that late only
	// where its role has not run for days.
	Days = 7
	// defaultMaxBytes holds some ten thousands of requests.
	defaultMaxBytes = 64 << 20
)

// Since is from when on the Log must read.
func Since(now time.Time) time.Time { return now.AddDate(0, 0, -Days) }

// Requests are the latest requests. Everything but Run is safe for concurrent use; what is
// returned must not be changed.
type Requests struct {
	log      Log
	maxBytes int

	mu    sync.RWMutex
	held  map[key]entry
	order []key // the oldest first
	bytes int
}

type key struct {
	topic        schemas.Topic
	tenantID, id string
	// failed is which attempt a retry comes after; 0 is a request of its own.
	failed int
}

type entry struct {
	request schemas.Event
	size    int
}

// New returns Requests that hold at most maxBytes, by the size of the events, the latest
// ones; 0 means 64 MiB. It starts nothing.
func New(log Log, maxBytes int) (*Requests, error) {
	if log == nil {
		return nil, errors.New("recent: a Log is required")
	}
	if maxBytes <= 0 {
		maxBytes = defaultMaxBytes
	}
	return &Requests{log: log, maxBytes: maxBytes, held: map[key]entry{}}, nil
}

// Run reads requests until ctx ends, then returns nil.
func (r *Requests) Run(ctx context.Context) error { return r.log.Run(ctx, r.apply) }

// Ready is nil once what was there at the start is known.
func (r *Requests) Ready() error { return r.log.Ready() }

// Export is the request that an export id stands for; nil if nobody requested it lately.
// It knows of everything that was acknowledged before the call.
func (r *Requests) Export(ctx context.Context, tenantID, exportID string) (*schemas.ExportRequest, error) {
	e, err := r.find(ctx, key{topic: schemas.TopicExportRequests, tenantID: tenantID, id: exportID})
	found, _ := e.(*schemas.ExportRequest)
	return found, err
}

// Retry is the request to retry an export after its attempt of that number failed; see
// Export.
func (r *Requests) Retry(ctx context.Context, tenantID, exportID string, attempt int) (*schemas.ExportRequest, error) {
	e, err := r.find(ctx, key{schemas.TopicExportRequests, tenantID, exportID, attempt})
	found, _ := e.(*schemas.ExportRequest)
	return found, err
}

// Erasure is the request that an erasure id stands for; see Export.
func (r *Requests) Erasure(ctx context.Context, tenantID, erasureID string) (*schemas.ErasureRequest, error) {
	e, err := r.find(ctx, key{topic: schemas.TopicErasureRequests, tenantID: tenantID, id: erasureID})
	found, _ := e.(*schemas.ErasureRequest)
	return found, err
}

func (r *Requests) find(ctx context.Context, k key) (schemas.Event, error) {
	if e := r.lookUp(k); e != nil {
		return e, nil
	}
	if err := r.log.Sync(ctx); err != nil {
		return nil, err
	}
	return r.lookUp(k), nil
}

func (r *Requests) lookUp(k key) schemas.Event {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.held[k].request
}

// apply takes a message. What is not a valid request is for its worker to dead-letter.
func (r *Requests) apply(topic schemas.Topic, _, value []byte) {
	switch topic {
	case schemas.TopicExportRequests:
		e, err := schemas.DecodeExportRequest(value)
		retries := err == nil && e.Action == schemas.ActionRetry && e.Attempt > 0
		if err != nil || e.Controls() && !retries {
			return
		}
		k := key{topic: topic, tenantID: e.TenantID, id: e.ExportID}
		if retries {
			k.failed = e.Attempt
		}
		r.keep(k, entry{e, len(value)})
	case schemas.TopicErasureRequests:
		if e, err := schemas.DecodeErasureRequest(value); err == nil {
			r.keep(key{topic: topic, tenantID: e.TenantID, id: e.ErasureID}, entry{e, len(value)})
		}
	}
}

// keep holds a request, unless its id stands for an earlier one already: that is the one
// that workers carry out.
func (r *Requests) keep(k key, e entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.held[k]; ok {
		return
	}
	r.held[k] = e
	r.order = append(r.order, k)
	r.bytes += e.size
	for r.bytes > r.maxBytes {
		oldest := r.order[0]
		r.bytes -= r.held[oldest].size
		delete(r.held, oldest)
		r.order = r.order[1:]
	}
}
