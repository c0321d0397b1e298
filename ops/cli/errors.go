package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"cdds/schemas"
)

// Exit codes. Scripts rely on them; exitCodes explains them.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitRefused     = 3
	exitUnproven    = 4
	exitUnreachable = 5
	exitNothing     = 6
	exitQuota       = 7
	exitInterrupted = 130
)

const exitCodes = `Exit codes:
  0    done
  1    failed
  2    the command line or configuration is wrong
  3    the request was refused, or what it names does not exist
  4    verification failed: something is missing, added or changed
  5    a service is not reachable or not healthy
  6    nothing was found: nothing was erased
  7    a quota is used up: try again later
  130  interrupted`

// codedError is an error with its exit code and ways out.
type codedError struct {
	error
	code  int
	hints []string
}

func (e codedError) Unwrap() error { return e.error }

// usageError is an error of whoever typed the command.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// withHint adds ways out to an error: short imperative clauses.
func withHint(err error, hints ...string) error {
	return codedError{err, codeOf(err), append(hintsOf(err), hints...)}
}

func refused(err error) error     { return codedError{err, exitRefused, hintsOf(err)} }
func unproven(err error) error    { return codedError{err, exitUnproven, hintsOf(err)} }
func unreachable(err error) error { return codedError{err, exitUnreachable, hintsOf(err)} }
func nothing(err error) error     { return codedError{err, exitNothing, hintsOf(err)} }
func overQuota(err error) error   { return codedError{err, exitQuota, hintsOf(err)} }

// aboutExport is an error that scripts want with the export's id and state.
type aboutExport struct {
	error
	export schemas.Export
}

func (e aboutExport) Unwrap() error { return e.error }

// silent is an error the command has told already: only its exit code counts.
type silent struct{ error }

func (e silent) Unwrap() error { return e.error }

// jsonTold is an error whose matter was written to stdout already: with --json no
// second object follows, but people still read it.
type jsonTold struct{ error }

func (e jsonTold) Unwrap() error { return e.error }

func codeOf(err error) int {
	var coded codedError
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled): // whatever was under way
		return exitInterrupted
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &coded):
		return coded.code
	}
	return exitFailure
}

func hintsOf(err error) []string {
	var coded codedError
	if errors.As(err, &coded) {
		return coded.hints
	}
	return nil
}

// report tells a command's error and returns its exit code. With --json the error is
// an object on stdout too, so that the last line always is one.
func (s *session) report(err error) int {
	code := codeOf(err)
	if told := (silent{}); err == nil || errors.As(err, &told) {
		return code
	}
	text := strings.TrimSpace(err.Error())
	if text == context.Canceled.Error() {
		text = "interrupted"
	}
	if told := (jsonTold{}); s.json && !errors.As(err, &told) {
		object := map[string]any{"error": text, "exit_code": code, "hints": hintsOf(err)}
		if about := (aboutExport{}); errors.As(err, &about) {
			object["tenant_id"], object["export_id"], object["state"] = about.export.TenantID, about.export.ExportID, about.export.State
		}
		line, _ := json.Marshal(object)
		fmt.Fprintf(s.out, "%s\n", line)
	}
	// Indented, so that no line of a reason looks like a message of its own.
	fmt.Fprintf(s.err, "cdds: %s\n", strings.ReplaceAll(text, "\n", "\n      "))
	for _, hint := range hintsOf(err) {
		fmt.Fprintf(s.err, "      %s\n", hint)
	}
	return code
}
