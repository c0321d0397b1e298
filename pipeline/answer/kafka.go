package answer

// kafka has the error codes of Kafka (https://kafka.apache.org/protocol.html) that are not
// Passing. What is not listed is retriable by the protocol, or about a moment of a group, a
// transaction or an election.
var kafka = map[int16]Meaning{
	// The request itself.
	10:  Permanent, // MESSAGE_TOO_LARGE
	12:  Permanent, // OFFSET_METADATA_TOO_LARGE
	17:  Permanent, // INVALID_TOPIC_EXCEPTION
	18:  Permanent, // RECORD_LIST_TOO_LARGE
	21:  Permanent, // INVALID_REQUIRED_ACKS
	24:  Permanent, // INVALID_GROUP_ID
	26:  Permanent, // INVALID_SESSION_TIMEOUT
	32:  Permanent, // INVALID_TIMESTAMP
	37:  Permanent, // INVALID_PARTITIONS
	39:  Permanent, // INVALID_REPLICA_ASSIGNMENT
	40:  Permanent, // INVALID_CONFIG
	42:  Permanent, // INVALID_REQUEST
	43:  Permanent, // UNSUPPORTED_FOR_MESSAGE_FORMAT
	76:  Permanent, // UNSUPPORTED_COMPRESSION_TYPE
	87:  Permanent, // INVALID_RECORD
	128: Permanent, // INVALID_REGULAR_EXPRESSION

	// Who we are and what we may do.
	29: Mendable, // TOPIC_AUTHORIZATION_FAILED
	30: Mendable, // GROUP_AUTHORIZATION_FAILED
	31: Mendable, // CLUSTER_AUTHORIZATION_FAILED
	33: Mendable, // UNSUPPORTED_SASL_MECHANISM
	34: Mendable, // ILLEGAL_SASL_STATE
	53: Mendable, // TRANSACTIONAL_ID_AUTHORIZATION_FAILED
	54: Mendable, // SECURITY_DISABLED
	58: Mendable, // SASL_AUTHENTICATION_FAILED
	61: Mendable, // DELEGATION_TOKEN_AUTH_DISABLED
	62: Mendable, // DELEGATION_TOKEN_NOT_FOUND
	63: Mendable, // DELEGATION_TOKEN_OWNER_MISMATCH
	64: Mendable, // DELEGATION_TOKEN_REQUEST_NOT_ALLOWED
	65: Mendable, // DELEGATION_TOKEN_AUTHORIZATION_FAILED
	66: Mendable, // DELEGATION_TOKEN_EXPIRED
	93: Mendable, // UNACCEPTABLE_CREDENTIAL

	// What brokers are set up for.
	23: Mendable, // INCONSISTENT_GROUP_PROTOCOL
	35: Mendable, // UNSUPPORTED_VERSION
	44: Mendable, // POLICY_VIOLATION
	73: Mendable, // TOPIC_DELETION_DISABLED
	81: Mendable, // GROUP_MAX_SIZE_REACHED
}

// Kafka is the meaning of an error code of Kafka.
func Kafka(code int16) Meaning { return kafka[code] }
