package auth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// Middleware finds out who makes a request and hands it on with the Principal in its
// context (From); a request of nobody goes on without. Of an Authorization header
// only a good token counts: with a bad one the answer is 401, whatever the cookie.
// A session's cookie is renewed as it is used.
func (s *Service) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := s.authenticate(w, r)
		switch {
		case errors.Is(err, ErrCredentials), errors.Is(err, ErrThrottled):
			w.Header().Set("WWW-Authenticate", `Bearer realm="cdds", error="invalid_token"`)
			refuse(w, http.StatusUnauthorized, "the API token is unknown, expired or revoked")
			return
		case err == nil:
			r = r.WithContext(With(r.Context(), p))
		}
		next.ServeHTTP(w, r)
	})
}

// Identify returns who makes a request, as of now. What goes on for long asks again: a
// session or a token may have ended since.
func (s *Service) Identify(r *http.Request) (Principal, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return Principal{}, ErrCredentials
		}
		return s.tokenOf(r, strings.TrimSpace(token))
	}
	return s.sessionOf(r)
}

// authenticate identifies and keeps a session alive that somebody uses: a page that
// refreshes itself does not count as use.
func (s *Service) authenticate(w http.ResponseWriter, r *http.Request) (Principal, error) {
	p, err := s.Identify(r)
	if err != nil || p.Via == ViaToken || r.Header.Get("HX-Request") != "" {
		return p, err
	}
	if now := s.Now(); now.Sub(p.session.Seen) > resealAfter {
		p.session.Seen = now
		return p, s.give(w, p.session)
	}
	return p, nil
}

// Protect refuses what another site makes a browser send (cross-site request
// forgery), by Sec-Fetch-Site and Origin. Requests of programs, which send neither,
// pass: they have no cookie that a browser would add.
func Protect(next http.Handler) http.Handler {
	c := http.NewCrossOriginProtection()
	c.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "another site sent this request; open CDDS itself and try again")
	}))
	return c.Handler(next)
}

// refuse answers with problem details (RFC 9457).
func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}
