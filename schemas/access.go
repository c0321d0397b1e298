package schemas

import (
	"fmt"
	"regexp"
)

// AllTenants stands for every tenant where a user, a token or an audit record is not
// of one. It is not a tenant id: no data is stored under it.
const AllTenants = "*"

// AccessRecord is one thing that decides who may do what: a user, an API token, a
// session or the end of sessions, on the compacted topic cdds.access. Of users and tokens
// each version replaces the one before (see Versions); of sessions and their ends the last
// record of a key counts. It holds digests of secrets, never a secret.
type AccessRecord struct {
	// RecordID is the key: UserRecordID, TokenRecordID, SessionRecordID or SignOutRecordID.
	RecordID string `json:"id"`
	// Revision counts the versions of a user or a token from 1.
	Revision  int64  `json:"revision"`
	UpdatedAt Time   `json:"updated_at"`
	UpdatedBy string `json:"updated_by,omitempty"`
	// Exactly one of these is given.
	User    *User     `json:"user,omitempty"`
	Token   *APIToken `json:"token,omitempty"`
	Session *Session  `json:"session,omitempty"`
	SignOut *SignOut  `json:"sign_out,omitempty"`
}

// User is somebody who signs in with a name and a password.
type User struct {
	// Name is what is typed to sign in; it never changes.
	Name        string `json:"name"`
	DisplayName string `json:"display_name,omitempty"`
	// TenantID is whose data the user may see, or AllTenants.
	TenantID string `json:"tenant_id"`
	// Role is administrator, viewer, privacy or operator.
	Role string `json:"role"`
	// PasswordHash is argon2id in PHC string format.
	PasswordHash string `json:"password_hash"`
	// MustChange says that the password was given by somebody else: it only serves to
	// choose one's own.
	MustChange bool `json:"must_change,omitempty"`
	// PasswordAt is when the password was set; sessions from before have ended.
	PasswordAt Time `json:"password_at"`
	// UsedAt is when somebody signed in with a one-time password; it does not serve again.
	UsedAt Time `json:"used_at,omitzero"`
	// AccessRevision counts the changes of the role and of Disabled. Sessions and tokens of
	// an earlier revision have ended.
	AccessRevision int64 `json:"access_revision,omitempty"`
	// Disabled users cannot sign in, and have no sessions and no tokens that serve.
	Disabled  bool   `json:"disabled,omitempty"`
	CreatedAt Time   `json:"created_at"`
	CreatedBy string `json:"created_by,omitempty"`
	// Deleted users keep their record, so that their name is not given to another.
	Deleted bool `json:"deleted,omitempty"`
}

// APIToken lets a program call the HTTP API.
type APIToken struct {
	TokenID string `json:"token_id"`
	// Name says what it is for.
	Name     string `json:"name"`
	TenantID string `json:"tenant_id"`
	Role     string `json:"role"`
	// SHA256 is the digest of the whole token in lower-case hex. A token is 256 random
	// bits, so nothing slower is needed.
	SHA256    string `json:"sha256"`
	CreatedAt Time   `json:"created_at"`
	CreatedBy string `json:"created_by,omitempty"`
	// Owner is the subject that is responsible for the token, such as user/NAME: who made
	// it, or the owner of the token that made it. The token ends with its owner.
	Owner string `json:"owner,omitempty"`
	// OwnerRevision is the AccessRevision of the owner, if that is a user: the token ends
	// when the user gets another.
	OwnerRevision int64 `json:"owner_revision,omitempty"`
	ExpiresAt     Time  `json:"expires_at"`
	// RevokedAt is zero while it serves.
	RevokedAt Time `json:"revoked_at,omitzero"`
}

// Session is somebody who signed in, until SignOut or Until. The cookie proves it; the
// record lets administrators see it and end it.
type Session struct {
	SessionID string `json:"session_id"`
	// Subject is whose: user/NAME, or oidc/ISSUER#SUBJECT.
	Subject  string `json:"subject"`
	Name     string `json:"name"`
	TenantID string `json:"tenant_id"`
	Role     string `json:"role"`
	// Via is how it signed in: password or oidc.
	Via string `json:"via"`
	// From is the address it signed in from.
	From    string `json:"from"`
	BeganAt Time   `json:"began_at"`
	// Until is when it ends at the latest; without use it ends earlier.
	Until Time `json:"until"`
	// AccessRevision is that of the user it began with.
	AccessRevision int64 `json:"access_revision,omitempty"`
}

// SignOut ends sessions of a subject.
type SignOut struct {
	// Subject is whose: user/NAME, or oidc/ISSUER#SUBJECT.
	Subject string `json:"subject"`
	// SessionID is the one that ended; empty means all that began before At.
	SessionID string `json:"session_id,omitempty"`
	At        Time   `json:"at"`
	// Until is when the sessions would have ended by themselves, and with them the
	// need to remember.
	Until Time `json:"until"`
}

// UserRecordID is the key of a user's record.
func UserRecordID(name string) string { return "user/" + name }

// TokenRecordID is the key of a token's record.
func TokenRecordID(tokenID string) string { return "token/" + tokenID }

// SessionRecordID is the key of a session, and of its end, which replaces it.
func SessionRecordID(sessionID string) string { return "session/" + sessionID }

// SignOutRecordID is the key of the end of one session, or of all if sessionID is empty.
func SignOutRecordID(subject, sessionID string) string {
	if sessionID == "" {
		return "sign-out/" + subject
	}
	return SessionRecordID(sessionID)
}

// Roles of users and tokens.
const (
	// RoleAdministrator may do everything within its tenant, or everywhere.
	RoleAdministrator = "administrator"
	// RoleViewer may see everything within its tenant and fetch artifacts, which
	// only their recipients can read. It changes nothing.
	RoleViewer = "viewer"
	// RolePrivacy may see what a viewer sees, and export and erase the data of people. It
	// changes nothing else.
	RolePrivacy = "privacy"
	// RoleOperator sees system health for all tenants, not customer data.
	RoleOperator = "operator"
)

