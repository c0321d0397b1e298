package bucket

import (
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7"

	"cdds/pipeline/answer"
)

// RefusedError is an answer that asking for the same object again does not change: the
// key is not one the store can have, or nobody here may read it.
type RefusedError struct {
	// Status is that of HTTP, Code that of S3.
	Status int
	Code   string
	// Impossible says that no object can have the key, so none exists.
	Impossible bool
}

func (e *RefusedError) Error() string {
	if e.Impossible {
		return fmt.Sprintf("the store can have no object of that key: %s (%d)", e.Code, e.Status)
	}
	return fmt.Sprintf("the store does not give the object: %s (%d)", e.Code, e.Status)
}

// Means is answer.Impossible or answer.Refused.
func (e *RefusedError) Means() answer.Meaning {
	if e.Impossible {
		return answer.Impossible
	}
	return answer.Refused
}

// meaningOf classifies what minio-go returned. An error without an answer is Passing.
func meaningOf(err error) (answer.Meaning, minio.ErrorResponse) {
	a := minio.ErrorResponse{}
	errors.As(err, &a)
	return answer.S3(a.StatusCode, a.Code), a
}

// wrap says what was done when err happened, as ErrNotFound, ErrExists or a *RefusedError if
// it is one of those.
func wrap(verb, key string, err error) error {
	switch m, a := meaningOf(err); m {
	case answer.Absent:
		err = ErrNotFound
	case answer.Exists:
		err = ErrExists
	case answer.Impossible, answer.Refused:
		err = &RefusedError{a.StatusCode, a.Code, m == answer.Impossible}
	default:
		err = answered(err)
	}
	return fmt.Errorf("%s %s: %w", verb, key, err)
}

// answered attaches the meaning of the answer to err.
func answered(err error) error {
	m, _ := meaningOf(err)
	return &answer.Error{Service: "the object store", Meaning: m, Err: err}
}
