package app

import (
	"os"
	"runtime/debug"
	"slices"

	"cdds/ops/config"
)

// What roles need at most, in bytes, beside the parts an exporter spools. The garbage
// collector works harder near their sum rather than let the process grow past it.
const (
	baseMemory    = 32 << 20
	ingestMemory  = 144 << 20
	exportMemory  = 48 << 20
	historyMemory = 32 << 20
	keeperMemory  = 16 << 20
	erasureMemory = 16 << 20
)

// LimitMemory sets the soft memory limit of this process to what its roles need,
// unless GOMEMLIMIT sets another (https://go.dev/doc/gc-guide#Memory_limit).
func LimitMemory(roles []string, c config.Export) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	limit := int64(baseMemory)
	if slices.Contains(roles, "ingest") {
		limit += ingestMemory
	}
	if slices.Contains(roles, "export") {
		limit += exportMemory + int64(c.Memory)
	}
	if slices.Contains(roles, "history") {
		limit += historyMemory
	}
	if slices.Contains(roles, "retention") {
		limit += keeperMemory
	}
	if slices.Contains(roles, "erasure") {
		limit += erasureMemory
	}
	debug.SetMemoryLimit(limit)
}