// Roles lists the roles of users and tokens.
func Roles() []string { return []string{RoleAdministrator, RoleViewer, RolePrivacy, RoleOperator} }

// Topic is cdds.access.
func (a *AccessRecord) Topic() Topic { return TopicAccess }

// Key is the record's id.
func (a *AccessRecord) Key() string { return a.RecordID }

// Version is the revision.
func (a *AccessRecord) Version() int64 { return a.Revision }

// Type is the CloudEvents type.
func (a *AccessRecord) Type() string { return "cdds.access.v1" }

// ID tells the changes of a record apart.
func (a *AccessRecord) ID() string { return fmt.Sprintf("%s/%d", a.RecordID, a.Revision) }

// At is when it was changed.
func (a *AccessRecord) At() Time { return a.UpdatedAt }

var (
	userPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]{0,62}$`)
	hashPattern = regexp.MustCompile(`^\$argon2id\$v=19\$[A-Za-z0-9+/=,$]{10,300}$`)
)

// Validate reports every broken rule as one *InvalidError.
func (a *AccessRecord) Validate() error {
	var p problems
	p.id("id", a.RecordID, true)
	p.instant("updated_at", a.UpdatedAt, true)
	p.short("updated_by", a.UpdatedBy)
	if a.Revision < 1 {
		p.add("revision", "%d must be at least 1", a.Revision)
	}
	given := 0
	if u := a.User; u != nil {
		given++
		p.user(u)
		p.key(a.RecordID, UserRecordID(u.Name))
	}
	if t := a.Token; t != nil {
		given++
		p.token(t)
		p.key(a.RecordID, TokenRecordID(t.TokenID))
	}
	if s := a.Session; s != nil {
		given++
		p.session(s)
		p.key(a.RecordID, SessionRecordID(s.SessionID))
	}
	if s := a.SignOut; s != nil {
		given++
		p.id("sign_out.subject", s.Subject, true)
		p.id("sign_out.session_id", s.SessionID, false)
		p.instant("sign_out.at", s.At, true)
		p.instant("sign_out.until", s.Until, true)
		p.key(a.RecordID, SignOutRecordID(s.Subject, s.SessionID))
	}
	if given != 1 {
		p.add("user", "give exactly one of user, token, session and sign_out")
	}
	return p.err()
}

func (p *problems) user(u *User) {
	if !userPattern.MatchString(u.Name) {
		p.add("name", "%q must be 1 to 63 of a-z 0-9 . _ @ + - and begin with a letter or digit", shorten(u.Name))
	}
	if len(u.DisplayName) > maxIDBytes {
		p.add("display_name", "has %d bytes; the limit is %d", len(u.DisplayName), maxIDBytes)
	}
	p.scope(u.TenantID, u.Role)
	if !hashPattern.MatchString(u.PasswordHash) {
		p.add("password_hash", "is not argon2id in PHC string format")
	}
	p.instant("password_at", u.PasswordAt, true)
	p.instant("used_at", u.UsedAt, false)
	if u.AccessRevision < 0 {
		p.add("access_revision", "%d must not be negative", u.AccessRevision)
	}
	p.instant("created_at", u.CreatedAt, true)
	p.short("created_by", u.CreatedBy)
}

func (p *problems) token(t *APIToken) {
	p.id("token_id", t.TokenID, true)
	switch {
	case t.Name == "":
		p.add("name", "is missing; say what the token is for")
	case len(t.Name) > maxIDBytes:
		p.add("name", "has %d bytes; the limit is %d", len(t.Name), maxIDBytes)
	}
	p.scope(t.TenantID, t.Role)
	if !sha256Pattern.MatchString(t.SHA256) {
		p.add("sha256", "must be 64 lower-case hex digits")
	}
	p.instant("created_at", t.CreatedAt, true)
	p.instant("expires_at", t.ExpiresAt, true)
	p.instant("revoked_at", t.RevokedAt, false)
	p.short("created_by", t.CreatedBy)
	p.id("owner", t.Owner, false)
	if t.OwnerRevision < 0 {
		p.add("owner_revision", "%d must not be negative", t.OwnerRevision)
	}
}

func (p *problems) session(s *Session) {
	p.id("session.session_id", s.SessionID, true)
	p.id("session.subject", s.Subject, true)
	p.short("session.name", s.Name)
	p.scope(s.TenantID, s.Role)
	p.oneOf("session.via", s.Via, []string{"password", "oidc"}, true)
	p.short("session.from", s.From)
	p.instant("session.began_at", s.BeganAt, true)
	p.instant("session.until", s.Until, true)
	if s.AccessRevision < 0 {
		p.add("session.access_revision", "%d must not be negative", s.AccessRevision)
	}
}

// scope checks whose data a role is for.
func (p *problems) scope(tenantID, role string) {
	if tenantID != AllTenants {
		p.tenant(tenantID)
	}
	p.oneOf("role", role, Roles(), true)
	if role == RoleOperator && tenantID != AllTenants {
		p.add("tenant_id", "an operator belongs to all tenants: give %q", AllTenants)
	}
}

func (p *problems) key(got, want string) {
	if got != want {
		p.add("id", "%q must be %q", shorten(got), shorten(want))
	}
}

// DecodeAccessRecord reads and validates the value of a cdds.access message. Every
// error is a *MalformedError.
func DecodeAccessRecord(b []byte) (*AccessRecord, error) {
	a := new(AccessRecord)
	if err := readEvent(b, a); err != nil {
		return nil, err
	}
	return validated(a)
}
