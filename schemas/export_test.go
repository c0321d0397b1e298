package schemas

// The limits, for tests that hold other documents to them.
const (
	MaxID              = maxIDBytes
	MaxAttributes      = maxAttributes
	MaxAttribute       = maxAttributeBytes
	MaxAttachments     = maxAttachments
	MaxInline          = maxInlineBytes
	MaxShortText       = maxShortTextBytes
	MinSplitSize       = minSplitSize
	MaxSplitSize       = maxSplitSize
	MaxRecipients      = maxRecipients
	MaxCertificateText = maxCertificateText
)
