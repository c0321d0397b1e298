// Package console is the web console: pages rendered on the server, readable with
// JavaScript off, kept up to date with htmx where it is on. There is no build step and
// nothing comes from elsewhere: templates, style sheet and script are embedded.
//
// It translates between pages and ops/admin, which decides everything; it keeps no
// state but which tenant somebody of several looks at, in a cookie. A form is posted
// and answered with a redirect to the page that shows what came of it.
package console

import (
	"context"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"cdds/ops/admin"
	"cdds/ops/auth"
)

//go:embed static
var static embed.FS

// Prefix is where the console is.
const Prefix = "/console"

// Options of a Console.
type Options struct {
	Admin *admin.Service
	Auth  *auth.Service
	// URL is how people reach the service, without a slash at its end; it stands in the
	// scripts they download.
	URL string
	// API is where the HTTP API is below URL, such as /api/v1.
	API string
	// Secure says that people come by https.
	Secure bool
	Logger *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Console serves the pages. It is safe for concurrent use and starts nothing.
type Console struct {
	Options
	mux   *http.ServeMux
	pages *pages
}

// New returns a Console.
func New(o Options) *Console {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Console{Options: o, mux: http.NewServeMux(), pages: &pages{now: o.Now, in: map[string]map[string]*template.Template{}}}
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic("console: " + err.Error()) // only a wrong name fails
	}
	c.mux.Handle("GET "+Prefix+"/static/", http.StripPrefix(Prefix+"/static/", cached(http.FileServerFS(files))))
	c.signIn()
	c.open("GET /{$}", c.overview)
	c.jobs()
	c.history()
	c.exportForms()
	c.privacy()
	c.holds()
	c.artifacts()
	c.certificates()
	c.tenants()
	c.open("GET /audit", c.audit)
	c.open("GET /health", c.health)
	c.open("GET /account", c.account)
	c.open("GET /account/write-off", c.writeOffForm)
	c.open("POST /account/write-off", c.writeOff)
	c.open("GET /letters", c.letters)
	c.open("GET /letters/{topic}/{partition}/{offset}", func(q *request) error { return c.letter(q) })
	c.open("POST /letters/{topic}/{partition}/{offset}", c.publishLetter)
	c.webhooks()
	c.access()
	c.mux.HandleFunc(Prefix+"/", func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, r, admin.ErrNotFound)
	})
	return c
}

// pageTimeout bounds what a page may take; downloads have no end of their own.
const pageTimeout = 20 * time.Second

// Handler serves Prefix. Around it belong auth.Protect and Auth.Middleware.
func (c *Console) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		if h.Get("Cache-Control") == "" {
			h.Set("Cache-Control", "no-store")
		}
		c.mux.ServeHTTP(w, r)
	})
}

// cached lets browsers keep what only a new binary changes, but ask for it.
func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private, max-age=3600")
		next.ServeHTTP(w, r)
	})
}

// request is one request of somebody who is signed in, on one tenant.
type request struct {
	*admin.Handle
	w   http.ResponseWriter
	r   *http.Request
	who auth.Principal
	// zone is the reader's.
	zone *time.Location
}

// open serves a page to who is signed in, and sends others to sign in first.
func (c *Console) open(pattern string, page func(*request) error) {
	c.stream(pattern, func(q *request) error {
		ctx, cancel := context.WithTimeout(q.r.Context(), pageTimeout)
		defer cancel()
		q.r = q.r.WithContext(ctx)
		return page(q)
	})
}

// stream is open for what may take as long as it takes.
func (c *Console) stream(pattern string, page func(*request) error) {
	method, path := pattern[:len(pattern)-len(pathOf(pattern))], pathOf(pattern)
	c.mux.HandleFunc(method+Prefix+path, func(w http.ResponseWriter, r *http.Request) {
		p, ok := auth.From(r.Context())
		if !ok {
			c.toSignIn(w, r)
			return
		}
		if p.MustChangePassword && path != passwordPath && path != signOutPath {
			http.Redirect(w, r, Prefix+passwordPath, http.StatusSeeOther)
			return
		}
		q, err := c.of(w, r, p)
		if err == nil {
			err = page(q)
		}
		if errors.Is(err, admin.ErrTenant) {
			q.r = r // the page's own has ended with it
			err = c.chooseTenant(q, local(r.URL.RequestURI()))
		}
		if err != nil {
			c.fail(w, r, err)
		}
	})
}

func pathOf(pattern string) string {
	for i := range pattern {
		if pattern[i] == '/' {
			return pattern[i:]
		}
	}
	return ""
}

// zoneCookie is set by the browser: the server cannot know where somebody is.
const zoneCookie = "cdds_zone"

// zoneOf is the time zone that the browser says it is in; UTC if it does not.
func zoneOf(r *http.Request) *time.Location {
	said, err := r.Cookie(zoneCookie)
	if err != nil {
		return time.UTC
	}
	name, err := url.PathUnescape(said.Value)
	if err != nil || name == "" || name == "Local" || len(name) > 64 {
		return time.UTC
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return zone
}

// toSignIn remembers where somebody wanted to go.
func (c *Console) toSignIn(w http.ResponseWriter, r *http.Request) {
	to := Prefix + signInPath
	if r.Method == http.MethodGet && r.URL.Path != Prefix+"/" {
		to += "?return=" + queryEscape(r.URL.RequestURI())
	}
	if r.Header.Get("HX-Request") != "" { // a page kept up to date after its session ended
		w.Header().Set("HX-Redirect", to)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.Redirect(w, r, to, http.StatusSeeOther) //nolint:gosec // below Prefix; the way back is escaped
}

// errBad says that a form cannot have come from our pages.
var errBad = errors.New("the form is not complete")
