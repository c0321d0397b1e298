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
// is bounded by what administrators make, users and tokens, and by the sessions that have
// not reached their end yet.
type Directory struct {
	now      func() time.Time
	versions schemas.Versions

	mu       sync.RWMutex
	users    map[string]*schemas.AccessRecord // by name
	tokens   map[string]*schemas.AccessRecord // by id
	everyone map[string]schemas.SignOut       // by subject: all sessions from before
	sessions map[string]schemas.SignOut       // by session id: those that ended before their time
	live     map[string]schemas.Session       // by session id: the others
	overdue  map[string]bool                  // session ids whose records are of no use any more
}

// NewDirectory returns an empty Directory; Apply fills it. now may be nil.
func NewDirectory(now func() time.Time) *Directory {
	if now == nil {
		now = time.Now
	}
	return &Directory{
		now: now, users: map[string]*schemas.AccessRecord{}, tokens: map[string]*schemas.AccessRecord{},
		everyone: map[string]schemas.SignOut{}, sessions: map[string]schemas.SignOut{},
		live: map[string]schemas.Session{}, overdue: map[string]bool{},
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
	if a.SignOut != nil || a.Session != nil { // these add up, whatever their order
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
	if id, ok := strings.CutPrefix(key, schemas.SessionRecordID("")); ok {
		delete(d.overdue, id)
		delete(d.sessions, id)
		delete(d.live, id)
		return
	}
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
	case a.Session != nil:
		d.began(*a.Session)
	case a.SignOut != nil:
		d.signOut(*a.SignOut)
	}
}

func (d *Directory) began(s schemas.Session) {
	if _, out := d.sessions[s.SessionID]; out {
		return
	}
	if !s.Until.After(d.now()) {
		d.overdue[s.SessionID] = true
		return
	}
	d.live[s.SessionID] = s
}

func (d *Directory) signOut(s schemas.SignOut) {
	if s.SessionID != "" {
		delete(d.live, s.SessionID)
	}
	if !s.Until.After(d.now()) {
		if s.SessionID != "" {
			d.overdue[s.SessionID] = true
		}
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

// Overdue takes out the sessions that have reached their end, and returns keys of records
// of such, at most n. Whoever begins a session removes them; then all processes forget them.
func (d *Directory) Overdue(n int) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	for id, s := range d.live {
		if !s.Until.After(now) {
			delete(d.live, id)
			d.overdue[id] = true
		}
	}
	for id, s := range d.sessions {
		if !s.Until.After(now) {
			delete(d.sessions, id)
			d.overdue[id] = true
		}
	}
	var keys []string
	for id := range d.overdue {
		if len(keys) == n {
			break
		}
		keys = append(keys, schemas.SessionRecordID(id))
	}
	return keys
}

// Sessions returns the sessions of a tenant that may still serve, the latest first; with
// schemas.AllTenants, all there are. Those that nobody uses end without a trace, so some
// may have ended.
func (d *Directory) Sessions(tenant string) []schemas.Session {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var all []schemas.Session
	for _, s := range d.live {
		if (tenant == schemas.AllTenants || s.TenantID == tenant) && s.Until.After(d.now()) && d.serves(sessionIn(s)) {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b schemas.Session) int {
		return cmp.Or(b.BeganAt.Compare(a.BeganAt), cmp.Compare(a.SessionID, b.SessionID))
	})
	return all
}

// Session returns a session that has not been ended; false if none exists.
func (d *Directory) Session(id string) (schemas.Session, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	s, ok := d.live[id]
	return s, ok && s.Until.After(d.now()) && d.serves(sessionIn(s))
}

// User returns a user and the revision of its record; false if none exists, or
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

// token is a record's token; it was revoked if its owner lost the access it had when the
// token was made.
func (d *Directory) token(a *schemas.AccessRecord) schemas.APIToken {
	t := *a.Token
	if name, ok := strings.CutPrefix(ownerOf(t), schemas.UserRecordID("")); ok && t.RevokedAt.IsZero() {
		if owner := d.users[name]; owner != nil && !mayStill(owner.User, t.OwnerRevision) {
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

// mayStill reports whether a user has the access that it had at a revision of it.
func mayStill(u *schemas.User, accessRevision int64) bool {
	return !u.Deleted && !u.Disabled && u.AccessRevision == accessRevision
}

// servesNow reports whether nothing has ended a session: no sign-out, and no change of the
// user it is of.
func (d *Directory) servesNow(s session) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.serves(s)
}

func (d *Directory) serves(s session) bool {
	if _, out := d.sessions[s.ID]; out {
		return false
	}
	if all, ok := d.everyone[s.Subject]; ok && !s.Began.After(all.At.Time) {
		return false
	}
	if s.Via != ViaPassword {
		return true
	}
	a := d.users[s.Name]
	return a != nil && mayStill(a.User, s.Access) && !s.Began.Before(a.User.PasswordAt.Time)
}
