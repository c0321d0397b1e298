package config

import (
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
)

// Bytes is a size such as 64MiB, 1GB or 1048576; -1 means unbounded.
type Bytes int64

// UnmarshalText reads a size with or without a unit.
func (b *Bytes) UnmarshalText(text []byte) error {
	if string(text) == "-1" {
		*b = -1
		return nil
	}
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > 1<<62 {
		return fmt.Errorf("%q is not a size such as 64MiB", text)
	}
	*b = Bytes(n)
	return nil
}

// MarshalText writes the size with a unit.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// String writes the size with a unit.
func (b Bytes) String() string {
	if b < 0 {
		return "-1"
	}
	return strings.ReplaceAll(humanize.IBytes(uint64(b)), " ", "")
}
