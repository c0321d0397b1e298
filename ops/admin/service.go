// Package admin is the one place where everything a person or a program reads or
// changes through CDDS is authorised, scoped to a tenant, and audited. The HTTP API
// and the console are two faces of it.
//
// [Service.For] gives a [Handle] of one principal on one tenant. What belongs to
// another tenant is ErrNotFound: that it exists is nobody else's to know. Every
// change publishes its event and an audit record with who, from where and what came
// of it; a change that is refused leaves a record too.
//
// Nothing here decides what a worker decides: a request is published, and history
// shows what became of it. Listings are pages of ClickHouse queries; jobs, certificates,
// users and tokens are in memory, as every process has them.
//
// What was acknowledged to anybody is read at once, whatever process wrote it: before
// anything is read from a copy in memory, or said not to exist, the copy reads its topic
// to the end.
package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"time"

	"cdds/ops/auth"
	"cdds/pipeline"
	"cdds/pipeline/ledger"
	"cdds/pipeline/warehouse"
	"cdds/schemas"
)

// History is what became of exports and erasures; *ledger.Ledger is one.
type History interface {
	// Export is an export without its parts, Parts are those after a number.
	Export(ctx context.Context, tenantID, exportID string) (schemas.Export, bool, error)
	Parts(ctx context.Context, tenantID, exportID string, after, limit int) ([]schemas.Receipt, error)
	Artifact(ctx context.Context, tenantID, exportID, name string) (schemas.Artifact, bool, error)
	StoredTimes(ctx context.Context, tenantID, exportID string, limit int) (map[int]schemas.Time, error)
	ListExports(ctx context.Context, f ledger.ExportFilter, p ledger.Page) (ledger.Listed[schemas.Export], error)
	LatestRuns(ctx context.Context, tenantID string, jobIDs []string) (map[string]*schemas.Export, error)
	ChainRuns(ctx context.Context, tenantID, jobID string, after, limit int) ([]schemas.ChainRun, error)
	ListArtifacts(ctx context.Context, f ledger.ArtifactFilter, p ledger.Page) (ledger.Listed[ledger.ListedArtifact], error)
	ListAudit(ctx context.Context, f ledger.AuditFilter, p ledger.Page) (ledger.Listed[schemas.AuditRecord], error)
	ListErasures(ctx context.Context, tenantID, state string, p ledger.Page) (ledger.Listed[schemas.Erasure], error)
	ListDeliveries(ctx context.Context, f ledger.DeliveryFilter, p ledger.Page) (ledger.Listed[schemas.WebhookDelivery], error)
	Erasure(ctx context.Context, tenantID, erasureID string) (schemas.Erasure, bool, error)
	ExportsHoldingRows(ctx context.Context, tenantID string, each func(schemas.Export) error) error
	Overview(ctx context.Context, tenantID string) (ledger.Overview, error)
	Tenants(ctx context.Context, containing, after string, limit int) ([]string, error)
}

// Rows are the interactions and contacts that are stored; *warehouse.Warehouse has them.
type Rows interface {
	Hours(ctx context.Context, tenantID string, now schemas.Time) ([]warehouse.HourCount, error)
	Stored(ctx context.Context, tenantID string) (warehouse.Stored, error)
	Tenants(ctx context.Context, containing, after string, limit int) ([]string, error)
	QueuesAmong(ctx context.Context, tenantID string, names []string) ([]string, error)
	// CheckContacts is a *schemas.InvalidError if nothing is stored of one of the contacts.
	CheckContacts(ctx context.Context, tenantID string, ids []string) error
	// Impact reads what an erasure would remove.
	Impact(ctx context.Context, e schemas.Erasure) (warehouse.Impact, error)
	// ErasuresOf calls each with the erasures of some subjects.
	ErasuresOf(ctx context.Context, subjects []warehouse.Subject, each func(warehouse.Subject, warehouse.Forgotten)) error
	// Newest is the newest version of a row, and the last one of a partition.
	Newest(ctx context.Context, topic schemas.Topic, tenantID, id string, at schemas.Time, partition int32) (warehouse.Newest, error)
	// Similar returns ids that differ by letter case or blanks only from those of subjects.
	Similar(ctx context.Context, tenantID string, subjects []schemas.Subject) (map[schemas.Subject][]string, error)
}

