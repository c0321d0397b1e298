package schemas

import "strings"

// Topic is the name of a Kafka topic.
type Topic string

// The topics of CDDS. Keys: interaction id, contact id, export id, export id, the
// audited thing's id, erasure id; so each thing's events are in order.
const (
	TopicInteractions   Topic = "cdds.interactions"
	TopicContacts       Topic = "cdds.contacts"
	TopicExportRequests Topic = "cdds.export.requests"
	TopicExportStatus   Topic = "cdds.export.status"
	TopicAudit          Topic = "cdds.audit"

	TopicErasureRequests Topic = "cdds.erasure.requests"

	// TopicAccess is compacted: users, tokens and ended sessions, by record id; see Versions.
	TopicAccess Topic = "cdds.access"

	// Compacted, keyed by tenant and id: the last version of each; see Versions.
	TopicJobs         Topic = "cdds.jobs"
	TopicCertificates Topic = "cdds.certificates"
	TopicHolds        Topic = "cdds.holds"

	// TopicErased is compacted: who and what was forgotten, and as of when.
	TopicErased Topic = "cdds.erased"

	TopicWebhookDeliveries Topic = "cdds.webhook.deliveries"
)

// Compacted reports whether a topic keeps only the last event of each key. Every
// process reads all of it, so nothing of it is dead-lettered.
func Compacted(t Topic) bool {
	return t == TopicJobs || t == TopicCertificates || t == TopicHolds || t == TopicAccess || t == TopicErased
}

// DeadLetter is the topic that takes what could not be read from t: original
// key, value and headers, plus the dead-letter headers.
func (t Topic) DeadLetter() Topic { return t + deadLetterSuffix }

// IsDeadLetter reports whether t takes dead letters.
func IsDeadLetter(t Topic) bool { return strings.HasSuffix(string(t), deadLetterSuffix) }

const deadLetterSuffix = ".dlq"

// Consumer groups of the roles, beside one ingest group for each source topic.
const (
	GroupExport  = "cdds.export"
	GroupHistory = "cdds.history"
	GroupAudit   = "cdds.audit"
	GroupErasure = "cdds.erasure"
	// GroupWebhooks sends webhooks when exports end, GroupWebhookRequests when somebody
	// requested a test or a redelivery; GroupDeliveries keeps what came of it.
	GroupWebhooks        = "cdds.webhooks"
	GroupWebhookRequests = "cdds.webhook.requests"
	GroupDeliveries      = "cdds.webhook.deliveries"
)

// IngestGroup is the consumer group that stores the records of a source topic. Its
// committed offsets say how far ingest has come.
func IngestGroup(source Topic) string {
	return "cdds.ingest." + strings.TrimPrefix(string(source), "cdds.")
}

// GroupSnapshots commits the snapshots of exports, so that a log that ends before one is
// known to have lost records, also if nothing had read them yet.
const GroupSnapshots = "cdds.snapshots"

// Readers are the groups whose committed offsets say how far a topic was read.
func Readers(t Topic) []string {
	switch t {
	case TopicInteractions, TopicContacts:
		return []string{IngestGroup(t), GroupSnapshots}
	case TopicExportRequests:
		return []string{GroupExport}
	case TopicExportStatus:
		return []string{GroupHistory, GroupWebhooks}
	case TopicAudit:
		return []string{GroupAudit}
	case TopicErasureRequests:
		return []string{GroupErasure}
	case TopicWebhookDeliveries:
		return []string{GroupDeliveries, GroupWebhookRequests}
	}
	return nil
}

// PresenceGroup is the consumer group that shows that a role runs which reads no topic in
// a group. Nothing is consumed in it.
func PresenceGroup(role string) string { return "cdds.role." + role }

// TopicOf is the topic that a consumer group reads; empty if the group does not belong to CDDS.
func TopicOf(group string) Topic {
	for _, t := range Topics() {
		for _, of := range Readers(t) {
			if of == group && group != GroupSnapshots {
				return t
			}
		}
	}
	return ""
}

// The configuration of a topic whose records have the time at which they were appended, as
// source topics should.
const (
	TimestampType = "message.timestamp.type"
	LogAppendTime = "LogAppendTime"
)

// SourceTopics lists the topics whose records become rows.
func SourceTopics() []Topic { return []Topic{TopicInteractions, TopicContacts} }

// Topics lists every topic CDDS reads or writes, dead-letter topics included.
func Topics() []Topic {
	var all []Topic
	for _, t := range []Topic{TopicInteractions, TopicContacts, TopicExportRequests, TopicExportStatus, TopicAudit, TopicErasureRequests, TopicWebhookDeliveries} {
		all = append(all, t, t.DeadLetter())
	}
	return append(all, TopicJobs, TopicCertificates, TopicHolds, TopicAccess, TopicErased)
}

// Sizes of messages, in bytes. A message over MaxEventBytes is dead-lettered; the
// broker must take somewhat larger ones for that to be possible, and dead-letter
// topics larger ones still, for the headers.
const (
	// MaxRequestBytes is the limit of a request: certificates for as many
	// recipients as there may be, and far from what a worker holds for a partition.
	MaxRequestBytes    = 2560 << 10
	MaxEventBytes      = 4 << 20
	MaxRecordBytes     = 8 << 20
	MaxDeadLetterBytes = 9 << 20
)

// MaxReasonBytes bounds the reason that a dead letter carries.
const MaxReasonBytes = 4 << 10

// Headers that a dead letter carries beside those of the original record. The last four
// are there only if the letter was cut to fit its topic: then key and value are the first
// bytes of the original's, whose sizes and digest the headers state, and the original's
// headers are all there or none of them.
const (
	HeaderReason    = "cdds_reason"
	HeaderCode      = "cdds_reason_code"
	HeaderTopic     = "cdds_topic"
	HeaderPartition = "cdds_partition"
	HeaderOffset    = "cdds_offset"
	HeaderTime      = "cdds_time"

	HeaderKeyBytes    = "cdds_key_bytes"
	HeaderValueBytes  = "cdds_value_bytes"
	HeaderValueSHA256 = "cdds_value_sha256"
	HeaderHeadersKept = "cdds_headers_kept"
)

// Headers of a record that was published again from a dead letter: the id of the letter, and
// how often the record was published again, this time included. They stay if it comes to be
// a letter once more.
const (
	HeaderLetter         = "cdds_letter"
	HeaderPublishedAgain = "cdds_published_again"
)

// IsDeadLetterHeader reports whether a dead letter's header of that name is its own, not
// the original record's.
func IsDeadLetterHeader(name string) bool {
	switch name {
	case HeaderReason, HeaderCode, HeaderTopic, HeaderPartition, HeaderOffset, HeaderTime,
		HeaderKeyBytes, HeaderValueBytes, HeaderValueSHA256, HeaderHeadersKept:
		return true
	}
	return false
}
