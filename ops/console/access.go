package console

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"cdds/schemas"
)

func (c *Console) access() {
	c.open("GET /access", func(q *request) error { return c.accessPage(q, accessData{}) })
	c.open("POST /access/users", func(q *request) error {
		get := func(name string) string { return strings.TrimSpace(q.r.PostFormValue(name)) }
		password, err := q.CreateUser(q.r.Context(), schemas.User{Name: get("name"), DisplayName: get("display_name"), TenantID: q.Tenant(), Role: get("role")})
		if bad := problemsOf(err); bad != nil {
			return c.accessPage(q, accessData{}, bad...)
		}
		if err != nil {
			return err
		}
		return c.accessPage(q, accessData{Secret: password, Of: "The one-time password of " + get("name") + ", for one sign-in within three days:"})
	})
	c.open("POST /access/users/{name}/password", func(q *request) error {
		name := q.r.PathValue("name")
		password, err := q.ResetPassword(q.r.Context(), name)
		if err != nil {
			return err
		}
		return c.accessPage(q, accessData{Secret: password, Of: "The new one-time password of " + name + ", for one sign-in within three days:"})
	})
	c.open("POST /access/users/{name}/role", func(q *request) error {
		name := q.r.PathValue("name")
		u, _, err := q.User(q.r.Context(), name)
		if err != nil {
			return err
		}
		err = q.ChangeUser(q.r.Context(), name, u.DisplayName, q.r.PostFormValue("role"))
		if bad := problemsOf(err); bad != nil {
			return c.accessPage(q, accessData{}, bad...)
		}
		if err != nil {
			return err
		}
		return q.goTo("/access", "user.changed")
	})
	for action, do := range map[string]func(*request, string) error{
		"disable": func(q *request, name string) error { return q.DisableUser(q.r.Context(), name) },
		"enable":  func(q *request, name string) error { return q.EnableUser(q.r.Context(), name) },
	} {
		c.open("POST /access/users/{name}/"+action, func(q *request) error {
			if err := do(q, q.r.PathValue("name")); err != nil {
				return err
			}
			return q.goTo("/access", "user."+action+"d")
		})
	}
	c.open("POST /access/sessions/{id}/end", func(q *request) error {
		if err := q.EndSession(q.r.Context(), q.r.PathValue("id")); err != nil {
			return err
		}
		return q.goTo("/access", "session.ended")
	})
	c.open("POST /access/users/{name}/delete", func(q *request) error {
		if err := q.DeleteUser(q.r.Context(), q.r.PathValue("name")); err != nil {
			return err
		}
		return q.goTo("/access", "user.deleted")
	})
	c.open("POST /access/tokens", func(q *request) error {
		days, err := strconv.Atoi(q.r.PostFormValue("days"))
		if err != nil || days < 1 {
			return c.accessPage(q, accessData{}, "days: give how many days the token serves, at least 1")
		}
		t, secret, err := q.CreateToken(q.r.Context(), schemas.APIToken{
			Name: strings.TrimSpace(q.r.PostFormValue("name")), TenantID: q.Tenant(), Role: q.r.PostFormValue("role"),
			ExpiresAt: schemas.TimeOf(c.Now().Add(time.Duration(days) * 24 * time.Hour)),
		})
		if bad := problemsOf(err); bad != nil {
			return c.accessPage(q, accessData{}, bad...)
		}
		if err != nil {
			return err
		}
		return c.accessPage(q, accessData{Secret: secret, Of: "The token " + t.Name + ", shown this once:"})
	})
	c.open("POST /access/tokens/{id}/revoke", func(q *request) error {
		if err := q.RevokeToken(q.r.Context(), q.r.PathValue("id")); err != nil {
			return err
		}
		return q.goTo("/access", "token.revoked")
	})
}

// accessData are the tenant's users and tokens.
type accessData struct {
	Users    []schemas.User
	Tokens   []schemas.APIToken
	Sessions []schemas.Session
	// UserPage, TokenPage and SessionPage are which part of each list is shown.
	UserPage, TokenPage, SessionPage Numbered
	Roles                            []string
	// Secret is what was made a moment ago and is shown once; Of says what it is.
	Secret, Of string
}

func (c *Console) accessPage(q *request, d accessData, problems ...string) error {
	var err error
	if d.Users, err = q.Handle.Users(q.r.Context()); err != nil {
		return err
	}
	if d.Tokens, err = q.Handle.Tokens(q.r.Context()); err != nil {
		return err
	}
	if d.Sessions, err = q.Handle.Sessions(q.r.Context()); err != nil {
		return err
	}
	query := q.r.URL.Query()
	d.Users, d.UserPage = numberedBy(query, "users", d.Users)
	d.Tokens, d.TokenPage = numberedBy(query, "tokens", d.Tokens)
	d.Sessions, d.SessionPage = numberedBy(query, "sessions", d.Sessions)
	d.Roles = schemas.Roles()
	if q.Tenant() != schemas.AllTenants { // an operator belongs to all tenants
		d.Roles = slices.DeleteFunc(d.Roles, func(role string) bool { return role == schemas.RoleOperator })
	}
	return c.show(q, "access", view{Title: "Access", At: "/access", Problems: problems, Data: d})
}
