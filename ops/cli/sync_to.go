package cli

import (
	"context"
	"strings"

	"cdds/pipeline/mirror"
	"cdds/pipeline/mirror/jsonl"
	"cdds/pipeline/mirror/parquet"
	"cdds/pipeline/mirror/postgres"
	"cdds/pipeline/mirror/sqlite"
)

// copyAt reads --to.
func copyAt(f syncFlags) (copyPlace, error) {
	kind, at, named := strings.Cut(f.to, ":")
	if !named || len(kind) == 1 { // a drive letter
		kind, at = "sqlite", f.to
	}
	if at == "" {
		return copyPlace{}, errTo
	}
	switch kind {
	case "sqlite":
		return f.place(at, func(ctx context.Context) (mirror.Destination, error) { return sqlite.Open(ctx, at) }), nil
	case "parquet":
		return f.place(at, func(ctx context.Context) (mirror.Destination, error) { return parquet.Open(ctx, at) }), nil
	case "jsonl":
		return f.place(at, func(ctx context.Context) (mirror.Destination, error) { return jsonl.Open(ctx, at) }), nil
	case "postgres", "postgresql":
		job := orElse(f.job, "copy")
		return f.place("cdds-"+job, func(ctx context.Context) (mirror.Destination, error) { return postgres.Open(ctx, f.to) }), nil
	}
	return copyPlace{}, errTo
}
