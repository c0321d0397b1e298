package answer

// clickhouse has the codes of ClickHouse (src/Common/ErrorCodes.cpp) that are not
// Passing. What is not listed, such as lack of memory, of disk space, of replicas or of
// time, may be over soon.
var clickhouse = map[int32]Meaning{
	// The statement or its arguments. These are our mistakes: no data and no retry changes
	// them.
	6:   Permanent, // CANNOT_PARSE_TEXT
	27:  Permanent, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
	36:  Permanent, // BAD_ARGUMENTS
	38:  Permanent, // CANNOT_PARSE_DATE
	41:  Permanent, // CANNOT_PARSE_DATETIME
	42:  Permanent, // NUMBER_OF_ARGUMENTS_DOESNT_MATCH
	43:  Permanent, // ILLEGAL_TYPE_OF_ARGUMENT
	48:  Permanent, // NOT_IMPLEMENTED
	50:  Permanent, // UNKNOWN_TYPE
	53:  Permanent, // TYPE_MISMATCH
	62:  Permanent, // SYNTAX_ERROR
	63:  Permanent, // UNKNOWN_AGGREGATE_FUNCTION
	69:  Permanent, // ARGUMENT_OUT_OF_BOUND
	70:  Permanent, // CANNOT_CONVERT_TYPE
	72:  Permanent, // CANNOT_PARSE_NUMBER
	73:  Permanent, // UNKNOWN_FORMAT
	184: Permanent, // ILLEGAL_AGGREGATION
	215: Permanent, // NOT_AN_AGGREGATE
	386: Permanent, // NO_COMMON_TYPE
	456: Permanent, // UNKNOWN_QUERY_PARAMETER
	457: Permanent, // BAD_QUERY_PARAMETER

	// Who we are and what we may do.
	164: Mendable, // READONLY
	192: Mendable, // UNKNOWN_USER
	193: Mendable, // WRONG_PASSWORD
	194: Mendable, // REQUIRED_PASSWORD
	195: Mendable, // IP_ADDRESS_NOT_ALLOWED
	291: Mendable, // DATABASE_ACCESS_DENIED
	452: Mendable, // SETTING_CONSTRAINT_VIOLATION
	497: Mendable, // ACCESS_DENIED
	516: Mendable, // AUTHENTICATION_FAILED

	// The schema is not there or is another version's, or the server is too old.
	16:  Mendable, // NO_SUCH_COLUMN_IN_TABLE
	46:  Mendable, // UNKNOWN_FUNCTION
	47:  Mendable, // UNKNOWN_IDENTIFIER
	60:  Mendable, // UNKNOWN_TABLE
	81:  Mendable, // UNKNOWN_DATABASE
	115: Mendable, // UNKNOWN_SETTING

	// Limits of the user's profile.
	158: Mendable, // TOO_MANY_ROWS
	307: Mendable, // TOO_MANY_BYTES
	344: Mendable, // SUPPORT_IS_DISABLED
	392: Mendable, // QUERY_IS_PROHIBITED
	396: Mendable, // TOO_MANY_ROWS_OR_BYTES

	// Stored data that cannot be read.
	33:  Mendable, // CANNOT_READ_ALL_DATA
	40:  Mendable, // CHECKSUM_DOESNT_MATCH
	226: Mendable, // NO_FILE_IN_DATA_PART
	246: Mendable, // CORRUPTED_DATA
}

// ClickHouse is the meaning of an error code of ClickHouse.
func ClickHouse(code int32) Meaning { return clickhouse[code] }
