// Package definitions keeps what admins defined, jobs, certificates and holds, in memory: every
// process its own copy of the compacted topics cdds.jobs, cdds.certificates and cdds.holds. Of events
// that replace the same version the first one counts (see schemas.Versions).
//
// # Metrics
//
//	cdds_definitions{kind}                  jobs, certificates and holds in memory, deleted ones included
//	cdds_definitions_unreadable_total{kind} events that were no valid definition and changed nothing
//	cdds_definitions_outdated_total{kind}   versions that came after another writer's and changed nothing
//	cdds_recipient_certificates{left}       recipient certificates in use, by what is left of them
//	cdds_recipient_certificate_expiry_timestamp_seconds{tenant}  when a tenant's first one ends, of the 100 tenants where that is soonest
package definitions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/schemas"
)

// Log reads the topics; *consumers.Replica is one.
type Log interface {
	// Run calls apply with every record, in order of each key, until ctx ends.
	Run(ctx context.Context, apply func(topic schemas.Topic, key, value []byte)) error
	// Sync returns once everything acknowledged before the call was applied.
	Sync(ctx context.Context) error
	// Ready is nil once what was there at the start is applied.
	Ready() error
}

// Topics are what the Log of Definitions must read.
func Topics() []schemas.Topic {
	return []schemas.Topic{schemas.TopicJobs, schemas.TopicCertificates, schemas.TopicHolds}
}

// Options of Definitions. Log is required.
type Options struct {
	Log Log
	// MaxBytes bounds what is held, by the size of the events; 0 means 256 MiB. Beyond,
	// new definitions are not taken and Ready says so.
	MaxBytes   int64
	Registerer prometheus.Registerer
	// Now is the clock certificates are measured by; nil means time.Now.
	Now func() time.Time
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

const defaultMaxBytes = 256 << 20

// Definitions are the jobs, certificates and holds of all tenants. Everything but Run is safe
// for concurrent use, and what is returned is the caller's own but for the slices and
// maps in it, which nobody may change.
type Definitions struct {
	opts       Options
	held       *prometheus.GaugeVec
	unreadable *prometheus.CounterVec
	outdated   *prometheus.CounterVec
	versions   schemas.Versions

	mu           sync.RWMutex
	jobs         map[key]held[schemas.Job]
	certificates map[key]held[schemas.Certificate]
	holds        map[key]held[schemas.Hold]
	bytes        int64
	full         bool
	changed      chan struct{} // closed and replaced at every change
}

type key struct{ tenantID, id string }

// held is a definition and the size of its event.
type held[T any] struct {
	value T
	size  int64
}

// New returns empty Definitions. It starts nothing.
func New(o Options) (*Definitions, error) {
	if o.Log == nil {
		return nil, errors.New("definitions: Log is required")
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Definitions{
		opts: o, jobs: map[key]held[schemas.Job]{}, certificates: map[key]held[schemas.Certificate]{}, holds: map[key]held[schemas.Hold]{},
		changed: make(chan struct{}),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "cdds_definitions", Help: "Jobs, certificates and holds in memory, deleted ones included."}, []string{"kind"}),
		unreadable: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cdds_definitions_unreadable_total", Help: "Events that were no valid definition and changed nothing."}, []string{"kind"}),
		outdated: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cdds_definitions_outdated_total", Help: "Versions that came after another writer's and changed nothing."}, []string{"kind"}),
	}
	if o.Registerer != nil {
		for _, c := range []prometheus.Collector{d.held, d.unreadable, d.outdated, newExpiry(d, o.Now)} {
			if err := o.Registerer.Register(c); err != nil {
				return nil, fmt.Errorf("definitions: register metrics: %w", err)
			}
		}
	}
	return d, nil
}

// Run reads definitions until ctx ends, then returns nil.
func (d *Definitions) Run(ctx context.Context) error { return d.opts.Log.Run(ctx, d.Apply) }

// Ready is nil once what was there at the start is known and all of it is held.
func (d *Definitions) Ready() error {
	d.mu.RLock()
	full := d.full
	d.mu.RUnlock()
	if full {
		return fmt.Errorf("definitions: more than %d bytes of jobs, certificates and holds; some are not known to this process", d.opts.MaxBytes)
	}
	return d.opts.Log.Ready()
}

// Sync returns once every definition acknowledged before the call is known, or with an
// error if that takes too long.
func (d *Definitions) Sync(ctx context.Context) error { return d.opts.Log.Sync(ctx) }

// Versions are those of the definitions, for who changes them.
func (d *Definitions) Versions() *schemas.Versions { return &d.versions }

// Changed is closed at the next change. Ask for it before looking: what changes after
// is then not missed.
func (d *Definitions) Changed() <-chan struct{} {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.changed
}

// Apply takes one message. A value changes nothing if it is not a valid definition, is about
// another key than the message's, or came after another writer's version.
func (d *Definitions) Apply(topic schemas.Topic, messageKey, value []byte) {
	switch topic {
	case schemas.TopicJobs:
		apply(d, topic, "job", d.jobs, messageKey, value, schemas.DecodeJob)
	case schemas.TopicCertificates:
		apply(d, topic, "certificate", d.certificates, messageKey, value, schemas.DecodeCertificate)
	case schemas.TopicHolds:
		apply(d, topic, "hold", d.holds, messageKey, value, schemas.DecodeHold)
	}
}

