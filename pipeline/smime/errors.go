package smime

import (
	"errors"
	"fmt"
)

// What reading or writing a message can fail with, to be tested with
// [errors.Is]. Errors of the underlying reader or writer are passed on wrapped.
var (
	// ErrMalformed reports bytes that are not the CMS EnvelopedData they claim
	// to be, or that exceed a limit of this package.
	ErrMalformed = errors.New("smime: malformed message")

	// ErrTruncated reports a message that ends early; fetching it again may
	// help. It is an ErrMalformed.
	ErrTruncated = fmt.Errorf("%w: it ends early, download it again", ErrMalformed)

	// ErrUnsupported reports a well-formed message in an algorithm or content
	// type this package does not read.
	ErrUnsupported = errors.New("smime: unsupported message")

	// ErrNotRecipient reports a message that is not sealed for the certificate
	// at hand.
	ErrNotRecipient = errors.New("smime: the message is not sealed for this certificate")

	// ErrKeyMismatch reports a private key that does not belong to the
	// certificate given with it.
	ErrKeyMismatch = errors.New("smime: the private key does not belong to the certificate")

	// ErrDecrypt reports content that does not decrypt. It says nothing more on
	// purpose: telling a wrong key from wrong padding would make an oracle.
	ErrDecrypt = errors.New("smime: cannot decrypt: the message is damaged or the key is wrong")

	// ErrSize reports that the bytes written are not the Options.ContentSize
	// that was announced.
	ErrSize = errors.New("smime: content is not of the announced size")

	// ErrPrivateKey reports that a file offered as a certificate holds a
	// private key.
	ErrPrivateKey = errors.New("smime: this file contains a private key: " +
		"keep it secret, treat the key as exposed if the file was sent anywhere, and supply only the certificate")

	// ErrPKCS12 reports that a file offered as a certificate is a PKCS#12 container. It is
	// an ErrPrivateKey: what is in it, its passphrase hides.
	ErrPKCS12 error = pkcs12Error{}

	// ErrNoCertificate reports that a file offered as a certificate holds none that can
	// be read, or something else beside it.
	ErrNoCertificate = errors.New("smime: not a usable X.509 certificate file")

	// ErrSignature reports a signature that does not verify.
	ErrSignature = errors.New("smime: signature does not verify")

	// ErrUntrusted reports a good signature by a certificate that is not among
	// those trusted.
	ErrUntrusted = errors.New("smime: signed by a certificate that is not trusted")
)

type pkcs12Error struct{}

func (pkcs12Error) Error() string {
	return "smime: this is a PKCS#12 file (.p12 or .pfx), which can contain a private key: " +
		"supply only the certificate, which openssl pkcs12 -in FILE -clcerts -nokeys -out cert.pem writes"
}

func (pkcs12Error) Is(target error) bool { return target == ErrPrivateKey }

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, args...))
}
