package schemas

import (
	"strconv"
	"strings"
)

// Counted writes a number of things for people: "1 part", "2 parts", "12,000
// entities". It is the one way to do so, or somebody reads "1 parts".
func Counted[N ~int | ~int32 | ~int64 | ~uint16 | ~uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	switch stem, ends := strings.CutSuffix(noun, "y"); {
	case ends && !strings.ContainsAny(stem[len(stem)-1:], "aeiou"):
		noun = stem + "ies"
	default:
		noun += "s"
	}
	return Grouped(n) + " " + noun
}

// Grouped is a number with a comma after every three digits.
func Grouped[N ~int | ~int32 | ~int64 | ~uint16 | ~uint64](n N) string {
	digits := strconv.FormatUint(uint64(n), 10)
	sign := ""
	if n < 0 {
		digits, sign = strconv.FormatInt(int64(n), 10)[1:], "-"
	}
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return sign + digits
}
