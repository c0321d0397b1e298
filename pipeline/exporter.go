package pipeline

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"io"
	"iter"
	"time"

	"cdds/pipeline/bucket"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// Source reads rows as of a snapshot; *warehouse.Warehouse is one.
type Source interface {
	// Extent is how much the query selects, found without Chunks.
	Extent(ctx context.Context, q warehouse.Query) (warehouse.Extent, error)
	// Chunks cuts the query's rows, in order, into runs of n rows, and calls each with every
	// run as it comes. It ends with the error of each.
	Chunks(ctx context.Context, q warehouse.Query, n int64, each func(warehouse.Chunk) error) error
	// Rows streams the JSON Lines between two inclusive keys, in order. A read
	// must fail, not end, if rows are lost. The caller closes it.
	Rows(ctx context.Context, q warehouse.Query, first, last schemas.RowKey) (warehouse.Lines, error)
	// Attached calls each with the rows that have attachments: the version, and the JSON until
	// each returns.
	Attached(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(version uint64, body []byte) error) error
	AttachmentSizes(ctx context.Context, q warehouse.Query, first, last schemas.RowKey, each func(key schemas.RowKey, version uint64, sizes []uint64)) error
	// ErasedUntil returns the clock of the source, and whether erasures of a tenant's rows of an
	// entity were recorded at or past from and before that.
	ErasedUntil(ctx context.Context, tenantID, entity string, from time.Time) (until time.Time, erased bool, err error)
	// CountRemoved is how many removals Removed gives, found without it.
	CountRemoved(ctx context.Context, q warehouse.Query) (int64, error)
	// Removed calls each with the removals between two inclusive keys, or with all from first
	// on if last is nil, in order.
	Removed(ctx context.Context, q warehouse.Query, first schemas.RowKey, last *schemas.RowKey, each func(schemas.Removal) error) error
}

// Objects is where attachments are that their events refer to, in a bucket of its own,
// so that whoever may write attachments may not touch artifacts; *bucket.Bucket is one.
type Objects interface {
	// Open is bucket.ErrNotFound where there is no object. The caller closes it.
	Open(ctx context.Context, key string) (io.ReadCloser, error)
	// OpenAt is Open of size bytes from an offset, or of all if size is 0, that also says which
	// version of the object it reads. It is bucket.ErrChanged if a version is asked for and the
	// object is another one.
	OpenAt(ctx context.Context, key, version string, offset, size int64) (r io.ReadCloser, is string, err error)
}

// Store keeps objects, each written once; *bucket.Bucket is one.
type Store interface {
	// Put stores all of a content or nothing; bucket.ErrExists if the key is taken. It
	// may read the body more than once.
	Put(ctx context.Context, key string, content bucket.Content) error
	PutBytes(ctx context.Context, key string, content []byte, contentType string) error
	// Stat and GetBytes are bucket.ErrNotFound where there is no object.
	Stat(ctx context.Context, key string) (bucket.Object, error)
	GetBytes(ctx context.Context, key string, limit int64) ([]byte, error)
	// Open streams an object, or is bucket.ErrNotFound. The caller closes it.
	Open(ctx context.Context, key string) (io.ReadCloser, error)
	List(ctx context.Context, prefix string) ([]bucket.Object, error)
	// Remains is List with the keys of which only older versions are left, in a store that keeps
	// versions. Remove removes those too.
	Remains(ctx context.Context, prefix string) ([]bucket.Object, error)
	// Folders yields, one level below prefix, every part of a key up to and including the
	// next slash, in order. An error is yielded last.
	Folders(ctx context.Context, prefix string) iter.Seq2[string, error]
	// Remove of an object that is not there is no error. What the store keeps by a lock is
	// answer.Locked, and seen no longer.
	Remove(ctx context.Context, key string) error
	// RemoveAll is Remove of many objects, in any order. After an error some may be gone.
	RemoveAll(ctx context.Context, keys []string) error
}

