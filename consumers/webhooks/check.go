package webhooks

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"cdds/schemas"
)

var (
	errNoSecret = errors.New("there is no secret to sign with; set webhooks.secret_file")
	errNotHTTPS = errors.New("its URL must be https; allow http with webhooks.allow_private where it is meant")
)

// lookFor bounds how long Check looks a name up.
const lookFor = 2 * time.Second

// Check finds, when a webhook is defined, what would have every delivery given up: it is
// judged by what delivers it. The error is a *schemas.InvalidError. A name that cannot be
// looked up now may be known when a run ends.
func Check(ctx context.Context, w *schemas.Webhook, secret []byte, allowPrivate bool) error {
	if w == nil {
		return nil
	}
	u, err := targetOf(w.URL, secret, allowPrivate)
	if err == nil && !allowPrivate {
		err = leadsOutside(ctx, u.Hostname())
	}
	if err != nil {
		return &schemas.InvalidError{Problems: []string{"webhook.url: " + err.Error()}}
	}
	return nil
}

// targetOf is where a delivery goes; its error is why none ever can.
func targetOf(address string, secret []byte, allowPrivate bool) (*url.URL, error) {
	if len(secret) == 0 {
		return nil, errNoSecret
	}
	r, err := http.NewRequest(http.MethodPost, address, nil)
	if err != nil {
		return nil, errors.New("it is not a URL that requests can be sent to")
	}
	u := r.URL
	if u.Scheme != "https" && !allowPrivate {
		return nil, errNotHTTPS
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || port == 0) {
		return nil, errors.New("its port is not 1 to 65535")
	}
	if to, err := netip.ParseAddr(u.Hostname()); err == nil && !allowPrivate && !public(to) {
		return nil, errNotPublic
	}
	return u, nil
}

// leadsOutside is errNotPublic if a name is known and leads to no public address.
func leadsOutside(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil // it may be known later
	}
	for _, a := range all {
		if public(a) {
			return nil
		}
	}
	return errNotPublic
}
