// Package auth says who somebody is: it signs people in with a password or through
// OpenID Connect, keeps them signed in with a sealed cookie, and knows API tokens.
// What they may do with whose data is decided in ops/admin, from the Principal this
// package gives; the roles and their permissions are here.
//
// Users, tokens and sessions are records on the compacted topic cdds.access, which every
// process reads into a [Directory], to its end before it identifies anybody: what one
// process ended has ended for all. There are only digests of secrets.
//
// A sealed cookie proves a session: any process with the same key can read it. A session
// ends when it was idle for too long, when it is too old, when its user signs out (there
// or everywhere) or sets another password, when an administrator ends it, and when its
// user is deleted, disabled or gets another role. A token ends when it expires, is revoked,
// or its owner is deleted, disabled or gets another role. A one-time password serves for
// one sign-in, within OneTimeLife.
//
// Metrics, given a registerer:
//
//	cdds_sign_ins_total{via,outcome}  attempts to sign in: password, oidc, token; done, refused, throttled
package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"cdds/schemas"
)

// Permission is a kind of thing one may do.
type Permission string

// Permissions, from the least.
const (
	// Observe is to see system health, not customer data: health, lag, counts.
	Observe Permission = "observe"
	// Read is to see jobs, exports, artifacts' names, certificates, erasures, the audit trail.
	Read Permission = "read"
	// Fetch is to download artifacts, which are sealed for their recipients.
	Fetch Permission = "fetch"
	// Privacy is to export the data of some people, and to erase it.
	Privacy Permission = "privacy"
	// Change is to create, cancel, retry, delete; jobs and certificates.
	Change Permission = "change"
	// Manage is to make and remove users and tokens.
	Manage Permission = "manage"
)

var permissions = map[string][]Permission{
	schemas.RoleAdministrator: {Observe, Read, Fetch, Privacy, Change, Manage},
	schemas.RoleViewer:        {Observe, Read, Fetch},
	schemas.RolePrivacy:       {Observe, Read, Fetch, Privacy},
	schemas.RoleOperator:      {Observe},
}

// How a principal proved who it is.
const (
	ViaPassword = "password"
	ViaOIDC     = "oidc"
	ViaToken    = "token"
)

// Principal is who makes a request.
type Principal struct {
	// Subject is unique for ever: user/NAME, oidc/ISSUER#SUBJECT or token/ID.
	Subject string `json:"subject"`
	// Name is for people.
	Name string `json:"name"`
	// Tenant is whose data it is about, or schemas.AllTenants.
	Tenant string `json:"tenant_id"`
	// Role is one of schemas.Roles.
	Role string `json:"role"`
	// Via is how it proved who it is: password, oidc or token.
	Via string `json:"via"`
	// From is the network address the request came from.
	From string `json:"from"`
	// MustChangePassword says that it may do nothing but choose a password.
	MustChangePassword bool `json:"must_change_password,omitempty"`

	session  session
	owner    string // of the token it came with
	revision int64  // the AccessRevision of the user it is, or that owns the token
}

// Actor is who it is in the audit trail.
func (p Principal) Actor() string { return p.Name + " (" + p.Subject + ")" }

// owns is the subject that owns the tokens p makes: a token's are its owner's, so that
// they end with the user behind it.
func (p Principal) owns() string { return cmp.Or(p.owner, p.Subject) }

// May reports whether the role allows it. For whom is another question: see Sees.
func (p Principal) May(permission Permission) bool {
	if p.MustChangePassword {
		return false
	}
	for _, granted := range permissions[p.Role] {
		if granted == permission {
			return true
		}
	}
	return false
}

// Sees reports whether tenant is, or is among, the principal's.
func (p Principal) Sees(tenant string) bool {
	return p.Tenant == schemas.AllTenants || p.Tenant == tenant && tenant != ""
}

type contextKey struct{}

// With returns a context that carries p.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From returns who makes the request, or false if nobody is signed in.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(Principal)
	return p, ok
}

// Errors of signing in. They say no more than a stranger may know.
var (
	// ErrCredentials says that name and password, or a token, are not right.
	ErrCredentials = errors.New("the name or the password is not right")
	// ErrDisabled says that an administrator disabled the user. Only who gave the right
	// password learns it, and of ErrSpent. Both are an ErrCredentials.
	ErrDisabled error = &refusedError{"this user is disabled; ask an administrator"}
	// ErrSpent says that a one-time password has been used, or is too old.
	ErrSpent error = &refusedError{"this one-time password was used or has expired; ask an administrator for another"}
	// ErrThrottled says that there were too many attempts.
	ErrThrottled = errors.New("too many attempts to sign in; wait a minute and try again")
	// ErrSession says that nobody is signed in, or not any more.
	ErrSession = errors.New("you are not signed in")
	// ErrForbidden says that the role does not allow it.
	ErrForbidden = errors.New("your role does not allow it")
	// ErrMustChange says that the user must replace a temporary password first. It is
	// an ErrForbidden.
	ErrMustChange = fmt.Errorf("%w yet: choose a password of your own first", ErrForbidden)
)

// refusedError refuses credentials that are right.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return e.reason }

// Is makes it an ErrCredentials.
func (e *refusedError) Is(target error) bool { return target == ErrCredentials }

// Refusal is what to say to somebody whose credentials were refused (ErrCredentials).
func Refusal(err error) string {
	if refused := (*refusedError)(nil); errors.As(err, &refused) {
		return refused.reason
	}
	return ErrCredentials.Error()
}