// Objects are the stored artifacts; *bucket.Bucket is one.
type Objects interface {
	// OpenRange opens an object for reading from anywhere in it.
	OpenRange(ctx context.Context, key string) (io.ReadSeekCloser, error)
	// Link is a URL that fetches an object for a while.
	Link(ctx context.Context, key, name string, lifetime time.Duration) (*url.URL, error)
}

// Publisher returns once events are acknowledged.
type Publisher interface {
	Publish(ctx context.Context, events ...schemas.Event) error
}

// Requests are those that history may not know of yet; *recent.Requests is one. They know
// of everything that was acknowledged before the call.
type Requests interface {
	// Export is the request that an export id stands for; nil if none exists.
	Export(ctx context.Context, tenantID, exportID string) (*schemas.ExportRequest, error)
	// Retry is the request to retry an export after its attempt of that number failed; nil if
	// none exists.
	Retry(ctx context.Context, tenantID, exportID string, attempt int) (*schemas.ExportRequest, error)
	// Erasure is the request that an erasure id stands for; nil if none exists.
	Erasure(ctx context.Context, tenantID, erasureID string) (*schemas.ErasureRequest, error)
}

// Records changes jobs and certificates, each by one writer at a time.
type Records interface {
	// Change publishes the next version and returns once Definitions have it, or with
	// schemas.ErrChanged if somebody else was first.
	Change(ctx context.Context, v schemas.Versioned) error
}

// Positions report how far ingest is behind; *connect.Offsets does.
type Positions interface {
	EndOffsets(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error)
	Ingested(ctx context.Context, topic schemas.Topic) (schemas.Snapshot, error)
}

// Accounts make and remove users and tokens; *auth.Service does.
type Accounts interface {
	CreateUser(ctx context.Context, by auth.Principal, u schemas.User) (password string, err error)
	ResetPassword(ctx context.Context, by auth.Principal, in schemas.Revisions, name string) (password string, err error)
	ChangeUser(ctx context.Context, by auth.Principal, in schemas.Revisions, name, displayName, role string) error
	DisableUser(ctx context.Context, by auth.Principal, in schemas.Revisions, name string) error
	EnableUser(ctx context.Context, by auth.Principal, in schemas.Revisions, name string) error
	DeleteUser(ctx context.Context, by auth.Principal, in schemas.Revisions, name string) error
	EndSession(ctx context.Context, by auth.Principal, id string) error
	CreateToken(ctx context.Context, by auth.Principal, t schemas.APIToken) (schemas.APIToken, string, error)
	RevokeToken(ctx context.Context, by auth.Principal, in schemas.Revisions, id string) error
	// Sync returns once Directory has everything that was acknowledged before.
	Sync(ctx context.Context) error
}

