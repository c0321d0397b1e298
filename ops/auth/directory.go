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
	now      func() time.Time
	versions schemas.Versions

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

// Versions are those of users and tokens, for who changes them.
func (d *Directory) Versions() *schemas.Versions { return &d.versions }

// Read takes a message of the topic; nil as value removes the record. A message that is
// not a valid record, is about another key, or came after another writer's version,
// changes nothing; the first two are errors.
func (d *Directory) Read(key, value []byte) error {
	if value == nil {
		d.remove(string(key))
		return nil
	}
	a, err := schemas.DecodeAccessRecord(value)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.SignOut != nil { // these add up, whatever their order
		if a.RecordID != string(key) {
			return errors.New("the key of the message is not the record's id")
		}
		d.apply(a)
		return nil
	}
	counts, err := d.versions.Take(string(key), a)
	if counts {
		d.apply(a)
	}
	return err
}

func (d *Directory) remove(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	record, gone := d.versions.Remove(schemas.TopicAccess, key)
	if !gone {
		return
	}
	switch kind, id, _ := strings.Cut(record, "/"); kind {
	case "user":
		delete(d.users, id)
	case "token":
		delete(d.tokens, id)
	}
}

// Apply takes a record that counts.
func (d *Directory) Apply(a *schemas.AccessRecord) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.apply(a)
}

func (d *Directory) apply(a *schemas.AccessRecord) {
	switch {
	case a.User != nil:
		d.users[a.User.Name] = a
	case a.Token != nil:
		d.tokens[a.Token.TokenID] = a
	case a.SignOut != nil:
		d.signOut(*a.SignOut)
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
	return d.token(a), a.Revision, true
}

// token is a record's token; that of a deleted user was revoked when its owner was
// deleted.
func (d *Directory) token(a *schemas.AccessRecord) schemas.APIToken {
	t := *a.Token
	if name, ok := strings.CutPrefix(ownerOf(t), schemas.UserRecordID("")); ok && t.RevokedAt.IsZero() {
		if owner := d.users[name]; owner != nil && owner.User.Deleted {
			t.RevokedAt = owner.UpdatedAt
		}
	}
	return t
}

// ownerOf is the subject that is responsible for a token. Earlier releases kept only the
// name of who made it.
func ownerOf(t schemas.APIToken) string {
	if t.Owner == "" {
		return schemas.UserRecordID(t.CreatedBy)
	}
	return t.Owner
}

// Tokens returns the tokens of a tenant, the latest first; with schemas.AllTenants,
// all there are.
func (d *Directory) Tokens(tenant string) []schemas.APIToken {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var all []schemas.APIToken
	for _, a := range d.tokens {
		if t := d.token(a); tenant == schemas.AllTenants || t.TenantID == tenant {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b schemas.APIToken) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.TokenID, b.TokenID))
	})
	return all
}

// Unused reports whether there never was a user, not even one that was deleted.
func (d *Directory) Unused() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.users) == 0
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
