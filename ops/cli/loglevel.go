//go:build !receiver

package cli

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// switchLevel lets SIGUSR1 switch between debug and the level there was, until ctx
// ends: a process that misbehaves is asked for more without a restart that would cure it.
func switchLevel(ctx context.Context, level *slog.LevelVar, log *slog.Logger) {
	usual := level.Level()
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		defer signal.Stop(asked)
		for {
			select {
			case <-ctx.Done():
				return
			case <-asked:
			}
			next := slog.LevelDebug
			if level.Level() == slog.LevelDebug {
				next = usual
			}
			level.Set(min(next, slog.LevelInfo)) // so that the next line is seen
			log.Info("the log level is switched", "level", next.String())
			level.Set(next)
		}
	}()
}
