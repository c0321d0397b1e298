package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Parameters of argon2id: the second recommendation of RFC 9106 section 4 asks for
// 64 MiB; OWASP's password storage cheat sheet takes 19 MiB and two passes as equal,
// and that many sign-ins at once fit beside everything else.
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
	argonSalt    = 16
	argonKey     = 32
)

// MinPassword and MaxPassword bound a password, in characters and bytes.
const (
	MinPassword = 12
	MaxPassword = 256
)

// Hasher makes and checks argon2id hashes. It is safe for concurrent use, and never
// does more than a few at once, so that a burst of sign-ins cannot take all memory.
type Hasher struct{ slots chan struct{} }

// NewHasher returns a Hasher that works on at most n passwords at once.
func NewHasher(n int) *Hasher { return &Hasher{make(chan struct{}, max(n, 1))} }

// Hash is a password's hash in PHC string format.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // it never fails
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key)), nil
}

// Check reports whether password is the one of hash. An empty hash matches no password, and
// takes as long as any other, so that the time it takes does not reveal who is a user.
func (h *Hasher) Check(ctx context.Context, password, hash string) (bool, error) {
	if err := h.enter(ctx); err != nil {
		return false, err
	}
	defer h.leave()
	if len(password) > MaxPassword {
		password = password[:MaxPassword]
	}
	c := cost{argonMemory, argonTime, argonThreads, make([]byte, argonSalt), make([]byte, argonKey)}
	known := hash != ""
	if known {
		var err error
		if c, err = parseHash(hash); err != nil {
			return false, err
		}
	}
	got := argon2.IDKey([]byte(password), c.salt, c.time, c.memory, c.threads, uint32(len(c.key)))
	return subtle.ConstantTimeCompare(got, c.key) == 1 && known, nil
}

func (h *Hasher) enter(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Hasher) leave() { <-h.slots }

type cost struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

var errHash = errors.New("the stored password hash cannot be read; set a new password")

func parseHash(hash string) (c cost, err error) {
	fields := strings.Split(hash, "$")
	if len(fields) != 6 || fields[1] != "argon2id" || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, errHash
	}
	if _, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.threads); err != nil {
		return c, errHash
	}
	if c.salt, err = base64.RawStdEncoding.DecodeString(fields[4]); err != nil {
		return c, errHash
	}
	if c.key, err = base64.RawStdEncoding.DecodeString(fields[5]); err != nil {
		return c, errHash
	}
	// What the topic holds is ours, but a wrong record must not take the machine down.
	if c.memory > 1<<20 || c.time < 1 || c.time > 16 || c.threads < 1 || len(c.key) < 16 || len(c.key) > 128 {
		return c, errHash
	}
	return c, nil
}

// PasswordError says why a password cannot be chosen.
type PasswordError struct{ Reason string }

func (e *PasswordError) Error() string { return e.Reason }

// CheckPassword says what is wrong with a password somebody chose, as a
// *PasswordError: length is what counts (NIST SP 800-63B section 3.1.1.2), and it
// must not be the name.
func CheckPassword(name, password string) error {
	switch {
	case !utf8.ValidString(password):
		return &PasswordError{"the password must be text in UTF-8"}
	case utf8.RuneCountInString(password) < MinPassword:
		return &PasswordError{fmt.Sprintf("the password must have at least %d characters", MinPassword)}
	case len(password) > MaxPassword:
		return &PasswordError{fmt.Sprintf("the password must have at most %d bytes", MaxPassword)}
	case strings.Contains(strings.ToLower(password), strings.ToLower(name)) && len(name) > 3:
		return &PasswordError{"the password must not contain your name"}
	case distinct(password) < 5:
		return &PasswordError{"the password must have at least 5 different characters"}
	}
	return nil
}

func distinct(s string) int {
	seen := map[rune]bool{}
	for _, r := range s {
		seen[r] = true
	}
	return len(seen)
}

// OneTimePassword is a random password to hand over: 100 bits, without letters and
// digits that look alike.
func OneTimePassword() string {
	const alphabet = "abcdefghjkmnpqrstuvwxyz23456789_"
	b := make([]byte, 20)
	_, _ = rand.Read(b)
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)] // 32 of them: no bias
	}
	var groups []string
	for i := 0; i < len(b); i += 5 {
		groups = append(groups, string(b[i:i+5]))
	}
	return strings.Join(groups, "-")
}
