package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"cdds/ops/admin"
	"cdds/schemas"
)

// Password is a one-time password, to hand over.
type Password struct {
	Password string `json:"password" doc:"Temporary: for one sign-in within 3 days, to choose another. It is not kept and cannot be shown again."`
}

// NewToken is a token with its secret.
type NewToken struct {
	TokenView
	Secret string `json:"secret" doc:"What a program sends. It is not kept and cannot be shown again."`
}

// UserPath names a user.
type UserPath struct {
	Scope
	Name string `path:"name" maxLength:"63"`
}

func (a *API) accounts() {
	users := []string{"Users"}
	register(a, huma.Operation{
		OperationID: "list-users", Method: http.MethodGet, Path: "/users", Tags: users, Summary: "List users",
	}, func(ctx context.Context, in *struct{ Scope }) (*answer[Listing[UserView]], error) {
		list, err := on(ctx, a, in.Scope, func(h *admin.Handle) ([]schemas.User, error) { return h.Users(ctx) })
		return give(all(list, UserViewOf), err)
	})
	register(a, huma.Operation{
		OperationID: "get-user", Method: http.MethodGet, Path: "/users/{name}", Tags: users, Summary: "Show a user",
	}, func(ctx context.Context, in *struct {
		UserPath
		IfNoneMatch
	}) (*revised[UserView], error) {
		var revision int64
		u, err := on(ctx, a, in.Scope, func(h *admin.Handle) (u schemas.User, err error) {
			u, revision, err = h.User(ctx, in.Name)
			return u, err
		})
		return readAt(in.IfNoneMatch, UserViewOf(u), revision, err)
	})
	register(a, huma.Operation{
		OperationID: "create-user", Method: http.MethodPost, Path: "/users", Tags: users, Summary: "Make a user", DefaultStatus: http.StatusCreated,
		Errors: []int{400, 401, 403, 404, 409, 422, 429},
	}, func(ctx context.Context, in *struct {
		Scope
		Body struct {
			Name        string `json:"name" minLength:"1" maxLength:"63"`
			DisplayName string `json:"display_name,omitempty" maxLength:"256"`
			Role        string `json:"role" enum:"administrator,viewer,privacy,operator"`
		}
	}) (*answer[Password], error) {
		password, err := on(ctx, a, in.Scope, func(h *admin.Handle) (string, error) {
			return h.CreateUser(ctx, schemas.User{Name: in.Body.Name, DisplayName: in.Body.DisplayName, Role: in.Body.Role})
		})
		return give(Password{password}, err)
	})
	register(a, huma.Operation{
		OperationID: "change-user", Method: http.MethodPut, Path: "/users/{name}", Tags: users, Summary: "Change a user's display name and role", Description: "With another role, its sessions and tokens end.", DefaultStatus: http.StatusNoContent,
		Errors: []int{400, 401, 403, 404, 409, 412, 422, 429},
	}, func(ctx context.Context, in *struct {
		UserPath
		IfMatch
		Body struct {
			DisplayName string `json:"display_name,omitempty" maxLength:"256"`
			Role        string `json:"role" enum:"administrator,viewer,privacy,operator"`
		}
	}) (*struct{}, error) {
		return done(ctx, a, in.Scope, func(h *admin.Handle) error {
			return in.of(h).ChangeUser(ctx, in.Name, in.Body.DisplayName, in.Body.Role)
		})
	})
	register(a, huma.Operation{
		OperationID: "reset-password", Method: http.MethodPost, Path: "/users/{name}/password", Tags: users, Summary: "Give a user a one-time password", DefaultStatus: http.StatusCreated,
		Errors: []int{400, 401, 403, 404, 409, 412, 422, 429},
	}, func(ctx context.Context, in *struct {
		UserPath
		IfMatch
	}) (*answer[Password], error) {
		password, err := on(ctx, a, in.Scope, func(h *admin.Handle) (string, error) { return in.of(h).ResetPassword(ctx, in.Name) })
		return give(Password{password}, err)
	})
	for _, o := range []struct {
		id, path, summary string
		do                func(*admin.Handle, context.Context, string) error
	}{
		{"disable-user", "/users/{name}/disable", "Keep a user from signing in; its sessions and tokens end", (*admin.Handle).DisableUser},
		{"enable-user", "/users/{name}/enable", "Let a disabled user sign in again", (*admin.Handle).EnableUser},
	} {
		register(a, huma.Operation{
			OperationID: o.id, Method: http.MethodPost, Path: o.path, Tags: users, Summary: o.summary, DefaultStatus: http.StatusNoContent,
			Errors: []int{400, 401, 403, 404, 409, 412, 422, 429},
		}, func(ctx context.Context, in *struct {
			UserPath
			IfMatch
		}) (*struct{}, error) {
			return done(ctx, a, in.Scope, func(h *admin.Handle) error { return o.do(in.of(h), ctx, in.Name) })
		})
	}
	register(a, huma.Operation{
		OperationID: "delete-user", Method: http.MethodDelete, Path: "/users/{name}", Tags: users, Summary: "Delete a user; its sessions and tokens end",
		Errors: []int{400, 401, 403, 404, 409, 412, 422, 429},
	}, func(ctx context.Context, in *struct {
		UserPath
		IfMatch
	}) (*struct{}, error) {
		return done(ctx, a, in.Scope, func(h *admin.Handle) error { return in.of(h).DeleteUser(ctx, in.Name) })
	})

	tokens := []string{"Tokens"}
	register(a, huma.Operation{
		OperationID: "list-tokens", Method: http.MethodGet, Path: "/tokens", Tags: tokens, Summary: "List API tokens, the latest first",
	}, func(ctx context.Context, in *struct{ Scope }) (*answer[Listing[TokenView]], error) {
		list, err := on(ctx, a, in.Scope, func(h *admin.Handle) ([]schemas.APIToken, error) { return h.Tokens(ctx) })
		return give(all(list, TokenViewOf), err)
	})
	register(a, huma.Operation{
		OperationID: "get-token", Method: http.MethodGet, Path: "/tokens/{id}", Tags: tokens, Summary: "Show an API token",
	}, func(ctx context.Context, in *struct {
		TokenPath
		IfNoneMatch
	}) (*revised[TokenView], error) {
		var revision int64
		t, err := on(ctx, a, in.Scope, func(h *admin.Handle) (t schemas.APIToken, err error) {
			t, revision, err = h.Token(ctx, in.ID)
			return t, err
		})
		return readAt(in.IfNoneMatch, TokenViewOf(t), revision, err)
	})
	register(a, huma.Operation{
		OperationID: "create-token", Method: http.MethodPost, Path: "/tokens", Tags: tokens, Summary: "Make an API token", DefaultStatus: http.StatusCreated,
	}, func(ctx context.Context, in *struct {
		Scope
		Body struct {
			Name      string       `json:"name" minLength:"1" maxLength:"256" doc:"What it is for."`
			Role      string       `json:"role" enum:"administrator,viewer,privacy,operator"`
			ExpiresAt schemas.Time `json:"expires_at" doc:"At most 366 days from now."`
		}
	}) (*answer[NewToken], error) {
		return give(on(ctx, a, in.Scope, func(h *admin.Handle) (NewToken, error) {
			t, secret, err := h.CreateToken(ctx, schemas.APIToken{Name: in.Body.Name, Role: in.Body.Role, ExpiresAt: in.Body.ExpiresAt})
			return NewToken{TokenViewOf(t), secret}, err
		}))
	})
	register(a, huma.Operation{
		OperationID: "revoke-token", Method: http.MethodDelete, Path: "/tokens/{id}", Tags: tokens, Summary: "End an API token",
		Errors: []int{400, 401, 403, 404, 412, 422, 429},
	}, func(ctx context.Context, in *struct {
		TokenPath
		IfMatch
	}) (*struct{}, error) {
		return done(ctx, a, in.Scope, func(h *admin.Handle) error { return in.of(h).RevokeToken(ctx, in.ID) })
	})

	sessions := []string{"Sessions"}
	register(a, huma.Operation{
		OperationID: "list-sessions", Method: http.MethodGet, Path: "/sessions", Tags: sessions, Summary: "List the sessions of people, the latest first",
		Description: "With a password or through an OpenID provider. A session that nobody uses ends without a trace, so some may have ended.",
	}, func(ctx context.Context, in *struct{ Scope }) (*answer[Listing[SessionView]], error) {
		list, err := on(ctx, a, in.Scope, func(h *admin.Handle) ([]schemas.Session, error) { return h.Sessions(ctx) })
		return give(all(list, SessionViewOf), err)
	})
	register(a, huma.Operation{
		OperationID: "end-session", Method: http.MethodDelete, Path: "/sessions/{id}", Tags: sessions, Summary: "End a session",
	}, func(ctx context.Context, in *struct {
		Scope
		ID string `path:"id" maxLength:"64"`
	}) (*struct{}, error) {
		return done(ctx, a, in.Scope, func(h *admin.Handle) error { return h.EndSession(ctx, in.ID) })
	})
}

// TokenPath names a token.
type TokenPath struct {
	Scope
	ID string `path:"id" maxLength:"64"`
}

// SessionView is a session without what identifies the user's record.
type SessionView struct {
	SessionID string       `json:"session_id"`
	Subject   string       `json:"subject" doc:"user/NAME, or oidc/ISSUER#SUBJECT."`
	Name      string       `json:"name"`
	TenantID  string       `json:"tenant_id"`
	Role      string       `json:"role"`
	Via       string       `json:"via" enum:"password,oidc"`
	From      string       `json:"from" doc:"The address it signed in from."`
	BeganAt   schemas.Time `json:"began_at"`
	Until     schemas.Time `json:"until" doc:"When it ends at the latest."`
}

// SessionViewOf shows a session.
func SessionViewOf(s schemas.Session) SessionView {
	return SessionView{s.SessionID, s.Subject, s.Name, s.TenantID, s.Role, s.Via, s.From, s.BeganAt, s.Until}
}

// done runs what answers nothing but that it was done.
func done(ctx context.Context, a *API, s Scope, do func(*admin.Handle) error) (*struct{}, error) {
	return on(ctx, a, s, func(h *admin.Handle) (*struct{}, error) { return nil, do(h) })
}
