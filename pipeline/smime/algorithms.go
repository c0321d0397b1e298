package smime

import (
	"crypto"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // RSAES-OAEP's default hash, which messages of others name by naming none
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
)

// Cipher is what the content is encrypted with.
type Cipher int

const (
	// AES256CBC makes EnvelopedData (RFC 5652), which every reader opens.
	AES256CBC Cipher = iota
	// AES256GCM makes AuthEnvelopedData (RFC 5083 and 5084): a change anywhere in the
	// content is found by the reader. Of the common ones openssl cms (3.0 and later) and
	// Bouncy Castle open it.
	AES256GCM
)

// KeyTransport is how the content key is encrypted for each recipient.
type KeyTransport int

const (
	// PKCS1v15 is RSA PKCS#1 v1.5 (RFC 8017 section 7.2), which every reader opens.
	PKCS1v15 KeyTransport = iota
	// OAEP is RSAES-OAEP with SHA-256 in both places (RFC 8017 section 7.1, RFC 3560).
	// openssl cms, Bouncy Castle and WebCrypto open it, openssl smime and gpgsm do not.
	OAEP
)

// Sizes of AES-GCM in CMS (RFC 5084 section 3.2).
const (
	gcmNonceSize = 12
	gcmTagSize   = 16

	// MaxGCMContent bounds what is sealed or opened with AES256GCM, in bytes: nothing of
	// it may be given out before the tag at its end was checked, so it is held in memory.
	MaxGCMContent = 1 << 30
)

// contentCipher is a cipher that is read: keySize is in bytes.
type contentCipher struct {
	id      asn1.ObjectIdentifier
	keySize int
	gcm     bool
}

var contentCiphers = []contentCipher{
	{oidAES128CBC, 16, false}, {oidAES192CBC, 24, false}, {oidAES256CBC, 32, false},
	{oidAES128GCM, 16, true}, {oidAES192GCM, 24, true}, {oidAES256GCM, 32, true},
}

// trailerSize is how many bytes follow the encrypted content: the MAC, if there is one.
func (c Cipher) trailerSize() int64 {
	if c == AES256GCM {
		return 2 + gcmTagSize
	}
	return 0
}

// sealedContentSize is the length of n bytes when they are encrypted.
func (c Cipher) sealedContentSize(n int64) int64 {
	if c == AES256GCM {
		return n
	}
	return paddedSize(n)
}

// ivSize is the length of what makes two messages under one key differ.
func (c Cipher) ivSize() int {
	if c == AES256GCM {
		return gcmNonceSize
	}
	return aes.BlockSize
}

// identifier is the AlgorithmIdentifier of the cipher.
func (c Cipher) identifier(iv []byte) []byte {
	if c == AES256GCM { // GCMParameters: the nonce and the length of the tag
		params := element(tagSequence, element(tagOctetString, iv), []byte{tagInteger, 1, gcmTagSize})
		return element(tagSequence, objectID(oidAES256GCM), params)
	}
	return element(tagSequence, objectID(oidAES256CBC), element(tagOctetString, iv))
}

// identifier is the AlgorithmIdentifier of the key transport.
func (k KeyTransport) identifier() []byte {
	if k == PKCS1v15 {
		return element(tagSequence, objectID(oidRSA), asn1.NullBytes) // RFC 3370 section 4.2.1 wants the NULL
	}
	// RSAES-OAEP-params of RFC 4055 section 4.1: both default to SHA-1, so both are
	// written. The label is empty, which is its default, and is not.
	sha256 := element(tagSequence, objectID(oidSHA256), asn1.NullBytes)
	return element(tagSequence, objectID(oidOAEP), element(tagSequence,
		element(tagContext0|constructed, sha256),
		element(tagContext0|constructed|1, element(tagSequence, objectID(oidMGF1), sha256))))
}

// wrap encrypts a content key.
func (k KeyTransport) wrap(pub *rsa.PublicKey, key []byte) ([]byte, error) {
	if k == OAEP {
		return rsa.EncryptOAEP(crypto.SHA256.New(), rand.Reader, pub, key, nil)
	}
	return rsa.EncryptPKCS1v15(rand.Reader, pub, key)
}

// unwrapOptions is how a content key of keySize bytes is decrypted that was encrypted
// as alg says.
func unwrapOptions(alg pkix.AlgorithmIdentifier, keySize int) (crypto.DecrypterOpts, error) {
	switch {
	case alg.Algorithm.Equal(oidRSA):
		// With SessionKeyLen a failure yields a random key in constant time
		// (RFC 3218 section 2.3.2): the error that remains is about public lengths.
		return &rsa.PKCS1v15DecryptOptions{SessionKeyLen: keySize}, nil
	case !alg.Algorithm.Equal(oidOAEP):
		return nil, unsupported("key transport %v is neither RSA PKCS#1 v1.5 nor RSAES-OAEP", alg.Algorithm)
	}
	params := struct {
		Hash  pkix.AlgorithmIdentifier `asn1:"optional,explicit,tag:0"`
		MGF   pkix.AlgorithmIdentifier `asn1:"optional,explicit,tag:1"`
		Label pkix.AlgorithmIdentifier `asn1:"optional,explicit,tag:2"`
	}{}
	if len(alg.Parameters.FullBytes) > 0 {
		if rest, err := asn1.Unmarshal(alg.Parameters.FullBytes, &params); err != nil || len(rest) > 0 {
			return nil, malformed("the parameters of RSAES-OAEP are unreadable")
		}
	}
	if len(params.Label.Algorithm) > 0 {
		return nil, unsupported("its RSAES-OAEP has a label")
	}
	o := &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1}
	var err error
	if len(params.Hash.Algorithm) > 0 {
		if o.Hash, err = hashOf(params.Hash.Algorithm); err != nil {
			return nil, err
		}
	}
	if len(params.MGF.Algorithm) > 0 {
		var of pkix.AlgorithmIdentifier
		if !params.MGF.Algorithm.Equal(oidMGF1) {
			return nil, unsupported("mask generation function %v is not MGF1", params.MGF.Algorithm)
		}
		if rest, err := asn1.Unmarshal(params.MGF.Parameters.FullBytes, &of); err != nil || len(rest) > 0 {
			return nil, malformed("the parameters of MGF1 are unreadable")
		}
		if o.MGFHash, err = hashOf(of.Algorithm); err != nil {
			return nil, err
		}
	}
	return o, nil
}

func hashOf(id asn1.ObjectIdentifier) (crypto.Hash, error) {
	switch {
	case id.Equal(oidSHA1):
		return crypto.SHA1, nil
	case id.Equal(oidSHA256):
		return crypto.SHA256, nil
	case id.Equal(oidSHA384):
		return crypto.SHA384, nil
	case id.Equal(oidSHA512):
		return crypto.SHA512, nil
	}
	return 0, unsupported("hash %v of RSAES-OAEP", id)
}
