package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"cdds/ops/auth"
	"cdds/schemas"
)

// Exchange gives an operation the request and response that cookies are in.
type Exchange struct {
	r *http.Request
	w http.ResponseWriter
}

// Resolve makes an Exchange of what huma has.
func (e *Exchange) Resolve(c huma.Context) []error {
	e.r, e.w = humago.Unwrap(c)
	e.r = e.r.WithContext(c.Context())
	return nil
}

type whoami struct{}

func (a *API) sessions() {
	tags := []string{"Session"}
	register(a, huma.Operation{
		OperationID: "sign-in", Method: http.MethodPost, Path: "/session", Tags: tags, DefaultStatus: http.StatusOK,
		Summary: "Sign in with a name and a password", Description: "The answer sets the cookie of a session. Programs use API tokens instead.",
		Metadata: map[string]any{public: true},
	}, func(_ context.Context, in *struct {
		Exchange
		Body struct {
			Name     string `json:"name" maxLength:"63"`
			Password string `json:"password" maxLength:"256"`
		}
	}) (*answer[auth.Principal], error) {
		return give(a.Auth.SignIn(in.w, in.r, in.Body.Name, in.Body.Password))
	})
	register(a, huma.Operation{
		OperationID: "who-am-i", Method: http.MethodGet, Path: "/session", Tags: tags, Summary: "Who is signed in",
	}, func(ctx context.Context, _ *whoami) (*answer[auth.Principal], error) {
		p, ok := auth.From(ctx)
		if !ok {
			return nil, auth.ErrSession
		}
		return &answer[auth.Principal]{p}, nil
	})
	register(a, huma.Operation{
		OperationID: "sign-out", Method: http.MethodDelete, Path: "/session", Tags: tags, Summary: "End this session",
	}, func(_ context.Context, in *struct{ Exchange }) (*struct{}, error) {
		return nil, a.Auth.SignOut(in.w, in.r)
	})
	register(a, huma.Operation{
		OperationID: "sign-out-everywhere", Method: http.MethodDelete, Path: "/sessions", Tags: tags, Summary: "End all sessions of who is signed in",
	}, func(_ context.Context, in *struct{ Exchange }) (*struct{}, error) {
		return nil, a.Auth.SignOutEverywhere(in.w, in.r)
	})
	register(a, huma.Operation{
		OperationID: "change-password", Method: http.MethodPut, Path: "/session/password", Tags: tags, Summary: "Choose another password",
		Description: "Ends all other sessions of the user.",
	}, func(_ context.Context, in *struct {
		Exchange
		Body struct {
			Old string `json:"old" maxLength:"256"`
			New string `json:"new" maxLength:"256"`
		}
	}) (*struct{}, error) {
		return nil, a.Auth.ChangePassword(in.w, in.r, in.Body.Old, in.Body.New)
	})
}

// UserView is a user without what proves it is one.
type UserView struct {
	Name        string       `json:"name"`
	DisplayName string       `json:"display_name,omitempty"`
	TenantID    string       `json:"tenant_id"`
	Role        string       `json:"role"`
	MustChange  bool         `json:"must_change"`
	Disabled    bool         `json:"disabled"`
	PasswordAt  schemas.Time `json:"password_at"`
	CreatedAt   schemas.Time `json:"created_at"`
	CreatedBy   string       `json:"created_by,omitempty"`
}

// UserViewOf shows a user.
func UserViewOf(u schemas.User) UserView {
	return UserView{u.Name, u.DisplayName, u.TenantID, u.Role, u.MustChange, u.Disabled, u.PasswordAt, u.CreatedAt, u.CreatedBy}
}

// TokenView is a token without what proves it is one.
type TokenView struct {
	TokenID   string       `json:"token_id"`
	Name      string       `json:"name"`
	TenantID  string       `json:"tenant_id"`
	Role      string       `json:"role"`
	CreatedAt schemas.Time `json:"created_at"`
	CreatedBy string       `json:"created_by,omitempty"`
	ExpiresAt schemas.Time `json:"expires_at"`
	RevokedAt schemas.Time `json:"revoked_at,omitzero"`
}

// TokenViewOf shows a token.
func TokenViewOf(t schemas.APIToken) TokenView {
	return TokenView{t.TokenID, t.Name, t.TenantID, t.Role, t.CreatedAt, t.CreatedBy, t.ExpiresAt, t.RevokedAt}
}
