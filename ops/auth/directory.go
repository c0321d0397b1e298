package auth

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"cdds/schemas"
)

// Directory is what cdds.access says, in memory. It is safe for concurrent use. Size
// is bounded by what administrators make: users, tokens, and the sign-outs of
// sessions that would not have ended by themselves yet.
type Directory struct {
	now func() time.Time

	mu       sync.RWMutex
	users    map[string]*schemas.AccessRecord // by name
	tokens   map[string]*schemas.AccessRecord // by id
	everyone map[string]schemas.SignOut       // by subject: all sessions from before
	sessions map[string]schemas.SignOut       // by session id
}

// NewDirectory returns an empty Directory; Apply fills it. now may be nil.
func NewDirectory(now func() time.Time) *Directory {
	if now == nil {
		now = time.Now
	}
	return &Directory{
		now: now, users: map[string]*schemas.AccessRecord{}, tokens: map[string]*schemas.AccessRecord{},
		everyone: map[string]schemas.SignOut{}, sessions: map[string]schemas.SignOut{},
	}
}

// Read takes in a record as it is on the topic; nil as value forgets the key. What is
// no valid record, or is about another key, changes nothing and is an error.
func (d *Directory) Read(key, value []byte) error {
	if value == nil {
		kind, id, _ := strings.Cut(string(key), "/")
		d.mu.Lock()
		defer d.mu.Unlock()
		switch kind {
		case "user":
			delete(d.users, id)
		case "token":
			delete(d.tokens, id)
		}
		return nil
	}
	a, err := schemas.DecodeAccessRecord(value)
	if err != nil {
		return err
	}
	if a.RecordID != string(key) {
		return errors.New("the key of the record is not its id")
	}
	d.Apply(a)
	return nil
}

// Apply takes in a record, in the order of the log. One that is older than what is
// known changes nothing: whoever publishes a record applies it at once, and reads it
// again a little later.
func (d *Directory) Apply(a *schemas.AccessRecord) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case a.User != nil:
		replace(d.users, a.User.Name, a)
	case a.Token != nil:
		replace(d.tokens, a.Token.TokenID, a)
	case a.SignOut != nil:
		d.signOut(*a.SignOut)
	}
}

func replace(in map[string]*schemas.AccessRecord, key string, a *schemas.AccessRecord) {
	if known := in[key]; known == nil || a.Revision >= known.Revision {
		in[key] = a
	}
}

func (d *Directory) signOut(s schemas.SignOut) {
	now := d.now()
	for id, old := range d.sessions {
		if !old.Until.After(now) {
			delete(d.sessions, id)
		}
	}
	if !s.Until.After(now) {
		return
	}
	if s.SessionID != "" {
		d.sessions[s.SessionID] = s
		return
	}
	if known, ok := d.everyone[s.Subject]; !ok || s.At.After(known.At.Time) {
		d.everyone[s.Subject] = s
	}
}

// User returns a user and the revision of its record; false if there is none, or
// not any more.
func (d *Directory) User(name string) (schemas.User, int64, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	a := d.users[name]
	if a == nil {
		return schemas.User{}, 0, false
	}
	return *a.User, a.Revision, !a.User.Deleted
}

// Users returns the users of a tenant, by name; with schemas.AllTenants, everybody.
func (d *Directory) Users(tenant string) []schemas.User {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var all []schemas.User
	for _, a := range d.users {
		if u := *a.User; !u.Deleted && (tenant == schemas.AllTenants || u.TenantID == tenant) {
			all = append(all, u)
		}
	}
	slices.SortFunc(all, func(a, b schemas.User) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Token returns a token, revoked or expired ones too, and the revision of its record.
func (d *Directory) Token(id string) (schemas.APIToken, int64, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	a := d.tokens[id]
	if a == nil {
		return schemas.APIToken{}, 0, false
	}
	return *a.Token, a.Revision, true
}

// Tokens returns the tokens of a tenant, the latest first; with schemas.AllTenants,
// all there are.
func (d *Directory) Tokens(tenant string) []schemas.APIToken {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var all []schemas.APIToken
	for _, a := range d.tokens {
		if t := *a.Token; tenant == schemas.AllTenants || t.TenantID == tenant {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b schemas.APIToken) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.TokenID, b.TokenID))
	})
	return all
}

// Empty reports whether nobody could sign in with a password.
func (d *Directory) Empty() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, a := range d.users {
		if !a.User.Deleted {
			return false
		}
	}
	return true
}

// ended reports whether a session was ended by a sign-out.
func (d *Directory) ended(s session) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if _, out := d.sessions[s.ID]; out {
		return true
	}
	all, ok := d.everyone[s.Subject]
	return ok && !s.Began.After(all.At.Time)
}
