package bucket

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"
)

// RefusedError is an answer that asking for the same object again does not change: the
// key is not one the store can have, or nobody here may read it.
type RefusedError struct {
	// Status is that of HTTP, Code that of S3.
	Status int
	Code   string
	// Impossible says that no object can have the key, so there is none.
	Impossible bool
}

func (e *RefusedError) Error() string {
	if e.Impossible {
		return fmt.Sprintf("the store can have no object of that key: %s (%d)", e.Code, e.Status)
	}
	return fmt.Sprintf("the store does not give the object: %s (%d)", e.Code, e.Status)
}

// meaning is what an answer says of the object it is about.
type meaning int

const (
	// passing is about this moment, or about the service and not about the object, such as
	// a wrong key or a bucket that is not there: an operator can mend it meanwhile.
	passing meaning = iota
	// absent says that there is no object.
	absent
	// impossible says that there can be none.
	impossible
	// refused says that there may be one, and that it is not to be had.
	refused
)

// meanings of S3's codes. A store answers with codes of its own as well; for those the
// status decides.
var meanings = map[string]meaning{
	"NoSuchKey":     absent,
	"NoSuchVersion": absent,

	"KeyTooLongError":         impossible,
	"KeyTooLong":              impossible,
	"InvalidURI":              impossible,
	"XMinioInvalidObjectName": impossible, // also of minio-go, unasked

	"AccessDenied":       refused,
	"InvalidObjectState": refused, // archived
	"MethodNotAllowed":   refused, // a mark of deletion

	"NoSuchBucket":                 passing,
	"InvalidBucketName":            passing,
	"AllAccessDisabled":            passing,
	"InvalidAccessKeyId":           passing,
	"XAdminUserNotFound":           passing, // versitygw's InvalidAccessKeyId
	"SignatureDoesNotMatch":        passing,
	"AuthorizationHeaderMalformed": passing, // another region
	"InvalidRegion":                passing,
	"InvalidToken":                 passing,
	"ExpiredToken":                 passing,
	"TokenRefreshRequired":         passing,
	"RequestTimeTooSkewed":         passing,
	"RequestExpired":               passing,
	"RequestTimeout":               passing,
	"IncompleteBody":               passing,
	"BadDigest":                    passing,
	"XAmzContentSHA256Mismatch":    passing,
	"OperationAborted":             passing,
	"ConditionalRequestConflict":   passing,
}

// meaningOf classifies an answer. An error that is no answer is passing.
func meaningOf(answer minio.ErrorResponse) meaning {
	if m, known := meanings[answer.Code]; known {
		return m
	}
	switch status := answer.StatusCode; {
	case status == http.StatusNotFound:
		return absent
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status == 499: // nginx: the client went away
		return passing
	case status >= 400 && status < 500, status == http.StatusNotImplemented:
		return refused
	}
	return passing
}

// wrap says what was done when err happened, as ErrNotFound or a *RefusedError if it is
// one of those.
func wrap(verb, key string, err error) error {
	answer := minio.ErrorResponse{}
	errors.As(err, &answer)
	switch m := meaningOf(answer); m {
	case absent:
		err = ErrNotFound
	case impossible, refused:
		err = &RefusedError{answer.StatusCode, answer.Code, m == impossible}
	}
	return fmt.Errorf("%s %s: %w", verb, key, err)
}
