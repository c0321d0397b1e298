package retention

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"cdds/schemas"
)

// aged are rows of one tenant, of which one is held or none, and what was published about them.
type aged struct {
	removed []time.Time
	held    time.Time
}

func (*aged) Held(context.Context, string) (schemas.Holds, error) { return nil, nil }

func (a *aged) EarliestHeld(context.Context, string, string, schemas.Holds, time.Time) (time.Time, bool, error) {
	return a.held, !a.held.IsZero(), nil
}

func (*aged) TenantsBefore(context.Context, string, time.Time) ([]string, error) {
	return []string{"acme"}, nil
}

func (a *aged) Age(_ context.Context, _, _ string, before, _ time.Time) (int64, error) {
	a.removed = append(a.removed, before)
	return 1, nil
}

func (*aged) Publish(context.Context, ...schemas.Event) error { return nil }

func TestAClockThatJumpedRemovesNoHistory(t *testing.T) {
	right := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	const year = 365 * 24 * time.Hour
	for _, wrong := range []time.Duration{0, time.Minute, -2 * time.Hour, 2 * time.Hour, 10 * year} {
		rows := &aged{}
		err := NewAgeing(AgeingOptions{
			Rows: rows, Publisher: rows, Holds: rows, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
			Keep: func(string, string) time.Duration { return year },
			Least: func(entity string) time.Duration {
				return map[string]time.Duration{schemas.EntityInteraction: year}[entity]
			},
			Clock: func(context.Context) (time.Time, error) { return right, nil },
			Now:   func() time.Time { return right.Add(wrong) },
		}).Pass(t.Context())
		if wrong.Abs() < maxSkew {
			if err != nil || len(rows.removed) != 1 {
				t.Errorf("with a clock that is %s wrong, removed are %v, %v", wrong, rows.removed, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "NTP") || len(rows.removed) > 0 {
			t.Errorf("with a clock that is %s wrong, what lies before %v was removed, %v", wrong, rows.removed, err)
		}
	}
}
