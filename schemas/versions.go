package schemas

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
)

// Revisions are those in which something may be changed; nil is any.
type Revisions []int64

// Allow reports whether revision is one of them.
func (r Revisions) Allow(revision int64) bool { return r == nil || slices.Contains(r, revision) }

// Versioned is an event that is one version of a record: a user, a token, a job, a
// certificate.
type Versioned interface {
	Event
	// Version counts the versions of the record from 1. 0 replaces whatever version
	// there is.
	Version() int64
}

// ErrChanged says that another writer changed the record first.
var ErrChanged = errors.New("it was changed meanwhile; read it again")

// Attempt is a version of a record on its way to its topic, under a key that no other
// record has. Two writers that replace the same version at once publish two attempts;
// the first one in the log counts. Under one key, compaction would keep the last one
// and remove the one that counts.
type Attempt struct {
	Versioned
	key string
}

// NewAttempt returns an attempt to make v the next version of its record.
func NewAttempt(v Versioned) Attempt {
	return Attempt{v, v.Key() + attemptMark + rand.Text()}
}

// Key is the record's key and a text of the attempt's own.
func (a Attempt) Key() string { return a.key }

const attemptMark = "#"

// RecordOf is the key of the record that the key of a message is about.
func RecordOf(key string) string {
	if at := strings.LastIndex(key, attemptMark); at >= 0 && len(key)-at-len(attemptMark) == len(rand.Text()) {
		return key[:at]
	}
	return key
}

// Versions decides which messages of compacted topics count. A message counts if its
// version is above that of the last message of its record that counted. All readers
// see the same messages in the same order, so they agree, and a writer that has read its
// own message back knows whether it came first. Compaction does not change the verdict:
// what a writer removes (Stale) has a later version behind it in the log.
//
// A message under the record's own key replaces one that counted under that key,
// whatever its version: after compaction it is all that is left.
//
// The zero value is ready for use, and safe for concurrent use.
type Versions struct {
	mu      sync.Mutex
	records map[recordID]*versions
	awaited map[string]chan<- bool // by key of the attempt
}

type recordID struct {
	topic Topic
	key   string
}

// versions is what is known of one record.
type versions struct {
	number int64
	key    string   // of the message that counts
	stale  []string // keys of attempts that do not count, and were not removed yet
}

// Take takes the next message of the log and reports whether it counts. It is an error
// if the message's key is not v's.
func (s *Versions) Take(key string, v Versioned) (counts bool, err error) {
	id := recordID{v.Topic(), v.Key()}
	if key != id.key && RecordOf(key) != id.key {
		return false, errors.New("the key of the message differs from the key of the record in it")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records == nil {
		s.records = map[recordID]*versions{}
	}
	r := s.records[id]
	if r == nil {
		r = &versions{}
		s.records[id] = r
	}
	number := v.Version()
	if number == 0 {
		number = r.number + 1
	}
	counts = key == r.key || number > r.number
	switch {
	case !counts:
		r.discard(key)
	case key != r.key:
		r.discard(r.key)
		fallthrough
	default:
		r.number, r.key = number, key
	}
	if answer, ok := s.awaited[key]; ok {
		delete(s.awaited, key)
		answer <- counts
	}
	return counts, nil
}

// discard notes an attempt that does not count. A message under the record's own key
// is never removed: another writer may be about to replace it under that key.
func (r *versions) discard(key string) {
	if RecordOf(key) != key {
		r.stale = append(r.stale, key)
	}
}

// Remove takes a tombstone. If it is of the message that counts, the record is gone;
// Remove returns the record's key and true then.
func (s *Versions) Remove(topic Topic, key string) (record string, gone bool) {
	id := recordID{topic, RecordOf(key)}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[id]
	if r == nil {
		return id.key, false
	}
	if r.key == key {
		delete(s.records, id)
		return id.key, true
	}
	for n, stale := range r.stale {
		if stale == key {
			r.stale = append(r.stale[:n], r.stale[n+1:]...)
			break
		}
	}
	return id.key, false
}

// Await returns a channel that gets whether the attempt counts once it was taken.
// Call it before publishing, and stop when nobody waits any more.
func (s *Versions) Await(a Attempt) (counts <-chan bool, stop func()) {
	answer := make(chan bool, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.awaited == nil {
		s.awaited = map[string]chan<- bool{}
	}
	s.awaited[a.Key()] = answer
	return answer, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.awaited, a.Key())
	}
}

// Stale returns the keys of attempts at v's record that do not count and can be removed.
func (s *Versions) Stale(v Versioned) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.records[recordID{v.Topic(), v.Key()}]; r != nil {
		return append([]string(nil), r.stale...)
	}
	return nil
}