func apply[T any, E interface {
	*T
	schemas.Versioned
}](d *Definitions, topic schemas.Topic, kind string, all map[key]held[T], messageKey, value []byte, decode func([]byte) (E, error)) {
	if value == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		if record, gone := d.versions.Remove(topic, string(messageKey)); gone {
			set(d, kind, all, keyOf(record), nil)
		}
		return
	}
	e, err := decode(value)
	d.mu.Lock()
	defer d.mu.Unlock()
	var counts bool
	if err == nil {
		counts, err = d.versions.Take(string(messageKey), e)
	}
	switch {
	case err != nil:
		d.unreadable.WithLabelValues(kind).Inc()
		d.opts.Logger.Warn("an invalid definition was skipped", "kind", kind, "error", err)
	case !counts:
		d.outdated.WithLabelValues(kind).Inc()
	default:
		set(d, kind, all, keyOf(e.Key()), &held[T]{*e, int64(len(messageKey) + len(value))})
	}
}

func keyOf(record string) key {
	tenantID, id, _ := strings.Cut(record, "/")
	return key{tenantID, id}
}

// set makes next the definition at k; nil removes it. The caller holds d.mu.
func set[T any](d *Definitions, kind string, all map[key]held[T], k key, next *held[T]) {
	bytes := d.bytes - all[k].size
	if next != nil {
		if bytes+next.size > d.opts.MaxBytes && next.size > all[k].size {
			d.full = true
			d.opts.Logger.Error("no room for a definition; raise the limit or delete some", "kind", kind, "tenant", k.tenantID)
			return
		}
		bytes += next.size
		all[k] = *next
	} else {
		delete(all, k)
	}
	d.bytes = bytes
	d.held.WithLabelValues(kind).Set(float64(len(all)))
	close(d.changed)
	d.changed = make(chan struct{})
}

// Tenants returns who has a job or a certificate, in no particular order and some more
// than once.
func (d *Definitions) Tenants() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var all []string
	for k, h := range d.jobs {
		if !h.value.Deleted() {
			all = append(all, k.tenantID)
		}
	}
	for k, h := range d.certificates {
		if !h.value.Removed {
			all = append(all, k.tenantID)
		}
	}
	return all
}

// Jobs returns a tenant's jobs that are not deleted, by id; those of all tenants if
// tenantID is empty.
func (d *Definitions) Jobs(tenantID string) []schemas.Job {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var all []schemas.Job
	for k, h := range d.jobs {
		if (tenantID == "" || k.tenantID == tenantID) && !h.value.Deleted() {
			all = append(all, h.value)
		}
	}
	slices.SortFunc(all, func(a, b schemas.Job) int {
		return cmp.Or(cmp.Compare(a.TenantID, b.TenantID), cmp.Compare(a.JobID, b.JobID))
	})
	return all
}

// Job returns a tenant's job, also a deleted one; false if there never was one.
func (d *Definitions) Job(tenantID, jobID string) (schemas.Job, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	h, ok := d.jobs[key{tenantID, jobID}]
	return h.value, ok
}

// Certificates returns a tenant's certificates that are not removed, replaced ones
// included, the latest added first.
func (d *Definitions) Certificates(tenantID string) []schemas.Certificate {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var all []schemas.Certificate
	for k, h := range d.certificates {
		if k.tenantID == tenantID && !h.value.Removed {
			all = append(all, h.value)
		}
	}
	slices.SortFunc(all, func(a, b schemas.Certificate) int {
		return cmp.Or(b.AddedAt.Compare(a.AddedAt), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	return all
}

// Certificate returns a tenant's certificate, also a removed or replaced one; false if
// it was never registered for the tenant.
func (d *Definitions) Certificate(tenantID, fingerprint string) (schemas.Certificate, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	h, ok := d.certificates[key{tenantID, fingerprint}]
	return h.value, ok
}

// maxRotations bounds how often a certificate may have been replaced.
const maxRotations = 32

// Recipient is the certificate that is to be used where fingerprint is named: itself,
// or what it was replaced by. The error says why none exists.
func (d *Definitions) Recipient(tenantID, fingerprint string) (schemas.Certificate, error) {
	named := fingerprint
	for range maxRotations {
		c, ok := d.Certificate(tenantID, fingerprint)
		switch {
		case !ok:
			return c, fmt.Errorf("no certificate with fingerprint %s is registered for tenant %s", fingerprint, tenantID)
		case c.Removed:
			return c, fmt.Errorf("the certificate with fingerprint %s was removed; name another", fingerprint)
		case c.ReplacedBy == "":
			return c, nil
		}
		fingerprint = c.ReplacedBy
	}
	return schemas.Certificate{}, fmt.Errorf("the replacements of the certificate with fingerprint %s lead nowhere; name the one that is to be used", named)
}
