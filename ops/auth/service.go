package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/schemas"
)

// Publisher publishes records and what is audited about them.
type Publisher interface {
	// Publish returns when all are acknowledged.
	Publish(ctx context.Context, events ...schemas.Event) error
}

// Records changes users and tokens, each by one writer at a time.
type Records interface {
	// Change publishes the next version of a record and returns once the Directory has
	// it, or with schemas.ErrChanged if another process was first.
	Change(ctx context.Context, v schemas.Versioned) error
	// Remove removes records that are of no use any more. It does not wait.
	Remove(topic schemas.Topic, keys []string)
}

// Options of a Service.
type Options struct {
	Directory *Directory
	// Sync returns once Directory has everything that was acknowledged before; nil if it
	// always has.
	Sync      func(ctx context.Context) error
	Records   Records
	Publisher Publisher
	// Key seals cookies: KeySize bytes, the same in all processes behind one name.
	Key []byte
	// Secure says that people come by https; cookies are for https only then.
	Secure bool
	// Idle and Absolute end sessions: 0 means 1 hour and 12 hours.
	Idle, Absolute time.Duration
	// TrustedProxies may say in X-Forwarded-For where a request came from.
	TrustedProxies []netip.Prefix
	// ProxyHops is how many proxies a request passes, one after the other; 0 means 1. More
	// would let a client whose own address is among TrustedProxies choose another.
	ProxyHops int
	// OIDC lets people sign in through a provider; nil means they cannot.
	OIDC *OIDC
	// Registerer may be nil.
	Registerer prometheus.Registerer
	Logger     *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Service signs people in and identifies who makes a request. It is safe for concurrent
// use and starts nothing.
type Service struct {
	Options
	sealer    *sealer
	hasher    *Hasher
	guesses   *Throttle // by network and name
	byNetwork *Throttle
	byUser    *Throttle
	bySite    *Throttle // by site and name, beyond byUser
	signIns   *prometheus.CounterVec
	// asksAgain is when Kafka is asked again after it did not answer, in Unix nanoseconds.
	asksAgain atomic.Int64
}

// New returns a Service.
func New(o Options) (*Service, error) {
	if o.Idle == 0 {
		o.Idle = time.Hour
	}
	if o.Absolute == 0 {
		o.Absolute = 12 * time.Hour
	}
	if o.ProxyHops == 0 {
		o.ProxyHops = 1
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	sealer, err := newSealer(o.Key)
	if err != nil {
		return nil, err
	}
	s := &Service{
		Options: o, sealer: sealer, hasher: NewHasher(2),
		// A person who forgot tries a few. Who guesses from many networks gets some forty
		// thousand a day for one name, and three a day more from each site: with those the
		// user itself signs in while strangers use up the rest.
		guesses:   NewThrottle(10*time.Second, 5),
		byNetwork: NewThrottle(3*time.Second, 20),
		byUser:    NewThrottle(2*time.Second, 50),
		bySite:    NewThrottle(8*time.Hour, 3),
		signIns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "cdds_sign_ins_total", Help: "Attempts to sign in.",
		}, []string{"via", "outcome"}),
	}
	if o.Registerer != nil {
		if err := o.Registerer.Register(s.signIns); err != nil {
			return nil, fmt.Errorf("sign-in metrics: %w", err)
		}
	}
	return s, nil
}

// syncTimeout bounds the wait for what another process wrote.
const syncTimeout = 5 * time.Second

// Sync returns once Directory has everything that was acknowledged before, or with the
// reason why that is not certain.
func (s *Service) Sync(ctx context.Context) error {
	if s.Options.Sync == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	return s.Options.Sync(ctx)
}

// Bounds of asOfNow.
const (
	freshTimeout = time.Second
	freshPause   = 5 * time.Second
)

// asOfNow brings Directory up to date, so that what was ended through another process has
// ended here too. While Kafka does not answer, nothing can be ended anywhere; Directory
// serves as it is, and one request every few seconds waits.
func (s *Service) asOfNow(ctx context.Context) {
	if s.Options.Sync == nil || time.Now().UnixNano() < s.asksAgain.Load() {
		return
	}
	within, cancel := context.WithTimeout(ctx, freshTimeout)
	defer cancel()
	if s.Options.Sync(within) != nil && ctx.Err() == nil {
		s.asksAgain.Store(time.Now().Add(freshPause).UnixNano())
	}
}

