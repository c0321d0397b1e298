package console

import (
	"errors"
	"net/http"
	"strings"

	"cdds/ops/auth"
)

// Paths of who is not signed in, or may do nothing else yet.
const (
	signInPath   = "/sign-in"
	signOutPath  = "/sign-out"
	passwordPath = "/password"
)

func (c *Console) signIn() {
	c.mux.HandleFunc("GET "+Prefix+signInPath, func(w http.ResponseWriter, r *http.Request) {
		if _, ok := auth.From(r.Context()); ok {
			http.Redirect(w, r, Prefix+"/", http.StatusSeeOther)
			return
		}
		c.signInPage(w, r, http.StatusOK)
	})
	c.mux.HandleFunc("POST "+Prefix+signInPath, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil { // half a form is no attempt
			c.signInPage(w, r, http.StatusBadRequest, "The form did not arrive in full. Try again.")
			return
		}
		p, err := c.Auth.SignIn(w, r, r.PostFormValue("name"), r.PostFormValue("password"))
		switch {
		case errors.Is(err, auth.ErrThrottled):
			c.signInPage(w, r, http.StatusTooManyRequests, err.Error())
		case errors.Is(err, auth.ErrCredentials):
			c.signInPage(w, r, http.StatusUnauthorized, asSentence(auth.Refusal(err)))
		case err != nil:
			c.fail(w, r, err)
		case p.MustChangePassword:
			http.Redirect(w, r, Prefix+passwordPath, http.StatusSeeOther)
		default:
			http.Redirect(w, r, local(r.PostFormValue("return")), http.StatusSeeOther) //nolint:gosec // local keeps it on this site
		}
	})
	c.mux.HandleFunc("GET "+auth.StartPath, c.through(c.Auth.StartOIDC))
	c.mux.HandleFunc("GET "+auth.CallbackPath, c.through(c.Auth.FinishOIDC))
	c.open("GET "+passwordPath, func(q *request) error { return c.passwordPage(q) })
	c.open("POST "+passwordPath, func(q *request) error {
		if q.r.PostFormValue("new") != q.r.PostFormValue("again") {
			return c.passwordPage(q, "The two new passwords differ.")
		}
		err := c.Auth.ChangePassword(q.w, q.r, q.r.PostFormValue("old"), q.r.PostFormValue("new"))
		switch problems := problemsOf(err); {
		case errors.Is(err, auth.ErrCredentials):
			return c.passwordPage(q, "The old password is not right.")
		case problems != nil:
			return c.passwordPage(q, problems...)
		case err != nil:
			return err
		}
		return q.goTo("/", "password")
	})
	c.open("POST "+signOutPath, func(q *request) error {
		end := c.Auth.SignOut
		if q.r.PostFormValue("everywhere") != "" {
			end = c.Auth.SignOutEverywhere
		}
		if err := end(q.w, q.r); err != nil {
			return err
		}
		return q.goTo(signInPath, "")
	})
}

// through is a step of signing in at a provider; who is refused there is back where it
// began, with the reason.
func (c *Console) through(step func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := step(w, r)
		if err == nil {
			return
		}
		status, problem := http.StatusForbidden, "Signing in at your organisation was not finished. Try again."
		var reason *auth.GrantError
		switch {
		case errors.As(err, &reason):
			problem = "You are not signed in: " + reason.Error() + "."
		case errors.Is(err, auth.ErrGrant):
			problem = "You are not signed in: " + auth.ErrGrant.Error() + "."
		case errors.Is(err, auth.ErrForbidden): // who has a role is never refused here
			status, problem = http.StatusNotFound, "No organisation to sign in with is set up here."
		case errors.Is(err, auth.ErrThrottled):
			status, problem = http.StatusTooManyRequests, err.Error()
		case errors.Is(err, auth.ErrCredentials), errors.Is(err, auth.ErrSession):
		default:
			status, problem = http.StatusServiceUnavailable, "Your organisation's sign-in cannot be reached now. Try again later."
		}
		c.Logger.Warn("a sign-in through the provider was refused", "error", err)
		c.signInPage(w, r, status, problem)
	}
}

// asSentence begins with a capital letter and ends with a full stop.
func asSentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// signInForm is what the page needs to bring somebody back to where they were.
type signInForm struct{ Return, Name, OIDC string }

func (c *Console) signInPage(w http.ResponseWriter, r *http.Request, status int, problems ...string) {
	f := signInForm{Return: r.FormValue("return"), Name: r.PostFormValue("name")}
	if c.Auth.OIDC != nil {
		f.OIDC = auth.StartPath + "?return=" + queryEscape(local(f.Return))
	}
	if err := c.render(w, "sign-in", status, view{Title: "Sign in", Problems: problems, Data: f}); err != nil {
		c.fail(w, r, err)
	}
}

func (c *Console) passwordPage(q *request, problems ...string) error {
	return c.show(q, "password", view{Title: "Choose a password", Problems: problems})
}

// local is a path of the console to go to; anything else is its first page.
func local(to string) string {
	if strings.HasPrefix(to, Prefix+"/") && !strings.ContainsAny(to, "\\\r\n") && !strings.Contains(to, "//") {
		return to
	}
	return Prefix + "/"
}
