// Package api is the HTTP API of CDDS under /api/v1: JSON, described by the OpenAPI
// 3.1 document it serves at /api/v1/openapi.json (and .yaml), with a page to read it at
// /api/v1/docs. It translates between HTTP and ops/admin, which decides everything.
//
// A program sends an API token (Authorization: Bearer cdds_...), a browser the cookie
// of its session. Errors are problem details (RFC 9457). Listings come in pages:
// limit, sort, order, and the cursor of the page before. Who sees more than one tenant
// names one with ?tenant=.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"cdds/ops/admin"
	"cdds/ops/auth"
	"cdds/schemas"
)

// Prefix is where the API is.
const Prefix = schemas.APIPrefix

// Options of an API.
type Options struct {
	Admin *admin.Service
	Auth  *auth.Service
	// Links redirects downloads to short-lived links of the object store, which must
	// be reachable by whoever downloads; otherwise they are streamed through.
	Links bool
	// Every and Burst bound the requests of each principal: so many at once, then one
	// each Every. 0 means 20 a second, 100 at once.
	Every time.Duration
	Burst int
	// Version is stated in the OpenAPI document.
	Version string
	Logger  *slog.Logger
}

// API serves the operations. It is safe for concurrent use and starts nothing.
type API struct {
	Options
	mux      *http.ServeMux
	huma     huma.API
	throttle *auth.Throttle
	streams  chan struct{}
}

// Bounds of one request.
const (
	requestTimeout = 30 * time.Second
	maxBody        = 1 << 20
	// maxStreams bounds who follows exports at once, streamFor how long one request does.
	maxStreams = 256
	streamFor  = 15 * time.Minute
)

// New returns an API.
func New(o Options) *API {
	if o.Every == 0 {
		o.Every, o.Burst = 50*time.Millisecond, 100
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Version == "" {
		o.Version = "1"
	}
	a := &API{Options: o, mux: http.NewServeMux(), throttle: auth.NewThrottle(o.Every, o.Burst), streams: make(chan struct{}, maxStreams)}
	a.huma = humago.New(a.mux, configuration())
	a.huma.UseMiddleware(a.guard)
	a.sessions()
	a.overview()
	a.jobs()
	a.webhooks()
	a.letters()
	a.exports()
	a.artifacts()
	a.certificates()
	a.holds()
	a.erasures()
	a.audit()
	a.accounts()
	a.account()
	a.mux.HandleFunc("GET "+Prefix+"/docs", a.docs)
	return a
}

// configuration is what every operation shares. The version is that of the API, so
// that the document is the same whoever serves it.
func configuration() huma.Config {
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: schemas.ReadKnown}
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "CDDS", Version: "1",
				Description: "Exports of contact-centre history: jobs, exports, artifacts, certificates, erasures, audit. " +
					"Errors are problem details (RFC 9457). Times are RFC 3339 in UTC.",
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Components: &huma.Components{
				Schemas: registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token":   {Type: "http", Scheme: "bearer", Description: "An API token: cdds_..."},
					"session": {Type: "apiKey", In: "cookie", Name: "cdds_session", Description: "The cookie of a session; with https its name begins with __Host-."},
				},
			},
			Security: []map[string][]string{{"token": {}}, {"session": {}}},
		},
		OpenAPIPath:   Prefix + "/openapi",
		Formats:       map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat: "application/json",
		// What was sent is not sent back: it may be a password or somebody's key.
		Transformers:                 []huma.Transformer{withoutValues},
		RejectUnknownQueryParameters: true,
	}
}

// OpenAPI is the document in JSON.
func (a *API) OpenAPI() ([]byte, error) { return a.huma.OpenAPI().MarshalJSON() }

// Handler serves Prefix. Around it belong auth.Protect and Auth.Middleware.
func (a *API) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'")
		header.Set("Referrer-Policy", "no-referrer")
		if _, pattern := a.mux.Handler(r); pattern == "" {
			a.refuse(w, r)
			return
		}
		a.mux.ServeHTTP(w, r)
	})
}

// refuse answers a request for which there is no operation: 405 with the methods that the
// path takes, or 404.
func (a *API) refuse(w http.ResponseWriter, r *http.Request) {
	why := &refusal{header: http.Header{}, status: http.StatusNotFound}
	a.mux.ServeHTTP(why, r)
	problem := huma.ErrorModel{Status: http.StatusNotFound, Detail: "no operation of this API has this path; " + Prefix + "/docs lists them"}
	if allow := why.header.Get("Allow"); why.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allow)
		problem = huma.ErrorModel{Status: http.StatusMethodNotAllowed, Detail: r.Method + " is not for this path; it takes " + allow}
	}
	problem.Title = http.StatusText(problem.Status)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(problem.Status)
	_ = json.NewEncoder(w).Encode(problem)
}

