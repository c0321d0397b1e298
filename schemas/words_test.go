package schemas

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestTenantsAndWordsAreWhatTheirPatternsSay compares hand-written checks with the
// patterns that the documents state.
func TestTenantsAndWordsAreWhatTheirPatternsSay(t *testing.T) {
	tenant, word := regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`), regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)
	compare := func(t interface{ Errorf(string, ...any) }, s string) {
		if IsTenant(s) != tenant.MatchString(s) || isWord(s) != word.MatchString(s) {
			t.Errorf("%q: tenant %v, word %v", s, IsTenant(s), isWord(s))
		}
	}
	for c := range 256 {
		for _, s := range []string{string(rune(c)), "a" + string(rune(c)), string([]byte{byte(c)}), "a" + string([]byte{byte(c)})} {
			compare(t, s)
		}
	}
	for _, n := range []int{0, 1, 62, 63, 64, 65} {
		compare(t, strings.Repeat("a", n))
	}
	rapid.Check(t, func(t *rapid.T) { compare(t, rapid.StringMatching(`[a-zA-Z0-9._\-é\n]{0,70}`).Draw(t, "text")) })
}

func TestBeforeTenantsLiesBetweenThoseThatBeginWithAPrefixAndThoseBeforeThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringMatching(`[a-c0.z_-]{1,6}`)
		prefix, tenant := id.Draw(t, "prefix"), id.Draw(t, "tenant")
		if after := tenant > BeforeTenants(prefix); after != (tenant >= prefix) {
			t.Errorf("%q after what is before %q: %t", tenant, prefix, after)
		}
	})
}