// SignIn checks a name and a password, and gives a session's cookie. Its error is
// ErrCredentials, ErrThrottled (a *ThrottledError) or of the machinery.
func (s *Service) SignIn(w http.ResponseWriter, r *http.Request, name, password string) (Principal, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	from, now := s.AddressOf(r), s.Now()
	refund, crowded, err := s.throttle(bounded(name), r, now)
	if err != nil {
		s.signIns.WithLabelValues(ViaPassword, "throttled").Inc()
		return Principal{}, err
	}
	_ = s.Sync(r.Context()) // or the copy as it is: without Kafka nobody signs in anyway
	u, _, known := s.Directory.User(name)
	hash := u.PasswordHash
	if !known {
		hash = ""
	}
	ok, err := s.hasher.Check(r.Context(), password, hash)
	if err != nil {
		return Principal{}, err
	}
	p := Principal{
		Subject: schemas.UserRecordID(name), Name: name, Tenant: schemas.AllTenants, Via: ViaPassword, From: from,
	}
	if !ok {
		s.signIns.WithLabelValues(ViaPassword, schemas.OutcomeRefused).Inc()
		if known {
			p.Tenant = u.TenantID
		} else {
			p.Subject, p.Name = "user/unknown", "unknown" // people type passwords where names belong
		}
		refused := ErrCredentials
		if crowded != nil {
			refused = crowded
		}
		return Principal{}, errors.Join(refused, s.audit(r.Context(), p, "session.begin", schemas.OutcomeRefused, "wrong name or password"))
	}
	refund()
	p.Tenant, p.Role, p.MustChangePassword = u.TenantID, u.Role, u.MustChange
	if err := s.admit(r.Context(), u, now); err != nil {
		if errors.Is(err, ErrCredentials) {
			s.signIns.WithLabelValues(ViaPassword, schemas.OutcomeRefused).Inc()
			err = errors.Join(err, s.audit(r.Context(), p, "session.begin", schemas.OutcomeRefused, err.Error()))
		}
		return Principal{}, err
	}
	s.signIns.WithLabelValues(ViaPassword, schemas.OutcomeDone).Inc()
	return p, s.begin(w, r, p, session{Access: u.AccessRevision, Began: schemas.TimeOf(now).Time},
		s.record(p, "session.begin", schemas.OutcomeDone, "with a password"))
}

// admit decides whether a user who gave the password of checked may sign in. A one-time
// password is used up: of two who give it at the same time, in any two processes, one
// signs in.
func (s *Service) admit(ctx context.Context, checked schemas.User, now time.Time) (err error) {
	for range maxAttempts {
		u, revision, ok := s.Directory.User(checked.Name)
		switch {
		case !ok, u.PasswordHash != checked.PasswordHash:
			return ErrCredentials
		case u.Disabled:
			return ErrDisabled
		case !u.MustChange:
			return nil
		case !u.UsedAt.IsZero() || now.Sub(u.PasswordAt.Time) > OneTimeLife:
			return ErrSpent
		}
		u.UsedAt = schemas.TimeOf(now)
		if err = s.Records.Change(ctx, userRecord(u, revision+1, u.Name, now)); !errors.Is(err, schemas.ErrChanged) {
			return err
		}
	}
	return err
}

// SignOut ends the session of the request, everywhere it may have been copied to.
func (s *Service) SignOut(w http.ResponseWriter, r *http.Request) error {
	p, err := s.sessionOf(r)
	http.SetCookie(w, s.cookie(sessionCookie, "", 0))
	if errors.Is(err, ErrSession) { // nobody is signed in: that is what was asked for
		return nil
	}
	return s.end(r.Context(), p, p.Tenant, p.Subject, p.session.ID, "session.end", "signed out", s.Now().Add(s.Absolute))
}

// SignOutEverywhere ends all sessions of the principal, this one too.
func (s *Service) SignOutEverywhere(w http.ResponseWriter, r *http.Request) error {
	p, err := s.sessionOf(r)
	if err != nil {
		return err
	}
	http.SetCookie(w, s.cookie(sessionCookie, "", 0))
	return s.end(r.Context(), p, p.Tenant, p.Subject, "", "session.end_all", "signed out everywhere", s.Now().Add(s.Absolute))
}

// EndSession ends a session of anybody. by is who does it; the caller checks whether it may.
func (s *Service) EndSession(ctx context.Context, by Principal, id string) error {
	v, ok := s.Directory.Session(id)
	if !ok {
		return ErrUnknown
	}
	return s.end(ctx, by, v.TenantID, v.Subject, id, "session.end", "session "+id, v.Until.Time)
}

// end ends a session of a subject, or all of them if there is no sessionID. until is when
// they would have ended by themselves.
func (s *Service) end(ctx context.Context, by Principal, tenant, subject, sessionID, action, detail string, until time.Time) error {
	now := s.Now()
	a := &schemas.AccessRecord{
		RecordID: schemas.SignOutRecordID(subject, sessionID), Revision: now.UnixMilli(),
		UpdatedAt: schemas.TimeOf(now), UpdatedBy: by.Name,
		SignOut: &schemas.SignOut{
			Subject: subject, SessionID: sessionID, At: schemas.TimeOf(now), Until: schemas.TimeOf(until),
		},
	}
	if err := a.Validate(); err != nil {
		return err
	}
	if err := s.Publisher.Publish(ctx, a, s.about(by, tenant, action, subject, detail)); err != nil {
		return err
	}
	s.Directory.Apply(a)
	return nil
}

