package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// maxDays is how many days a time.Duration holds.
const maxDays = int64(1<<63-1) / int64(day)

// ParseDuration reads a duration as time.ParseDuration does, and days too: 90s, 15m,
// 720h, 30d, 1d12h. A day has 24 hours.
func ParseDuration(text string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is not a duration such as 90s, 15m, 720h or 30d", text)
	days, rest, found := strings.Cut(text, "d")
	if !found {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, wrong
		}
		return d, nil
	}
	n, err := strconv.ParseInt(days, 10, 64)
	if err != nil || n > maxDays || n < -maxDays || strings.HasPrefix(days, "+") {
		return 0, wrong
	}
	d := time.Duration(n) * day
	if rest == "" {
		return d, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || rest[0] == '-' || rest[0] == '+' {
		return 0, wrong
	}
	if n < 0 || strings.HasPrefix(days, "-") {
		more = -more
	}
	if sum := d + more; (sum < d) == (more < 0) || more == 0 {
		return sum, nil
	}
	return 0, wrong // longer than a time.Duration
}
