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
	ErrUnknown = errors.New("no such user or token")
	ErrTaken   = errors.New("the username is taken, or was; usernames cannot be reused")
)

// OneTimeLife is how long a one-time password serves.
const OneTimeLife = 72 * time.Hour

// MaxTokenLife is the longest an API token may serve.
const MaxTokenLife = 366 * 24 * time.Hour

// CreateUser makes a user with a one-time password, which is returned and not kept. by is
// who does it; the caller checks whether it may. The error may be ErrTaken, also if
// another process takes the name at the same time, or a *schemas.InvalidError.
func (s *Service) CreateUser(ctx context.Context, by Principal, u schemas.User) (password string, err error) {
	if _, revision, _ := s.Directory.User(u.Name); revision > 0 {
		return "", ErrTaken
	}
	now := s.Now()
	u.CreatedAt, u.CreatedBy, u.MustChange, u.PasswordAt, u.Deleted = schemas.TimeOf(now), by.Name, true, schemas.TimeOf(now), false
	u.UsedAt, u.Disabled, u.AccessRevision = schemas.Time{}, false, 0
	password = OneTimePassword()
	if u.PasswordHash, err = s.hasher.Hash(ctx, password); err != nil {
		return "", err
	}
	err = s.change(ctx, userRecord(u, 1, by.Name, now), s.about(by, u.TenantID, "user.create", schemas.UserRecordID(u.Name), u.Role+" of "+u.TenantID))
	if errors.Is(err, schemas.ErrChanged) {
		return "", ErrTaken
	}
	return password, err
}

// ResetPassword gives a user a new one-time password, and ends its sessions. Like each change
// of a user or a token it is for the revisions in; another one is schemas.ErrChanged.
func (s *Service) ResetPassword(ctx context.Context, by Principal, in schemas.Revisions, name string) (password string, err error) {
	password = OneTimePassword()
	hash, err := s.hasher.Hash(ctx, password)
	if err != nil {
		return "", err
	}
	return password, s.changeUser(ctx, by, in, name, "user.reset_password", func(u *schemas.User) string {
		u.PasswordHash, u.MustChange, u.PasswordAt, u.UsedAt = hash, true, schemas.TimeOf(s.Now()), schemas.Time{}
		return ""
	})
}

// ChangeUser changes a user's display name and role. With another role, its sessions and
// the tokens it owns end.
func (s *Service) ChangeUser(ctx context.Context, by Principal, in schemas.Revisions, name, displayName, role string) error {
	return s.changeUser(ctx, by, in, name, "user.change", func(u *schemas.User) string {
		if u.Role != role {
			u.AccessRevision++
		}
		u.DisplayName, u.Role = displayName, role
		return role
	})
}

// DisableUser keeps a user from signing in, and ends its sessions and the tokens it owns;
// EnableUser lets it sign in again. What has ended stays so.
func (s *Service) DisableUser(ctx context.Context, by Principal, in schemas.Revisions, name string) error {
	return s.setDisabled(ctx, by, in, name, "user.disable", true)
}

// EnableUser undoes DisableUser.
func (s *Service) EnableUser(ctx context.Context, by Principal, in schemas.Revisions, name string) error {
	return s.setDisabled(ctx, by, in, name, "user.enable", false)
}

func (s *Service) setDisabled(ctx context.Context, by Principal, in schemas.Revisions, name, action string, disabled bool) error {
	return s.changeUser(ctx, by, in, name, action, func(u *schemas.User) string {
		if u.Disabled != disabled {
			u.AccessRevision++
		}
		u.Disabled = disabled
		return ""
	})
}

// DeleteUser ends a user, its sessions and the tokens it owns.
func (s *Service) DeleteUser(ctx context.Context, by Principal, in schemas.Revisions, name string) error {
	return s.changeUser(ctx, by, in, name, "user.delete", func(u *schemas.User) string {
		u.Deleted = true
		return ""
	})
}

