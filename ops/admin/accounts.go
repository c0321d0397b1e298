package admin

import (
	"context"
	"errors"

	"cdds/ops/auth"
	"cdds/schemas"
)

// Users lists the tenant's users, without their hashes; for who sees all tenants and
// named none, everybody.
func (h *Handle) Users(ctx context.Context) ([]schemas.User, error) {
	if err := h.reads(auth.Manage); err != nil {
		return nil, err
	}
	all := h.directory(ctx).Users(h.tenant)
	for i := range all {
		all[i].PasswordHash = ""
	}
	return all, nil
}

// User returns a user of the tenant, without its hash, and the revision of its record.
func (h *Handle) User(ctx context.Context, name string) (schemas.User, int64, error) {
	if err := h.reads(auth.Manage); err != nil {
		return schemas.User{}, 0, err
	}
	u, revision, ok := h.directory(ctx).User(name)
	if !ok || h.tenant != schemas.AllTenants && u.TenantID != h.tenant {
		return schemas.User{}, 0, missing(h.directoryAsOfNow)
	}
	u.PasswordHash = ""
	return u, revision, nil
}

// CreateUser makes a user of the handle's tenant and returns the password that serves
// once.
func (h *Handle) CreateUser(ctx context.Context, u schemas.User) (password string, err error) {
	if err := h.changes(ctx, auth.Manage, "user.create", "user/new"); err != nil {
		return "", err
	}
	u.TenantID = h.tenant
	password, err = h.Accounts.CreateUser(ctx, h.who, u)
	if errors.Is(err, auth.ErrTaken) {
		err = &ConflictError{auth.ErrTaken.Error()}
	}
	return password, err
}

// ChangeUser changes a user's display name and role. With another role, its sessions and
// tokens end.
func (h *Handle) ChangeUser(ctx context.Context, name, displayName, role string) error {
	if err := h.onUser(ctx, "user.change", name); err != nil {
		return err
	}
	return h.Accounts.ChangeUser(ctx, h.who, h.revisions, name, displayName, role)
}

// ResetPassword gives a user a one-time password, and ends its sessions.
func (h *Handle) ResetPassword(ctx context.Context, name string) (password string, err error) {
	if err := h.onUser(ctx, "user.reset_password", name); err != nil {
		return "", err
	}
	return h.Accounts.ResetPassword(ctx, h.who, h.revisions, name)
}

// DisableUser keeps a user from signing in, and ends its sessions and tokens.
func (h *Handle) DisableUser(ctx context.Context, name string) error {
	if err := h.onUser(ctx, "user.disable", name); err != nil {
		return err
	}
	return h.Accounts.DisableUser(ctx, h.who, h.revisions, name)
}

// EnableUser lets a disabled user sign in again.
func (h *Handle) EnableUser(ctx context.Context, name string) error {
	if err := h.onUser(ctx, "user.enable", name); err != nil {
		return err
	}
	return h.Accounts.EnableUser(ctx, h.who, h.revisions, name)
}

// Sessions lists the tenant's sessions, the latest first. Those that nobody uses end
// without a trace, so some may have ended.
func (h *Handle) Sessions(ctx context.Context) ([]schemas.Session, error) {
	if err := h.reads(auth.Manage); err != nil {
		return nil, err
	}
	return h.directory(ctx).Sessions(h.tenant), nil
}

// EndSession ends a session of anybody in the tenant, also one that began through a
// provider.
func (h *Handle) EndSession(ctx context.Context, id string) error {
	if err := h.changes(ctx, auth.Manage, "session.end", "session/"+subjectOf(id)); err != nil {
		return err
	}
	s, ok := h.directory(ctx).Session(id)
	if !ok || h.tenant != schemas.AllTenants && s.TenantID != h.tenant {
		return missing(h.directoryAsOfNow)
	}
	return h.Accounts.EndSession(ctx, h.who, id)
}

// DeleteUser ends a user, its sessions and its tokens.
func (h *Handle) DeleteUser(ctx context.Context, name string) error {
	if err := h.onUser(ctx, "user.delete", name); err != nil {
		return err
	}
	return h.Accounts.DeleteUser(ctx, h.who, h.revisions, name)
}

// onUser checks that a user may be changed: one of the tenant, and not oneself, or the
// last administrator could lock everybody out.
func (h *Handle) onUser(ctx context.Context, action, name string) error {
	if err := h.changes(ctx, auth.Manage, action, schemas.UserRecordID(name)); err != nil {
		return err
	}
	u, _, ok := h.directory(ctx).User(name)
	if !ok {
		return missing(h.directoryAsOfNow)
	}
	if h.tenant != schemas.AllTenants && u.TenantID != h.tenant {
		return ErrNotFound
	}
	if schemas.UserRecordID(name) == h.who.Subject {
		return h.refuse(ctx, action, schemas.UserRecordID(name), &ConflictError{"this is you: ask another administrator"})
	}
	return nil
}

// Tokens lists the tenant's API tokens, ended ones too, without their digests.
func (h *Handle) Tokens(ctx context.Context) ([]schemas.APIToken, error) {
	if err := h.reads(auth.Manage); err != nil {
		return nil, err
	}
	all := h.directory(ctx).Tokens(h.tenant)
	for i := range all {
		all[i].SHA256 = ""
	}
	return all, nil
}

// Token returns a token of the tenant, also one that has ended, without its digest,
// and the revision of its record.
func (h *Handle) Token(ctx context.Context, id string) (schemas.APIToken, int64, error) {
	if err := h.reads(auth.Manage); err != nil {
		return schemas.APIToken{}, 0, err
	}
	t, revision, ok := h.directory(ctx).Token(id)
	if !ok || h.tenant != schemas.AllTenants && t.TenantID != h.tenant {
		return schemas.APIToken{}, 0, missing(h.directoryAsOfNow)
	}
	t.SHA256 = ""
	return t, revision, nil
}

// CreateToken makes an API token of the handle's tenant and returns its secret, which
// is not kept.
func (h *Handle) CreateToken(ctx context.Context, t schemas.APIToken) (schemas.APIToken, string, error) {
	if err := h.changes(ctx, auth.Manage, "token.create", "token/new"); err != nil {
		return t, "", err
	}
	t.TenantID = h.tenant
	t, secret, err := h.Accounts.CreateToken(ctx, h.who, t)
	t.SHA256 = ""
	return t, secret, err
}

// RevokeToken ends a token.
func (h *Handle) RevokeToken(ctx context.Context, id string) error {
	if err := h.changes(ctx, auth.Manage, "token.revoke", schemas.TokenRecordID(subjectOf(id))); err != nil {
		return err
	}
	t, _, ok := h.directory(ctx).Token(id)
	if !ok {
		return missing(h.directoryAsOfNow)
	}
	if h.tenant != schemas.AllTenants && t.TenantID != h.tenant {
		return ErrNotFound
	}
	return h.Accounts.RevokeToken(ctx, h.who, h.revisions, id)
}
