package export

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"cdds/pipeline/spans"
)

type loggerKey struct{}

// about makes ctx one for work on an export: what is logged of it names the export, and
// so does the span of its message.
func (w *Worker) about(ctx context.Context, tenantID, exportID string) context.Context {
	trace.SpanFromContext(ctx).SetAttributes(spans.Export.String(exportID))
	return context.WithValue(ctx, loggerKey{}, w.Logger.With("tenant", tenantID, "export_id", exportID))
}

// log names the export that ctx is about.
func (w *Worker) log(ctx context.Context) *slog.Logger {
	if log, ok := ctx.Value(loggerKey{}).(*slog.Logger); ok {
		return log
	}
	return w.Logger
}
