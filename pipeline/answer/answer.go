// Package answer says what the answers of S3, ClickHouse and Kafka mean for whoever
// waits: there is one table for each, and every retry of the service goes by them.
//
// The packages that talk to a service attach the meaning to its errors (see Error); the
// others ask Of. An error without one, such as a lost connection, is Passing.
package answer

import "errors"

// Meaning is what an answer says about the next time.
type Meaning int

const (
	// Passing answers are about this moment: the same request may succeed soon.
	Passing Meaning = iota
	// Mendable answers stay the same until an operator changes something: credentials,
	// rights, a table or a topic that is missing.
	Mendable
	// Permanent answers stay the same for ever: the request itself cannot be granted.
	Permanent

	// The rest are S3's and about one object.

	// Absent says that there is no object.
	Absent
	// Exists says that the key has an object (412).
	Exists
	// Contended says that somebody writes the key at this moment (409).
	Contended
	// Impossible says that no object can have the key.
	Impossible
	// Refused says that there may be an object, and that it is not given to us.
	Refused
	// Locked says that the store keeps the object, whoever wants it gone, until a lock is lifted or
	// ends by itself.
	Locked
)

// Error is an answer with its meaning.
type Error struct {
	// Service is who answered, as people read it.
	Service string
	Meaning Meaning
	// Err is the answer.
	Err error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Means returns Meaning.
func (e *Error) Means() Meaning { return e.Meaning }

// Of is the meaning of err, or of an error it wraps; Passing if none has one.
func Of(err error) Meaning {
	var meant interface{ Means() Meaning }
	if errors.As(err, &meant) {
		return meant.Means()
	}
	return Passing
}

// IsPermanent reports whether the same request can never succeed.
func IsPermanent(err error) bool {
	m := Of(err)
	return m == Permanent || m == Impossible
}

// NeedsOperator reports whether the same request fails until an operator changes
// something.
func NeedsOperator(err error) bool {
	m := Of(err)
	return m == Mendable || m == Refused || m == Locked
}
