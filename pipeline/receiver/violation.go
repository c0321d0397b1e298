package receiver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"cdds/schemas"
)

// Rule names what an export directory must satisfy.
type Rule string

// The rules, in the order they are checked.
const (
	RuleMissing   Rule = "missing"    // every file of the export is there
	RuleKind      Rule = "file-kind"  // as a regular file
	RuleSignature Rule = "signature"  // the manifest's signature holds
	RuleSigner    Rule = "signer"     // and was made by a pinned certificate
	RuleManifest  Rule = "manifest"   // the manifest is consistent in itself
	RuleExpected  Rule = "expected"   // and of the export that was to come
	RuleChain     Rule = "chain"      // and a run that follows the one before it
	RuleNotListed Rule = "not-listed" // no sealed file is there that it does not list
	RuleSize      Rule = "size"       // each part has the size it states
	RuleDigest    Rule = "digest"     // and the SHA-256
	RuleSealed    Rule = "sealed"     // a part opens as a sealed message
	RuleZip       Rule = "zip"        // to the zip the manifest states, with one entry
	RuleContent   Rule = "content"    // that holds the JSON Lines it states
)

// Hint is what a person can do about a broken rule: a short imperative clause.
func (r Rule) Hint() string {
	switch r {
	case RuleMissing, RuleSize, RuleDigest:
		return "download the file again; if it stays so, ask the sender for a new export"
	case RuleKind:
		return "copy the file itself into the directory, not a link to it"
	case RuleSignature:
		return "download manifest.json and manifest.json.p7s again, byte for byte, and trust nothing here until it verifies"
	case RuleSigner:
		return "ask the sender, over another channel, for the fingerprint of the certificate that signs their manifests"
	case RuleExpected:
		return "look for the export that you expect; this one was signed as another"
	case RuleChain:
		return "download the run that is missing or another one; if its artifacts are gone, ask for a run that starts over (cdds job restart-chain)"
	case RuleNotListed:
		return "move it away: the sender did not make it part of this export"
	}
	return "tell the sender: the file is as it was signed, but not what its manifest says"
}

// Violation is one way in which a directory is not the export it claims to be.
type Violation struct {
	File   string // name within the directory
	Rule   Rule
	Detail string // what was found, e.g. "it has 10 bytes where the manifest says 12"
	Err    error  // what lies beneath, such as an smime.ErrSignature; may be nil
}

func (v *Violation) Error() string { return v.File + ": " + v.Detail }
func (v *Violation) Unwrap() error { return v.Err }

func violated(file string, rule Rule, format string, args ...any) *Violation {
	err := fmt.Errorf(format, args...)
	return &Violation{file, rule, err.Error(), errors.Unwrap(err)}
}

// UnprovenError lists every violation found in a directory, by file.
type UnprovenError struct {
	Violations []*Violation
	// Omitted counts those past the first maxViolations.
	Omitted int
}

func (e *UnprovenError) Error() string {
	n := len(e.Violations) + e.Omitted
	if n == 1 {
		return "the export is not proven: " + e.Violations[0].Error()
	}
	return fmt.Sprintf("the export is not proven: %s, the first: %v", schemas.Counted(n, "violation"), e.Violations[0])
}

// Unwrap returns the violations, for errors.Is and errors.As.
func (e *UnprovenError) Unwrap() []error {
	list := make([]error, len(e.Violations))
	for i, v := range e.Violations {
		list[i] = v
	}
	return list
}

// maxViolations bounds what is kept of a directory in which everything is wrong.
const maxViolations = 10_000

// findings collects violations from any number of goroutines.
type findings struct {
	mu      sync.Mutex
	list    []*Violation
	omitted int
}

// take keeps err if it is a violation, to go on looking for others; any other
// error is returned.
func (f *findings) take(err error) error {
	var v *Violation
	if !errors.As(err, &v) {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) == maxViolations {
		f.omitted++
		return nil
	}
	f.list = append(f.list, v)
	return nil
}

// err is nil or an *UnprovenError. No goroutine may still be taking.
func (f *findings) err() error {
	if len(f.list) == 0 {
		return nil
	}
	slices.SortStableFunc(f.list, func(a, b *Violation) int { return strings.Compare(a.File, b.File) })
	return &UnprovenError{f.list, f.omitted}
}
