package schemas

// Entities that can be exported.
const (
	EntityInteraction = "interaction"
	EntityContact     = "contact"
)

// Entities lists what can be exported.
func Entities() []string { return []string{EntityInteraction, EntityContact} }

// SourceOf returns the topic whose records are rows of entity, or false.
func SourceOf(entity string) (Topic, bool) {
	switch entity {
	case EntityInteraction:
		return TopicInteractions, true
	case EntityContact:
		return TopicContacts, true
	}
	return "", false
}

// EntityOf is the entity whose rows come from a source topic; empty if none do.
func EntityOf(topic Topic) string {
	switch topic {
	case TopicInteractions:
		return EntityInteraction
	case TopicContacts:
		return EntityContact
	}
	return ""
}

// Actions a message on cdds.export.requests can ask for.
const (
	ActionCreate = "create"
	// ActionCancel ends an export that has not ended and removes what it stored.
	ActionCancel = "cancel"
	// ActionRetry takes a failed export up again: same id, same snapshot, same parts.
	ActionRetry = "retry"
	// ActionDelete removes the artifacts of an export that has ended.
	ActionDelete = "delete"
)

// Actions lists what a message on cdds.export.requests can ask for.
func Actions() []string { return []string{ActionCreate, ActionCancel, ActionRetry, ActionDelete} }

// Encodings of an artifact: an S/MIME message with MIME headers and base64
// (RFC 8551), or the bare CMS structure in DER (RFC 5652).
const (
	EncodingSMIME = "smime"
	EncodingDER   = "der"
)

// Ciphers of an artifact: CMS EnvelopedData, which every reader opens, or
// AuthEnvelopedData (RFC 5083), whose reader finds every change by itself.
const (
	CipherCBC = "aes-256-cbc"
	CipherGCM = "aes-256-gcm"
)

// Ciphers lists what the content of a part can be encrypted with.
func Ciphers() []string { return []string{CipherCBC, CipherGCM} }

// How the content key is encrypted for each recipient: RSA PKCS#1 v1.5, which every
// reader opens, or RSAES-OAEP with SHA-256 (RFC 3560).
const (
	KeyTransportPKCS1 = "rsa-pkcs1v15"
	KeyTransportOAEP  = "rsa-oaep"
)

// KeyTransports lists how a content key can be encrypted.
func KeyTransports() []string { return []string{KeyTransportPKCS1, KeyTransportOAEP} }

// Encodings lists the encodings of an artifact.
func Encodings() []string { return []string{EncodingSMIME, EncodingDER} }

// How hard a part is compressed. Equal rows give equal zips for each of them.
const (
	// CompressionStandard is within a few percent of zip -6 at several times its speed.
	CompressionStandard = "standard"
	// CompressionFast is smaller and faster than zip -1.
	CompressionFast = "fast"
)

// Compressions lists how a part can be compressed.
func Compressions() []string { return []string{CompressionStandard, CompressionFast} }

// What becomes of attachments.
const (
	AttachmentsIncluded = "included"
	AttachmentsNone     = "none"
)

// AttachmentChoices lists what can become of attachments.
func AttachmentChoices() []string { return []string{AttachmentsIncluded, AttachmentsNone} }

// DefaultSplitSize is the JSON Lines bytes of a part when a request names none.
const DefaultSplitSize = 64 << 20