// refusal is what http.ServeMux says of a request that it has no handler for. Its body, which
// is plain text, goes nowhere.
type refusal struct {
	header http.Header
	status int
}

func (r *refusal) Header() http.Header         { return r.header }
func (r *refusal) WriteHeader(status int)      { r.status = status }
func (r *refusal) Write(b []byte) (int, error) { return len(b), nil }

// public marks an operation that nobody has to sign in for.
const public = "public"

// streaming marks an operation whose answer may take longer than requestTimeout.
const streaming = "streaming"

// guard lets in who is signed in, not too often, for a bounded time.
func (a *API) guard(c huma.Context, next func(huma.Context)) {
	operation := c.Operation()
	p, ok := auth.From(c.Context())
	r, w := humago.Unwrap(c)
	subject := p.Subject
	if !ok {
		subject = "from/" + a.Auth.NetworkOf(r)
	}
	now := time.Now()
	_, err := a.throttle.Take(subject, now)
	a.limits(c, subject, now)
	if err != nil {
		a.fail(c, err)
		return
	}
	if !ok && operation.Metadata[public] == nil {
		c.SetHeader("WWW-Authenticate", `Bearer realm="cdds"`)
		a.fail(c, auth.ErrSession)
		return
	}
	if operation.Metadata[streaming] != nil {
		next(c)
		return
	}
	ctx, cancel := context.WithTimeout(c.Context(), requestTimeout)
	defer cancel()
	// A reader that does not read is not waited for for ever either.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2 * requestTimeout))
	next(huma.WithContext(c, ctx))
}

// limits says how many requests the subject has left at this process
// (draft-ietf-httpapi-ratelimit-headers).
func (a *API) limits(c huma.Context, subject string, now time.Time) {
	left, whole := a.throttle.Left(subject, now)
	window := time.Duration(a.Burst) * a.Every
	c.SetHeader("RateLimit-Policy", fmt.Sprintf(`"requests";q=%d;w=%.0f`, a.Burst, math.Ceil(window.Seconds())))
	c.SetHeader("RateLimit", fmt.Sprintf(`"requests";r=%d;t=%.0f`, left, math.Ceil(whole.Seconds())))
}

// fail answers with the problem an error amounts to.
func (a *API) fail(c huma.Context, err error) {
	var with huma.HeadersError
	problem := a.problem(c.Context(), err)
	if errors.As(problem, &with) {
		for name, values := range with.GetHeaders() {
			c.SetHeader(name, values[0])
		}
	}
	var status huma.StatusError
	errors.As(problem, &status)
	_ = huma.WriteErr(a.huma, c, status.GetStatus(), status.Error())
}

// handle is a handle of who makes the request on the tenant it names.
func (a *API) handle(ctx context.Context, tenant string) (*admin.Handle, error) {
	p, ok := auth.From(ctx)
	if !ok {
		return nil, auth.ErrSession
	}
	return a.Admin.For(p, tenant)
}

// Scope is the tenant a request is about.
type Scope struct {
	Tenant string `query:"tenant" maxLength:"63" doc:"The tenant it is about; needed by who sees more than one." example:"acme"`
}

// register adds an operation whose errors become problems.
func register[I, O any](a *API, o huma.Operation, do func(context.Context, *I) (*O, error)) {
	o.Path = Prefix + o.Path
	o.MaxBodyBytes = max(o.MaxBodyBytes, maxBody)
	if len(o.Errors) == 0 {
		o.Errors = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusTooManyRequests}
	}
	if o.Metadata[public] != nil {
		o.Security = []map[string][]string{}
	}
	huma.Register(a.huma, o, func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return out, nil
	})
}

// on runs do with the handle on the tenant a request names.
func on[T any](ctx context.Context, a *API, s Scope, do func(*admin.Handle) (T, error)) (T, error) {
	h, err := a.handle(ctx, s.Tenant)
	if err != nil {
		var none T
		return none, err
	}
	return do(h)
}

// answer is a response that is only a body.
type answer[T any] struct{ Body T }

// give makes an answer of what a handle returned.
func give[T any](v T, err error) (*answer[T], error) {
	if err != nil {
		return nil, err
	}
	return &answer[T]{v}, nil
}
