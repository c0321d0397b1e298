package engine

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// ClickHouse error codes the front raises or maps to an HTTP status; the list
// is ClickHouse's src/Common/ErrorCodes.cpp.
const (
	codeBadArguments      = 36
	codeUnknownIdentifier = 47
	codeNotImplemented    = 48
	codeLogicalError      = 49
	codeUnknownTable      = 60
	codeSyntaxError       = 62
	codeUnknownDatabase   = 81
	codeTooManyQueries    = 202
	codeQueryCancelled    = 394
	codeAuthFailed        = 516
)

// exception is an error in ClickHouse's own words, which clients parse back
// into a code and a name.
type exception struct {
	code int
	text string // "Code: 60. DB::Exception: ... (UNKNOWN_TABLE)"
}

func (e *exception) Error() string { return e.text }

var exceptionCode = regexp.MustCompile(`^Code: (\d+)\.`)

func newException(text string) *exception {
	text = strings.TrimSpace(text)
	if m := exceptionCode.FindStringSubmatch(text); m != nil {
		code, _ := strconv.Atoi(m[1])
		return &exception{code, text}
	}
	return &exception{codeLogicalError, fmt.Sprintf("Code: 49. DB::Exception: %s. (LOGICAL_ERROR)", text)}
}

// refuse is an exception the front raises itself.
func refuse(code int, name, format string, args ...any) *exception {
	return &exception{code, fmt.Sprintf("Code: %d. DB::Exception: %s. (%s)", code, fmt.Sprintf(format, args...), name)}
}

// status is the HTTP status a ClickHouse server answers with.
func (e *exception) status() int {
	switch e.code {
	case codeUnknownTable, codeUnknownDatabase:
		return http.StatusNotFound
	case codeSyntaxError, codeUnknownIdentifier, codeBadArguments, codeNotImplemented:
		return http.StatusBadRequest
	case codeAuthFailed:
		return http.StatusForbidden
	case codeTooManyQueries:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// notStreamable says that a statement was refused, unexecuted, by the
// streaming call and has to be run in one piece.
func notStreamable(err error) bool {
	return strings.Contains(err.Error(), "Streaming query is not supported")
}
