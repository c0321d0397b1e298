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

// Service signs people in and tells who makes a request. It is safe for concurrent
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
	if err := s.audit(r.Context(), p, "session.begin", schemas.OutcomeDone, "with a password"); err != nil {
		return Principal{}, err
	}
	p.session = session{Subject: p.Subject, Name: name, Via: ViaPassword, Began: schemas.TimeOf(now).Time}
	s.signIns.WithLabelValues(ViaPassword, schemas.OutcomeDone).Inc()
	return p, s.begin(w, p.session)
}

// throttle counts an attempt for a name until refund undoes it, or is a *ThrottledError.
// If too many others attempt the same name, and this attempt is only let through for its
// site, crowded is that error.
func (s *Service) throttle(name string, r *http.Request, now time.Time) (refund func(), crowded, err error) {
	network := s.NetworkOf(r)
	own, err := take(now, bound{s.byNetwork, network}, bound{s.guesses, network + " " + name})
	if err != nil {
		return nil, nil, err
	}
	shared, crowded := s.byUser.Take(name, now)
	if crowded != nil {
		if shared, err = s.bySite.Take(siteOf(s.AddressOf(r))+" "+name, now); err != nil {
			return nil, nil, crowded
		}
	}
	return func() { own(); shared() }, crowded, nil
}

// bound is one key's part of a Throttle.
type bound struct {
	*Throttle
	key string
}

// take takes one of each, until one is used up.
func take(now time.Time, bounds ...bound) (refund func(), err error) {
	var refunds []func()
	for _, b := range bounds {
		refund, err := b.Take(b.key, now)
		if err != nil {
			return nil, err
		}
		refunds = append(refunds, refund)
	}
	return func() {
		for _, refund := range refunds {
			refund()
		}
	}, nil
}

// SignOut ends the session of the request, everywhere it may have been copied to.
func (s *Service) SignOut(w http.ResponseWriter, r *http.Request) error {
	p, err := s.sessionOf(r)
	http.SetCookie(w, s.cookie(sessionCookie, "", 0))
	if errors.Is(err, ErrSession) { // nobody is signed in: that is what was asked for
		return nil
	}
	return s.end(r.Context(), p, p.session.ID, "session.end", "signed out")
}

// SignOutEverywhere ends all sessions of the principal, this one too.
func (s *Service) SignOutEverywhere(w http.ResponseWriter, r *http.Request) error {
	p, err := s.sessionOf(r)
	if err != nil {
		return err
	}
	http.SetCookie(w, s.cookie(sessionCookie, "", 0))
	return s.end(r.Context(), p, "", "session.end-all", "signed out everywhere")
}

func (s *Service) end(ctx context.Context, p Principal, sessionID, action, detail string) error {
	now := s.Now()
	a := &schemas.AccessRecord{
		RecordID: schemas.SignOutRecordID(p.Subject, sessionID), Revision: now.UnixMilli(),
		UpdatedAt: schemas.TimeOf(now), UpdatedBy: p.Name,
		SignOut: &schemas.SignOut{
			Subject: p.Subject, SessionID: sessionID, At: schemas.TimeOf(now), Until: schemas.TimeOf(now.Add(s.Absolute)),
		},
	}
	if err := a.Validate(); err != nil {
		return err
	}
	if err := s.Publisher.Publish(ctx, a, s.record(p, action, schemas.OutcomeDone, detail)); err != nil {
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
	u.MustChange, u.PasswordAt = false, schemas.TimeOf(now)
	err = s.change(r.Context(), userRecord(u, revision+1, p.Name, now), s.record(p, "password.change", schemas.OutcomeDone, ""))
	if _, _, still := s.Directory.User(p.Name); errors.Is(err, schemas.ErrChanged) && !still {
		return ErrSession
	}
	if err != nil {
		return err
	}
	return s.begin(w, session{Subject: p.Subject, Name: p.Name, Via: ViaPassword, Began: u.PasswordAt.Time})
}

// tokenPrefix lets scanners of code and logs find tokens that leaked.
const tokenPrefix = "cdds_"

// tokenOf returns the principal of an API token, or ErrCredentials.
func (s *Service) tokenOf(r *http.Request, token string) (Principal, error) {
	from := s.AddressOf(r)
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
		Subject: schemas.TokenRecordID(t.TokenID), Name: t.Name, Tenant: t.TenantID, Role: t.Role, Via: ViaToken, From: from, owner: ownerOf(t),
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
		Actor: p.Name + " (" + p.Subject + ")", From: p.From, Action: action, Subject: bounded(subject), Outcome: outcome, Detail: detail,
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
