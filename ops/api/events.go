package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"cdds/schemas"
)

const (
	// eventsPoll is how often history is asked, once for all who follow an export;
	// eventsBeat how often a silent stream says that it is there, before some proxy gives it up.
	eventsPoll = 500 * time.Millisecond
	eventsBeat = 15 * time.Second
	// eventTimeout is how long a reader may take for one event.
	eventTimeout = 15 * time.Second
)

// Progress is how far an export is, as one server-sent event.
type Progress struct {
	schemas.Export
	// RemainingSeconds estimates how long a running export still takes.
	RemainingSeconds *int `json:"remaining_seconds,omitempty" doc:"An estimate, while there is something to go by."`
}

// events follows an export as server-sent events (text/event-stream).
func (a *API) events() {
	register(a, huma.Operation{
		OperationID: "follow-export", Method: http.MethodGet, Path: "/exports/{id}/events", Tags: []string{"Exports"}, Summary: "Follow an export as server-sent events",
		Description: "One event \"export\" with how it stands at once and at every change, until it has ended or for 15 minutes; then ask again.",
		Metadata:    map[string]any{streaming: true},
		Responses: map[string]*huma.Response{"200": {Description: "Events, until the export has ended", Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString, Description: "event: export, data: an export without its parts"}},
		}}},
	}, func(ctx context.Context, in *ExportPath) (*huma.StreamResponse, error) {
		h, err := a.handle(ctx, in.Tenant)
		if err != nil {
			return nil, err
		}
		asking, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		first, err := h.Export(asking, in.ID)
		if err != nil {
			return nil, err
		}
		select {
		case a.streams <- struct{}{}:
		default:
			return nil, huma.Error503ServiceUnavailable("too many streams are open; ask for the export again from time to time instead")
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			defer func() { <-a.streams }()
			r, w := humago.Unwrap(c)
			ctx, cancel := context.WithTimeout(r.Context(), streamFor)
			defer cancel()
			w.Header().Set("Content-Type", "text/event-stream")
			// Whoever is between must not collect events.
			w.Header().Set("X-Accel-Buffering", "no")
			_ = follow(ctx, first, stream{w, http.NewResponseController(w)}, func() (schemas.Export, error) {
				p, err := a.Auth.Identify(r)
				if err != nil {
					return schemas.Export{}, err
				}
				h, err := a.Admin.For(p, in.Tenant)
				if err != nil {
					return schemas.Export{}, err
				}
				return h.Watched(ctx, in.ID, eventsPoll)
			})
		}}, nil
	})
}

// follow sends how an export stands until it has ended, ctx has, nobody reads, or whoever
// reads may not any more.
func follow(ctx context.Context, e schemas.Export, out stream, ask func() (schemas.Export, error)) error {
	if err := out.send(e); err != nil {
		return err
	}
	poll, beat := time.NewTicker(eventsPoll), time.NewTicker(eventsBeat)
	defer poll.Stop()
	defer beat.Stop()
	for !e.State.Ended() {
		select {
		case <-poll.C:
			now, err := ask()
			if err != nil { // history is away for a moment, or for good: the stream's end tells
				return err
			}
			if now.Events < e.Events || now.Events == e.Events && now.State == e.State && now.Waiting == e.Waiting {
				continue // nothing new, or an answer from before the last one
			}
			e = now
			if err := out.send(e); err != nil {
				return err
			}
		case <-beat.C:
			if err := out.write(": still here\n\n"); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s stream) send(e schemas.Export) error {
	p := Progress{Export: e}
	if left, ok := e.Remaining(time.Now()); ok {
		seconds := int(left.Seconds())
		p.RemainingSeconds = &seconds
	}
	data, err := schemas.Encode(p)
	if err != nil {
		return err
	}
	return s.write(fmt.Sprintf("event: export\nid: %d\ndata: %s\n\n", e.Events, data))
}

func (s stream) write(text string) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(eventTimeout))
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}