// Options of a Service.
type Options struct {
	History     History
	Rows        Rows
	Requests    Requests
	Objects     Objects
	Publisher   Publisher
	Records     Records
	Positions   Positions
	Accounts    Accounts
	Definitions Definitions
	// CheckJob finds what would make an active job fail where it is used, such as a cron
	// expression with no next time or a webhook that is never delivered. The error is a
	// *schemas.InvalidError. nil checks nothing.
	CheckJob func(ctx context.Context, j schemas.Job) error
	// Run is the request of a run of a job now.
	Run func(j schemas.Job) *schemas.ExportRequest
	// Next lists when a job is due after an instant, at most n times.
	Next func(j schemas.Job, after schemas.Time, n int) ([]schemas.Time, error)
	// Lifetime is how long a tenant's artifacts may live; nil leaves that to the worker.
	Lifetime func(tenantID string) time.Duration
	// WebhookSecret is the secret a job's webhook is signed with.
	WebhookSecret func(j schemas.Job) (string, error)
	// Book is the account of the source topics.
	Book Book
	// Letters are the dead letters, Republications the decisions to publish some again.
	Letters        Letters
	Republications pipeline.Republications
	// ErasureDecisions is what was decided about erasures.
	ErasureDecisions pipeline.Erasures
	// Health is what the last look at services and roles found, the worst first, and when it
	// was; the zero time before the first look.
	Health func() ([]Finding, schemas.Time)
	// Estimator says what exports would hold.
	Estimator Estimator
	// Directory has the users and tokens Accounts change.
	Directory *auth.Directory
	// Quotas bound the exports of tenants; nil bounds none.
	Quotas *pipeline.Quotas
	// TwoPeople says that a second person must release a hold, too.
	TwoPeople bool
	// InlineCertificates says that a request may bring its recipients' certificates.
	InlineCertificates bool
	// Pseudonyms says that there is a key for those of field policies.
	Pseudonyms bool
	// LinkLifetime is how long a link to an artifact serves; 0 means 5 minutes.
	LinkLifetime time.Duration
	Logger       *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Service is safe for concurrent use. It starts nothing.
type Service struct {
	Options
	estimates  *auth.Throttle
	sends      *auth.Throttle // of webhooks, by tenant
	estimating chan struct{}
	chains     shared[chainQuestion, []schemas.ChainRun]
	watched    shared[exportQuestion, schemas.Export]
	counted    sparing[string, Counts]
}

// New returns a Service.
func New(o Options) *Service {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LinkLifetime == 0 {
		o.LinkLifetime = 5 * time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{Options: o, estimates: auth.NewThrottle(6*time.Second, 5), sends: auth.NewThrottle(time.Second, 30), estimating: make(chan struct{}, estimatesAtOnce)}
}

// Errors beside auth.ErrForbidden, *schemas.InvalidError, schemas.ErrChanged and
// ledger.ErrPage.
var (
	// ErrNotFound says that the tenant has no such resource.
	ErrNotFound = errors.New("not found")
	// ErrTenant says that somebody of all tenants must say which.
	ErrTenant = errors.New("say which tenant: you see more than one")
	// ErrGone says that artifacts were there and are no more.
	ErrGone = errors.New("the artifacts are gone")
)

// ConflictError says why something cannot be done as things stand.
type ConflictError struct{ Reason string }

func (e *ConflictError) Error() string { return e.Reason }

// Handle is what one principal may do with one tenant. It is for one request.
type Handle struct {
	*Service
	who auth.Principal
	// tenant is schemas.AllTenants for who sees all and named none.
	tenant string
	// definitionsAsOfNow and directoryAsOfNow are how it went to bring this process's
	// copies up to date; nil until one was needed.
	definitionsAsOfNow, directoryAsOfNow *error
	// revisions are those in which a job, a certificate, a user or a token may be changed.
	revisions schemas.Revisions
}

// IfRevision has the handle change a job, a certificate, a user or a token only in one of these
// revisions, or not with schemas.ErrChanged.
func (h *Handle) IfRevision(revisions schemas.Revisions) *Handle {
	h.revisions = revisions
	return h
}

// For returns the principal's handle on a tenant; empty means its own, or all of them.
// A tenant it does not see is ErrNotFound.
func (s *Service) For(p auth.Principal, tenant string) (*Handle, error) {
	if tenant == "" {
		tenant = p.Tenant
	}
	if tenant == "" || !p.Sees(tenant) {
		return nil, ErrNotFound
	}
	return &Handle{Service: s, who: p, tenant: tenant}, nil
}

// checkRetention refuses what a worker would: artifacts that outlive the tenant's time.
func (h *Handle) checkRetention(days int) error {
	if h.Lifetime == nil {
		return nil
	}
	if longest := h.Lifetime(h.tenant); time.Duration(days)*24*time.Hour > longest {
		return &schemas.InvalidError{Problems: []string{fmt.Sprintf("retention_days: %d is more than the %s that artifacts of tenant %s may live", days, schemas.Counted(int(longest.Hours()/24), "day"), h.tenant)}}
	}
	return nil
}

// checkPolicy refuses what a worker would: pseudonyms that there is no key for.
func (h *Handle) checkPolicy(p *schemas.FieldPolicy, entity string) error {
	if p.Pseudonyms(entity) > 0 && !h.Options.Pseudonyms {
		return &schemas.InvalidError{Problems: []string{"field_policy: " + schemas.ErrNoPseudonymKey.Error()}}
	}
	return nil
}

// Principal is who the handle is for.
func (h *Handle) Principal() auth.Principal { return h.who }

// Tenant is which tenant the handle is on; schemas.AllTenants if on none in particular.
func (h *Handle) Tenant() string { return h.tenant }

// reads checks a permission that changes nothing.
func (h *Handle) reads(permission auth.Permission) error {
	if h.who.MustChangePassword {
		return auth.ErrMustChange
	}
	if !h.who.May(permission) {
		return auth.ErrForbidden
	}
	if h.tenant == schemas.AllTenants && permission != auth.Observe && permission != auth.Manage {
		return ErrTenant
	}
	return nil
}

// changes checks a permission to change subject, and leaves a record if it is refused.
func (h *Handle) changes(ctx context.Context, permission auth.Permission, action, subject string) error {
	err := h.reads(permission)
	if errors.Is(err, auth.ErrForbidden) {
		return errors.Join(err, h.Publisher.Publish(ctx, h.record(action, subject, schemas.OutcomeRefused, "the role "+h.who.Role+" does not allow it")))
	}
	return err
}

// refuse leaves a record of what was refused for another reason than the role, and
// returns that.
func (h *Handle) refuse(ctx context.Context, action, subject string, reason error) error {
	detail := reason.Error()
	if len(detail) > maxDetail {
		detail = detail[:maxDetail]
	}
	return errors.Join(reason, h.Publisher.Publish(ctx, h.record(action, subject, schemas.OutcomeRefused, detail)))
}

const maxDetail = 1000

// revised makes the next version of a job or a certificate, and then its audit record:
// what lost to another writer was refused, and what was done is audited although whoever
// asked for it has gone away.
func (h *Handle) revised(ctx context.Context, action, subject, detail string, v schemas.Versioned) error {
	if !h.revisions.Allow(v.Version() - 1) {
		return h.refuse(ctx, action, subject, schemas.ErrChanged)
	}
	err := h.Records.Change(ctx, v)
	if errors.Is(err, schemas.ErrChanged) {
		return h.refuse(ctx, action, subject, err)
	}
	if err != nil {
		return err
	}
	return h.change(context.WithoutCancel(ctx), action, subject, detail)
}

// audited is a request whose audit record has an id of its own: whoever carries the request
// out records it, too, and the audit trail keeps one of both.
type audited interface {
	schemas.Event
	AuditID() string
}

// request publishes a request together with its record.
func (h *Handle) request(ctx context.Context, action, subject, detail string, r audited) error {
	record := h.record(action, subject, schemas.OutcomeDone, detail)
	record.AuditID = r.AuditID()
	return h.Publisher.Publish(ctx, r, record)
}

// change publishes what is changed together with its record.
func (h *Handle) change(ctx context.Context, action, subject, detail string, events ...schemas.Event) error {
	return h.Publisher.Publish(ctx, append(events, h.record(action, subject, schemas.OutcomeDone, detail))...)
}

func (h *Handle) record(action, subject, outcome, detail string) *schemas.AuditRecord {
	if subject == "" {
		subject = "new"
	}
	return auth.Audit(h.who, h.tenant, action, subject, outcome, detail, h.Now())
}
