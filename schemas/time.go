package schemas

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// timeLayout is RFC 3339 in UTC with exactly three decimals: the one form times
// have on the wire.
const timeLayout = "2006-01-02T15:04:05.000Z"

// Time is an instant in UTC with millisecond precision. Its zero value means
// "absent".
type Time struct{ time.Time }

// TimeOf truncates t to milliseconds and moves it to UTC.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{t.UTC().Truncate(time.Millisecond)}
}

// ParseTime reads an RFC 3339 time with any offset and precision; digits past
// the millisecond are dropped. It refuses Go's zero time.
func ParseTime(s string) (Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !strict(s) {
		return Time{}, fmt.Errorf("%q is not a time such as 2026-10-05T07:13:35.364Z (RFC 3339)%s", shorten(s), nearly(s))
	}
	parsed := TimeOf(t)
	// The zero time is what a producer wrote that meant "none"; the years come from
	// offsets at either end of the calendar. Neither has a wire form to be read again.
	if year := parsed.Year(); parsed.IsZero() || year < 1 || year > 9999 {
		return Time{}, fmt.Errorf("%q is no instant of the years 1 to 9999; leave out a time that is not known", shorten(s))
	}
	return parsed, nil
}

// strict reports whether s, which time.Parse takes, is RFC 3339: Go also takes an
// hour of one digit, a decimal comma, and offsets of 24 hours or 60 minutes
// (golang.org/issue/54580).
func strict(s string) bool {
	if s[12] == ':' || s[19] == ',' {
		return false
	}
	n := len(s)
	return s[n-1] == 'Z' || s[n-5:n-3] < "24" && s[n-2:] < "60"
}

// nearly says what a text lacks that is a time in all but one respect; otherwise it is
// empty. RFC 3339 allows the first two, but few programs read them.
func nearly(s string) string {
	reads := func(s string) bool { _, err := time.Parse(time.RFC3339Nano, s); return err == nil && strict(s) }
	switch {
	case reads(strings.ToUpper(s)):
		return ": write T and Z as capitals"
	case len(s) > 19 && s[16:19] == ":60" && reads(s[:16]+":59"+s[19:]):
		return ": CDDS takes no leap second, so write :59"
	case reads(s + "Z"):
		return ": add Z for UTC, or an offset such as +02:00"
	}
	return ""
}

// String is the wire form, or the empty string for the zero time.
func (t Time) String() string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}

// MarshalJSON writes the wire form; the zero time is null.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	b := make([]byte, 0, len(timeLayout)+2)
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, timeLayout)
	return append(b, '"'), nil
}

// UnmarshalJSON reads an RFC 3339 string or null.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = Time{}
		return nil
	}
	if len(b) > 2 && b[0] == '"' && bytes.IndexByte(b, '\\') < 0 { // nearly always
		return t.parse(string(b[1 : len(b)-1]))
	}
	if len(b) < 2 || b[0] != '"' {
		return fmt.Errorf("a time must be a string in RFC 3339, not %s", shorten(string(b)))
	}
	return t.parse(unquote(b))
}

func (t *Time) parse(s string) error {
	parsed, err := ParseTime(s)
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

// wireForm reports whether a text known to be a time has the wire form already.
func wireForm(s []byte) bool {
	if len(s) != len(timeLayout) {
		return false
	}
	for i := range timeLayout {
		if c := timeLayout[i]; isDigit(c) != isDigit(s[i]) || !isDigit(c) && s[i] != c {
			return false
		}
	}
	return true
}

// Compare orders instants as time.Time does.
func (t Time) Compare(u Time) int { return t.Time.Compare(u.Time) }

// shorten keeps error texts readable when the offending value is long.
func shorten(s string) string {
	const limit = 60
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}

// wireTime reads a time that has the wire form and lies in the years that events have.
func wireTime(s []byte) (Time, bool) {
	if !wireForm(s) {
		return Time{}, false
	}
	number := func(from, to int) (n int) {
		for _, c := range s[from:to] {
			n = 10*n + int(c-'0')
		}
		return n
	}
	year, month, day := number(0, 4), time.Month(number(5, 7)), number(8, 10)
	hour, minute, second := number(11, 13), number(14, 16), number(17, 19)
	if year < earliest.Year() || month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return Time{}, false
	}
	return Time{time.Date(year, month, day, hour, minute, second, number(20, 23)*1e6, time.UTC)}, true
}

func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
