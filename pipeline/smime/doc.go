// Package smime seals content for the holders of RSA certificates and opens it
// again, signs and verifies manifests, and judges certificates. It speaks CMS
// (RFC 5652) and S/MIME (RFC 8551) and knows nothing about what it carries.
//
// [Encrypt] and [Decrypt] stream: memory stays at a few buffers of 64 KiB
// whatever the size of the message. What [Encrypt] writes unless told otherwise is
// EnvelopedData with AES-256-CBC, RSA PKCS#1 v1.5 key transport and definite
// lengths, because that is the one form that openssl cms, openssl smime, gpgsm,
// NSS, Bouncy Castle, node-forge and Python's cryptography all read. [AES256GCM] and
// [OAEP] are for readers that are known to open them; GCM holds a message in memory.
//
// # What sealing does not give
//
// CBC keeps content secret but not whole: a flipped bit or a removed segment in
// the middle of a message decrypts without an error, here and in every other
// reader. GCM finds such a change, but not a message that was left out, or one that
// somebody else sealed for the same certificate. Wholeness comes from the signed manifest. A receiver calls [Verify]
// on the manifest, compares the SHA-256 of each message with it, and only then
// decrypts.
//
// PKCS#1 v1.5 decryption must not become an oracle. [Decrypt] is for the
// receiver's own machine; no service should decrypt what strangers send it and
// answer them with the error or the time it took.
package smime
