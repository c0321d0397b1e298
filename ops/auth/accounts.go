package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"cdds/schemas"
)

// Errors of accounts.
var (
	ErrUnknown = errors.New("there is no such user or token")
	ErrTaken   = errors.New("the name is taken, or was once: names are not given twice")
)

// MaxTokenLife is the longest an API token may serve.
const MaxTokenLife = 366 * 24 * time.Hour

// CreateUser makes a user with a password that serves once, which is returned and
// nowhere kept. by is who does it; whether it may is for the caller to know. The
// error may be ErrTaken or a *schemas.InvalidError.
func (s *Service) CreateUser(ctx context.Context, by Principal, u schemas.User) (password string, err error) {
	if _, revision, _ := s.Directory.User(u.Name); revision > 0 {
		return "", ErrTaken
	}
	now := s.Now()
	u.CreatedAt, u.CreatedBy, u.MustChange, u.PasswordAt, u.Deleted = schemas.TimeOf(now), by.Name, true, schemas.TimeOf(now), false
	password = OneTimePassword()
	if u.PasswordHash, err = s.hasher.Hash(ctx, password); err != nil {
		return "", err
	}
	return password, s.put(ctx, userRecord(u, 1, by.Name, now), s.about(by, u.TenantID, "user.create", schemas.UserRecordID(u.Name), u.Role+" of "+u.TenantID))
}

// ResetPassword gives a user a new password that serves once, and ends its sessions.
func (s *Service) ResetPassword(ctx context.Context, by Principal, name string) (password string, err error) {
	u, revision, ok := s.Directory.User(name)
	if !ok {
		return "", ErrUnknown
	}
	now := s.Now()
	password = OneTimePassword()
	if u.PasswordHash, err = s.hasher.Hash(ctx, password); err != nil {
		return "", err
	}
	u.MustChange, u.PasswordAt = true, schemas.TimeOf(now)
	return password, s.put(ctx, userRecord(u, revision+1, by.Name, now), s.about(by, u.TenantID, "user.reset-password", schemas.UserRecordID(name), ""))
}

// ChangeUser changes a user's display name and role; it counts from its next request.
func (s *Service) ChangeUser(ctx context.Context, by Principal, name, displayName, role string) error {
	u, revision, ok := s.Directory.User(name)
	if !ok {
		return ErrUnknown
	}
	u.DisplayName, u.Role = displayName, role
	return s.put(ctx, userRecord(u, revision+1, by.Name, s.Now()), s.about(by, u.TenantID, "user.change", schemas.UserRecordID(name), role))
}

// DeleteUser ends a user and its sessions.
func (s *Service) DeleteUser(ctx context.Context, by Principal, name string) error {
	u, revision, ok := s.Directory.User(name)
	if !ok {
		return ErrUnknown
	}
	u.Deleted = true
	return s.put(ctx, userRecord(u, revision+1, by.Name, s.Now()), s.about(by, u.TenantID, "user.delete", schemas.UserRecordID(name), ""))
}

// CreateToken makes an API token of t's name, tenant, role and end, and returns it
// with the secret, which is nowhere kept.
func (s *Service) CreateToken(ctx context.Context, by Principal, t schemas.APIToken) (schemas.APIToken, string, error) {
	now := s.Now()
	if !t.ExpiresAt.After(now) || t.ExpiresAt.Sub(now) > MaxTokenLife {
		return t, "", &schemas.InvalidError{Problems: []string{fmt.Sprintf("expires_at: it must lie in the future, at most %d days from now", int(MaxTokenLife.Hours()/24))}}
	}
	t, secret := NewToken(t, by.Name, now)
	a := tokenRecord(t, 1, by.Name, now)
	return t, secret, s.put(ctx, a, s.about(by, t.TenantID, "token.create", a.RecordID, t.Name+": "+t.Role+" of "+t.TenantID+" until "+t.ExpiresAt.String()))
}

// NewToken completes t with a new id and the digest of a new secret, and returns that.
func NewToken(t schemas.APIToken, by string, now time.Time) (schemas.APIToken, string) {
	random := make([]byte, 32)
	_, _ = rand.Read(random)
	t.TokenID = strings.ToLower(ulid.Make().String())
	secret := tokenPrefix + t.TokenID + "_" + base64.RawURLEncoding.EncodeToString(random)
	sum := sha256.Sum256([]byte(secret))
	t.SHA256, t.CreatedAt, t.CreatedBy, t.RevokedAt = hex.EncodeToString(sum[:]), schemas.TimeOf(now), by, schemas.Time{}
	return t, secret
}

// TokenRecord is the first record of a token.
func TokenRecord(t schemas.APIToken) *schemas.AccessRecord {
	return tokenRecord(t, 1, t.CreatedBy, t.CreatedAt.Time)
}

// RevokeToken ends a token; one that has ended stays so.
func (s *Service) RevokeToken(ctx context.Context, by Principal, id string) error {
	t, revision, ok := s.Directory.Token(id)
	if !ok {
		return ErrUnknown
	}
	if !t.RevokedAt.IsZero() {
		return nil
	}
	now := s.Now()
	t.RevokedAt = schemas.TimeOf(now)
	a := tokenRecord(t, revision+1, by.Name, now)
	return s.put(ctx, a, s.about(by, t.TenantID, "token.revoke", a.RecordID, t.Name))
}

// FirstUser is the name of the user Bootstrap makes.
const FirstUser = "admin"

// Bootstrap makes the first administrator if nobody could sign in, and returns the
// password that serves once; it is empty if there is somebody. The Directory must
// have read its topic.
func (s *Service) Bootstrap(ctx context.Context) (password string, err error) {
	if !s.Directory.Empty() {
		return "", nil
	}
	by := Principal{Subject: "system/bootstrap", Name: "bootstrap", Tenant: schemas.AllTenants}
	return s.CreateUser(ctx, by, schemas.User{Name: FirstUser, DisplayName: "Administrator", TenantID: schemas.AllTenants, Role: schemas.RoleAdministrator})
}

func (s *Service) about(by Principal, tenant, action, subject, detail string) *schemas.AuditRecord {
	return Audit(by, tenant, action, subject, schemas.OutcomeDone, detail, s.Now())
}

func userRecord(u schemas.User, revision int64, by string, now time.Time) *schemas.AccessRecord {
	return &schemas.AccessRecord{
		RecordID: schemas.UserRecordID(u.Name), Revision: revision, UpdatedAt: schemas.TimeOf(now), UpdatedBy: by, User: &u,
	}
}

func tokenRecord(t schemas.APIToken, revision int64, by string, now time.Time) *schemas.AccessRecord {
	return &schemas.AccessRecord{
		RecordID: schemas.TokenRecordID(t.TokenID), Revision: revision, UpdatedAt: schemas.TimeOf(now), UpdatedBy: by, Token: &t,
	}
}