// ChangePassword sets a new password of the signed-in user, who proves that it knows
// the old one, ends its sessions and begins another. Its error may be ErrCredentials,
// ErrThrottled, or a *PasswordError that says what is wrong with the new one.
func (s *Service) ChangePassword(w http.ResponseWriter, r *http.Request, before, after string) error {
	p, err := s.sessionOf(r)
	if err != nil {
		return err
	}
	if p.Via != ViaPassword {
		return fmt.Errorf("%w: you signed in through a provider, which has your password", ErrForbidden)
	}
	now := s.Now()
	// Whoever is signed in does not share the bound of the name with strangers.
	network := s.NetworkOf(r)
	refund, err := take(now, bound{s.byNetwork, network}, bound{s.guesses, network + " " + p.Name}, bound{s.guesses, p.session.ID})
	if err != nil {
		return err
	}
	u, revision, known := s.Directory.User(p.Name)
	ok, err := s.hasher.Check(r.Context(), before, u.PasswordHash)
	if err != nil {
		return err
	}
	if !ok || !known {
		return errors.Join(ErrCredentials, s.audit(r.Context(), p, "password.change", schemas.OutcomeRefused, "wrong password"))
	}
	refund()
	if before == after {
		return &PasswordError{"the new password must not be the old one"}
	}
	if err := CheckPassword(p.Name, after); err != nil {
		return err
	}
	if u.PasswordHash, err = s.hasher.Hash(r.Context(), after); err != nil {
		return err
	}
	u.MustChange, u.PasswordAt, u.UsedAt = false, schemas.TimeOf(now), schemas.Time{}
	err = s.change(r.Context(), userRecord(u, revision+1, p.Name, now), s.record(p, "password.change", schemas.OutcomeDone, ""))
	if _, _, still := s.Directory.User(p.Name); errors.Is(err, schemas.ErrChanged) && !still {
		return ErrSession
	}
	if err != nil {
		return err
	}
	return s.begin(w, r, p, session{Access: p.session.Access, Began: u.PasswordAt.Time})
}

// tokenPrefix lets scanners of code and logs find tokens that leaked.
const tokenPrefix = "cdds_"

// tokenOf returns the principal of an API token, or ErrCredentials.
func (s *Service) tokenOf(r *http.Request, token string) (Principal, error) {
	from := s.AddressOf(r)
	s.asOfNow(r.Context())
	id, _, ok := strings.Cut(strings.TrimPrefix(token, tokenPrefix), "_")
	t, _, known := s.Directory.Token(id)
	if !known && ok && s.Sync(r.Context()) == nil { // another process may have made it just now
		t, _, known = s.Directory.Token(id)
	}
	sum := sha256.Sum256([]byte(token))
	right := subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(t.SHA256)) == 1
	now := s.Now()
	if !ok || !known || !right || !strings.HasPrefix(token, tokenPrefix) || !t.RevokedAt.IsZero() || !t.ExpiresAt.After(now) {
		s.signIns.WithLabelValues(ViaToken, schemas.OutcomeRefused).Inc()
		return Principal{}, ErrCredentials
	}
	return Principal{
		Subject: schemas.TokenRecordID(t.TokenID), Name: t.Name, Tenant: t.TenantID, Role: t.Role, Via: ViaToken, From: from, owner: ownerOf(t), revision: t.OwnerRevision,
	}, nil
}

// change makes a record's next version and audits it. What lost to another writer is
// no change, and a change is audited although whoever asked for it has gone away.
func (s *Service) change(ctx context.Context, a *schemas.AccessRecord, audit *schemas.AuditRecord) error {
	if err := s.Records.Change(ctx, a); err != nil {
		return err
	}
	return s.Publisher.Publish(context.WithoutCancel(ctx), audit)
}

func (s *Service) audit(ctx context.Context, p Principal, action, outcome, detail string) error {
	return s.Publisher.Publish(ctx, s.record(p, action, outcome, detail))
}

func (s *Service) record(p Principal, action, outcome, detail string) *schemas.AuditRecord {
	return Audit(p, p.Tenant, action, p.Subject, outcome, detail, s.Now())
}

// Audit is the audit record of what p did, or was refused, to subject, at now.
func Audit(p Principal, tenant, action, subject, outcome, detail string, now time.Time) *schemas.AuditRecord {
	return &schemas.AuditRecord{
		AuditID: tenant + "/" + action + "/" + rand.Text(), Time: schemas.TimeOf(now), TenantID: tenant,
		Actor: p.Actor(), From: p.From, Action: action, Subject: bounded(subject), Outcome: outcome, Detail: detail,
	}
}

// bounded makes what a stranger typed fit for a key or a subject.
func bounded(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, s)
	if len(s) > 128 {
		s = strings.ToValidUTF8(s[:128], "")
	}
	return s
}