// maxAttempts is how often an administrator's change of a user is tried while others
// change the same user. Whoever changes its own password must hash one first, so it
// cannot win all of them.
const maxAttempts = 20

// changeUser makes the next version of a user, if in allows the one before; change returns
// the detail to audit. What somebody else changes at the same time stays.
func (s *Service) changeUser(ctx context.Context, by Principal, in schemas.Revisions, name, action string, change func(*schemas.User) (detail string)) (err error) {
	for range maxAttempts {
		u, revision, ok := s.Directory.User(name)
		if !ok {
			return ErrUnknown
		}
		if !in.Allow(revision) {
			return schemas.ErrChanged
		}
		detail := change(&u)
		err = s.change(ctx, userRecord(u, revision+1, by.Name, s.Now()), s.about(by, u.TenantID, action, schemas.UserRecordID(name), detail))
		if !errors.Is(err, schemas.ErrChanged) {
			return err
		}
	}
	return err
}

// CreateToken makes an API token of t's name, tenant, role and end, and returns it
// with the secret, which is not kept.
func (s *Service) CreateToken(ctx context.Context, by Principal, t schemas.APIToken) (schemas.APIToken, string, error) {
	now := s.Now()
	if !t.ExpiresAt.After(now) || t.ExpiresAt.Sub(now) > MaxTokenLife {
		return t, "", &schemas.InvalidError{Problems: []string{fmt.Sprintf("expires_at: it must lie in the future, at most %d days from now", int(MaxTokenLife.Hours()/24))}}
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random)
	t.TokenID = strings.ToLower(ulid.Make().String())
	secret := tokenPrefix + t.TokenID + "_" + base64.RawURLEncoding.EncodeToString(random)
	sum := sha256.Sum256([]byte(secret))
	t.SHA256, t.CreatedAt, t.CreatedBy, t.Owner, t.OwnerRevision, t.RevokedAt = hex.EncodeToString(sum[:]), schemas.TimeOf(now), by.Name, by.owns(), by.revision, schemas.Time{}
	a := tokenRecord(t, 1, by.Name, now)
	return t, secret, s.change(ctx, a, s.about(by, t.TenantID, "token.create", a.RecordID, t.Name+": "+t.Role+" of "+t.TenantID+" until "+t.ExpiresAt.String()))
}

// RevokeToken ends a token in one of these revisions; one that has ended stays so.
func (s *Service) RevokeToken(ctx context.Context, by Principal, in schemas.Revisions, id string) (err error) {
	for range maxAttempts {
		t, revision, ok := s.Directory.Token(id)
		if !ok {
			return ErrUnknown
		}
		if !in.Allow(revision) {
			return schemas.ErrChanged
		}
		if !t.RevokedAt.IsZero() {
			return nil
		}
		now := s.Now()
		t.RevokedAt = schemas.TimeOf(now)
		a := tokenRecord(t, revision+1, by.Name, now)
		err = s.change(ctx, a, s.about(by, t.TenantID, "token.revoke", a.RecordID, t.Name))
		if !errors.Is(err, schemas.ErrChanged) {
			return err
		}
	}
	return err
}

// FirstUser is the name of the user Bootstrap makes.
const FirstUser = "admin"

// Bootstrap makes the first administrator of a new system and returns its one-time
// password. Where there is or ever was a user, or another process makes the first one
// at the same time, the password is empty. The Directory must have read its topic.
func (s *Service) Bootstrap(ctx context.Context) (password string, err error) {
	if !s.Directory.Unused() {
		return "", nil
	}
	by := Principal{Subject: "system/bootstrap", Name: "bootstrap", Tenant: schemas.AllTenants}
	password, err = s.CreateUser(ctx, by, schemas.User{Name: FirstUser, DisplayName: "Administrator", TenantID: schemas.AllTenants, Role: schemas.RoleAdministrator})
	if errors.Is(err, ErrTaken) {
		return "", nil
	}
	return password, err
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
