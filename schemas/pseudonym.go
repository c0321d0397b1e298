package schemas

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
)

// MinPseudonymKey is the least length of the secret of pseudonyms in bytes.
const MinPseudonymKey = 32

// PseudonymKey makes the pseudonyms of one tenant: the first half of the HMAC-SHA-256 of a text
// (RFC 2104 section 5), under a key that is derived from the service's secret and the tenant's id. So equal texts of a tenant have equal
// pseudonyms in all exports, whichever member they are in, and those of two tenants have nothing
// in common. Who has not got the secret can neither undo a pseudonym nor test a guess. It prints
// as stars.
type PseudonymKey struct {
	key []byte
	id  string
}

// NewPseudonymKey derives the key of a tenant.
func NewPseudonymKey(secret []byte, tenantID string) (*PseudonymKey, error) {
	if len(secret) < MinPseudonymKey {
		return nil, fmt.Errorf("the secret of pseudonyms has %s; at least %d are needed", Counted(len(secret), "byte"), MinPseudonymKey)
	}
	derive := func(purpose string) []byte {
		h := hmac.New(sha256.New, secret)
		_, _ = h.Write([]byte("cdds/" + purpose + "/v2\x00" + tenantID)) // a hash never fails
		return h.Sum(nil)
	}
	return &PseudonymKey{derive("pseudonym"), hex.EncodeToString(derive("key-id")[:8])}, nil
}

// ID identifies the key without telling anything about it.
func (k *PseudonymKey) ID() string { return k.id }

// String hides the key.
func (k *PseudonymKey) String() string { return "********" }

// GoString hides the key.
func (k *PseudonymKey) GoString() string { return k.String() }

// A pseudonym has 128 bits. Among a billion texts of a tenant the chance that any two share one is
// below 10^-20, and what has no pattern does not compress: whole HMACs made exports a fourth
// slower.
const (
	pseudonymDigest = sha256.Size / 2
	// PseudonymBytes is the length of a pseudonym.
	PseudonymBytes = 22
)

// Of is the pseudonym of a text, in base64url without padding (RFC 4648 section 5), which has fewer
// characters than hex. Empty text names nothing and stays empty.
func (k *PseudonymKey) Of(text string) string {
	if text == "" {
		return ""
	}
	return string(k.hash().append(nil, []byte(text)))
}

// maxRemembered bounds the pseudonyms that are remembered, and rememberedBytes the texts.
const maxRemembered, rememberedBytes = 4096, 64

// pseudonyms makes the pseudonyms of a key. It remembers some: agents, and often contacts, come
// again and again. It is for one goroutine.
type pseudonyms struct {
	mac   hash.Hash
	sum   [sha256.Size]byte
	known map[string][PseudonymBytes]byte
}

func (k *PseudonymKey) hash() *pseudonyms {
	return &pseudonyms{mac: hmac.New(sha256.New, k.key), known: make(map[string][PseudonymBytes]byte)}
}

func (h *pseudonyms) append(dst, text []byte) []byte {
	if known, ok := h.known[string(text)]; ok {
		return append(dst, known[:]...)
	}
	dst = h.make(dst, text)
	if len(text) <= rememberedBytes {
		if len(h.known) == maxRemembered {
			clear(h.known)
		}
		h.known[string(text)] = [PseudonymBytes]byte(dst[len(dst)-PseudonymBytes:])
	}
	return dst
}

func (h *pseudonyms) make(dst, text []byte) []byte {
	h.mac.Reset()
	_, _ = h.mac.Write(text) // a hash never fails
	return base64.RawURLEncoding.AppendEncode(dst, h.mac.Sum(h.sum[:0])[:pseudonymDigest])
}
