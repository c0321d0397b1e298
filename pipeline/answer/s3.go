package answer

import "net/http"

// s3 has the codes of S3. A store answers with codes of its own as well; for those the
// status decides.
var s3 = map[string]Meaning{
	"NoSuchKey":     Absent,
	"NoSuchVersion": Absent,

	"PreconditionFailed":         Exists, // the one condition we set is If-None-Match
	"ConditionalRequestConflict": Contended,
	"OperationAborted":           Contended,

	"KeyTooLongError":         Impossible,
	"KeyTooLong":              Impossible,
	"InvalidURI":              Impossible,
	"XMinioInvalidObjectName": Impossible, // also of minio-go, before it sends anything

	"AccessDenied":       Refused,
	"InvalidObjectState": Refused, // archived
	"MethodNotAllowed":   Refused, // a delete marker

	"EntityTooLarge": Permanent,

	"NoSuchBucket":                 Mendable,
	"InvalidBucketName":            Mendable,
	"AllAccessDisabled":            Mendable,
	"InvalidAccessKeyId":           Mendable,
	"XAdminUserNotFound":           Mendable, // versitygw's InvalidAccessKeyId
	"SignatureDoesNotMatch":        Mendable,
	"AuthorizationHeaderMalformed": Mendable, // another region
	"InvalidRegion":                Mendable,
	"InvalidToken":                 Mendable,
	"ExpiredToken":                 Mendable,
	"TokenRefreshRequired":         Mendable,
	"RequestTimeTooSkewed":         Mendable,
	"RequestExpired":               Mendable,

	"RequestTimeout":            Passing,
	"IncompleteBody":            Passing,
	"BadDigest":                 Passing,
	"XAmzContentSHA256Mismatch": Passing,
}

// S3 is the meaning of an answer of S3; the status is 0 where there was none.
func S3(status int, code string) Meaning {
	if m, known := s3[code]; known {
		return m
	}
	switch {
	case status == http.StatusNotFound:
		return Absent
	case status == http.StatusPreconditionFailed:
		return Exists
	case status == http.StatusConflict:
		return Contended
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status == 499: // nginx: the client went away
		return Passing
	case status >= 400 && status < 500, status == http.StatusNotImplemented:
		return Refused
	}
	return Passing
}
