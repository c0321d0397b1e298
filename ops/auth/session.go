package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"cdds/schemas"
)

// session is what the cookie holds. A password session takes tenant and role from
// the user's record at every request; one of OpenID Connect has what the provider
// said when it began.
type session struct {
	ID      string `json:"id"`
	Subject string `json:"sub"`
	Name    string `json:"name"`
	Tenant  string `json:"tenant,omitempty"`
	Role    string `json:"role,omitempty"`
	Via     string `json:"via"`
	// Access is the user's AccessRevision when it began.
	Access int64     `json:"access,omitempty"`
	Began  time.Time `json:"began"`
	Seen   time.Time `json:"seen"`
}

// KeySize is the size of the key that seals cookies, in bytes.
const KeySize = 32

// sealer makes cookies that only holders of the key can read or make: AES-256-GCM
// with random nonces, the cookie's name as additional data.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*sealer, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the key of sessions has %s, not %d", schemas.Counted(len(key), "byte"), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &sealer{aead}, err
}

func (s *sealer) seal(name string, v any) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, []byte(name))), nil //nolint:gosec // the AEAD makes a random nonce of its own
}

func (s *sealer) open(name, sealed string, v any) error {
	b, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return ErrSession
	}
	plain, err := s.aead.Open(nil, nil, b, []byte(name))
	if err != nil || schemas.Read(plain, v) != nil {
		return ErrSession
	}
	return nil
}

// EnsureKey reads the key that seals cookies, or makes one if the file is not there.
// Processes behind one name share it, or people would be signed out as they change
// from one to another.
func EnsureKey(file string) ([]byte, error) {
	key, err := os.ReadFile(file)
	if err == nil && len(key) == KeySize {
		return key, nil
	}
	if err == nil {
		return nil, fmt.Errorf("%s has %s where the key of sessions has %d; remove it to get a new one", file, schemas.Counted(len(key), "byte"), KeySize)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the key of sessions: %w", err)
	}
	key = make([]byte, KeySize)
	_, _ = rand.Read(key)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	// O_EXCL: of two processes that start at once, one makes it and the other fails
	// rather than seal with a key that is gone.
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep the key of sessions: %w", err)
	}
	_, err = f.Write(key)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("keep the key of sessions: %w", err), os.Remove(file))
	}
	return key, nil
}

// cookie is a cookie only this origin gets: with https, browsers hold the __Host-
// prefix to that. Plain http is for loopback.
func (s *Service) cookie(name, value string, lives time.Duration) *http.Cookie {
	c := &http.Cookie{ //nolint:gosec // Secure but on loopback without TLS
		Name: s.cookieName(name), Value: value, Path: "/", HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteLaxMode,
		MaxAge: int(lives / time.Second),
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

func (s *Service) cookieName(name string) string {
	if s.Secure {
		return "__Host-" + name
	}
	return name
}

const (
	sessionCookie = "cdds_session"
	oidcCookie    = "cdds_oidc"
	// resealAfter is how much later than the last time a session's cookie is renewed.
	resealAfter = time.Minute
)

// begin starts a session of p, records it together with what is audited of it, and gives
// its cookie.
func (s *Service) begin(w http.ResponseWriter, r *http.Request, p Principal, v session, audit ...schemas.Event) error {
	v.ID = rand.Text()
	v.Subject, v.Name, v.Via, v.Seen = p.Subject, p.Name, p.Via, v.Began
	began := schemas.TimeOf(v.Began)
	a := &schemas.AccessRecord{
		RecordID: schemas.SessionRecordID(v.ID), Revision: 1, UpdatedAt: began, UpdatedBy: p.Name,
		Session: &schemas.Session{
			SessionID: v.ID, Subject: p.Subject, Name: p.Name, TenantID: p.Tenant, Role: p.Role, Via: p.Via, From: p.From,
			BeganAt: began, Until: schemas.TimeOf(v.Began.Add(s.Absolute)), AccessRevision: v.Access,
		},
	}
	if err := s.Publisher.Publish(r.Context(), append(audit, a)...); err != nil {
		return err
	}
	s.Directory.Apply(a)
	s.Records.Remove(schemas.TopicAccess, s.Directory.Overdue(maxOverdue))
	return s.give(w, v)
}

// maxOverdue is how many records of earlier sessions the beginning of one removes.
const maxOverdue = 16

// sessionIn is the session that a record is of.
func sessionIn(s schemas.Session) session {
	return session{ID: s.SessionID, Subject: s.Subject, Name: s.Name, Via: s.Via, Access: s.AccessRevision, Began: s.BeganAt.Time}
}

func (s *Service) give(w http.ResponseWriter, v session) error {
	sealed, err := s.sealer.seal(sessionCookie, v)
	if err != nil {
		return err
	}
	http.SetCookie(w, s.cookie(sessionCookie, sealed, s.Absolute))
	return nil
}

// sessionOf returns the principal of a request's session cookie, or ErrSession.
func (s *Service) sessionOf(r *http.Request) (Principal, error) {
	c, err := r.Cookie(s.cookieName(sessionCookie))
	if err != nil {
		return Principal{}, ErrSession
	}
	var v session
	if err := s.sealer.open(sessionCookie, c.Value, &v); err != nil {
		return Principal{}, err
	}
	now := s.Now()
	s.asOfNow(r.Context())
	if now.Sub(v.Seen) > s.Idle || now.Sub(v.Began) > s.Absolute || !s.Directory.servesNow(v) {
		return Principal{}, ErrSession
	}
	p := Principal{Subject: v.Subject, Name: v.Name, Tenant: v.Tenant, Role: v.Role, Via: v.Via, From: s.AddressOf(r), session: v}
	if v.Via == ViaPassword {
		u, _, _ := s.Directory.User(v.Name)
		p.Tenant, p.Role, p.MustChangePassword, p.revision = u.TenantID, u.Role, u.MustChange, v.Access
	}
	return p, nil
}