// Export is one accepted export.
type Export struct {
	ID       string
	Filter   schemas.Filter
	Snapshot schemas.Snapshot
	// Link is what the export continues: of what that selected only what differs is exported.
	Link Link
	// Whole is an error while records below the snapshot are missing; see Plan. Nil: they are
	// not.
	Whole func(ctx context.Context) error
	// Known reports whether anything was ever stored for the tenant: without rows to export, a
	// plan is ErrUnknownTenant if not. Nil: something was.
	Known func(ctx context.Context) (bool, error)
	// HistoryFrom is before when rows are kept no longer; they are left out. The plan says it.
	HistoryFrom schemas.Time
	// Scattered is what the plan says.
	Scattered bool
	// SplitSize bounds the JSON Lines bytes of a part.
	SplitSize int64
	// WithoutAttachments leaves out the attachments of interactions.
	WithoutAttachments bool
	// FieldPolicy says what of each row is hidden, nil if nothing is; PolicyKeyID is the id of the
	// key that its pseudonyms are made with.
	FieldPolicy *schemas.FieldPolicy
	PolicyKeyID string
	// Names are another product's field names that each row has next to ours; empty: none.
	Names string
	// Encoding is schemas.EncodingSMIME or schemas.EncodingDER.
	Encoding string
	// Cipher is schemas.CipherCBC (also when empty) or schemas.CipherGCM, KeyTransport
	// schemas.KeyTransportPKCS1 (also when empty) or schemas.KeyTransportOAEP.
	Cipher, KeyTransport string
	// Compression is schemas.CompressionStandard (also when empty) or
	// schemas.CompressionFast.
	Compression string
	Recipients  []*x509.Certificate
	// Lifetime is how long artifacts live; 0 means as long as the tenant's may.
	Lifetime time.Duration

	// redaction carries FieldPolicy out, and room is by how much the JSON Lines of a part may
	// grow by it and by Names.
	redaction *schemas.Redaction
	room      int64
}

// query selects the export's rows.
func (x Export) query() warehouse.Query {
	q := warehouse.Query{Filter: x.Filter, Snapshot: x.Snapshot, Before: x.Link.Before(), Scattered: x.Scattered}
	if x.leavesOut() != nil {
		q.Filter.From = x.HistoryFrom
	}
	return q
}

// since is the snapshot of the export that this one continues, or nil.
func (x Export) since() schemas.Snapshot {
	if x.Link.Previous == nil {
		return nil
	}
	return x.Link.Previous.Snapshot
}

// sinceExport is that export, or empty.
func (x Export) sinceExport() string {
	if x.Link.Previous == nil {
		return ""
	}
	return x.Link.Previous.ExportID
}

// leavesOut is from when on the export has rows, if its range reaches further back.
func (x Export) leavesOut() *schemas.Time {
	if x.HistoryFrom.IsZero() || x.HistoryFrom.Compare(x.Filter.From) <= 0 {
		return nil
	}
	return &x.HistoryFrom
}

// Options of an Exporter; all fields are required but LifetimeByTenant, HistoryFrom, ZipBytes,
// SegmentBytes and PseudonymSecret.
type Options struct {
	Source  Source
	Store   Store
	Objects Objects
	Spools  *Spools
	// ZipBytes is how large an attachment may be to go into a zip; 0 means
	// schemas.MaxZippedBytes. What is larger is cut into segments of SegmentBytes; 0 means
	// DefaultSegmentBytes.
	ZipBytes, SegmentBytes int64
	// Certificate and Key sign manifests: the service's own.
	Certificate *x509.Certificate
	Key         crypto.Signer
	// PseudonymSecret is what the keys of pseudonyms are derived from; none: field policies with
	// pseudonyms are refused.
	PseudonymSecret []byte
	// Lifetime is how long artifacts live after the export is completed.
	Lifetime time.Duration
	// LifetimeByTenant overrides Lifetime for some tenants.
	LifetimeByTenant map[string]time.Duration
	// HistoryFrom is before when rows of a tenant are kept no longer, the zero time if all
	// are. Nil: all are. Plans are made by it.
	HistoryFrom func(ctx context.Context, tenantID, entity string) (schemas.Time, error)
	// Now is the clock.
	Now func() time.Time
}

// Exporter plans and writes exports, as it was decided. It is safe for concurrent use and
// keeps no state between calls.
type Exporter struct {
	Decisions
	source   Source
	store    Store
	objects  Objects
	spools   *Spools
	zipBytes int64
	segment  int64
	cert     *x509.Certificate
	key      crypto.Signer
	secret   []byte
	lifetime func(tenantID string) time.Duration
	kept     func(ctx context.Context, f schemas.Filter) (schemas.Time, error)
	now      func() time.Time
}

// Lifetime is how long a tenant's artifacts may live.
func (e *Exporter) Lifetime(tenantID string) time.Duration { return e.lifetime(tenantID) }

// New returns an Exporter.
func New(o Options) *Exporter {
	lifetime := func(tenantID string) time.Duration {
		if own, ok := o.LifetimeByTenant[tenantID]; ok {
			return own
		}
		return o.Lifetime
	}
	kept := func(ctx context.Context, f schemas.Filter) (schemas.Time, error) {
		if o.HistoryFrom == nil {
			return schemas.Time{}, nil
		}
		return o.HistoryFrom(ctx, f.TenantID, f.Entity)
	}
	return &Exporter{Decisions{o.Store, o.Now}, o.Source, o.Store, o.Objects, o.Spools, cmp.Or(o.ZipBytes, schemas.MaxZippedBytes), cmp.Or(o.SegmentBytes, DefaultSegmentBytes), o.Certificate, o.Key, o.PseudonymSecret, lifetime, kept, o.Now}
}
