//go:build production

package app

import (
	"context"
	"log/slog"

	"cdds/ops/config"
)

// Local is the embedded stack, which production builds leave out.
type Local struct{ Config config.Config }

// StartLocal is ErrNoStack.
func StartLocal(context.Context, string, config.Config, *slog.Logger, func(string)) (*Local, error) {
	return nil, ErrNoStack
}

// Wait returns at once.
func (l *Local) Wait(context.Context) error { return nil }

// Close does nothing.
func (l *Local) Close() error { return nil }
