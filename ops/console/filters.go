package console

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"cdds/schemas"
)

// savedFilter is a filter of History under a name. Browsers keep them, in a cookie: they need
// no JavaScript, and end with the browser's profile.
type savedFilter struct {
	Name  string `json:"n"`
	Query string `json:"q"`
}

const (
	filtersCookie = "cdds_filters"
	// maxFilters and the lengths keep the cookie under the 4 KiB that browsers store.
	maxFilters     = 10
	maxFilterName  = 40
	maxFilterQuery = 200
)

// savedFilters are those that a browser keeps; none if it keeps something else.
func savedFilters(r *http.Request) (all []savedFilter) {
	kept, err := r.Cookie(filtersCookie)
	if err != nil {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(kept.Value)
	if err != nil || schemas.Read(b, &all) != nil || len(all) > maxFilters {
		return nil
	}
	return slices.DeleteFunc(all, func(f savedFilter) bool { return f.Name == "" || !strings.HasPrefix(f.Query, "?") })
}

// saveFilter keeps a filter under a name, in place of one of that name, or removes it.
func (c *Console) saveFilter(q *request) error {
	name, query := strings.TrimSpace(q.r.PostFormValue("name")), q.r.PostFormValue("query")
	values, err := url.ParseQuery(strings.TrimPrefix(query, "?"))
	if err != nil || name == "" || len(name) > maxFilterName {
		return errBad
	}
	if len(query) > maxFilterQuery {
		return &schemas.InvalidError{Problems: []string{"filter: it is too long to save; shorten the search, or bookmark the page"}}
	}
	all := slices.DeleteFunc(savedFilters(q.r), func(f savedFilter) bool { return f.Name == name })
	if q.r.PostFormValue("remove") == "" {
		all = append(all, savedFilter{name, "?" + values.Encode()})
	}
	b, err := json.Marshal(all[max(0, len(all)-maxFilters):])
	if err != nil {
		return err
	}
	http.SetCookie(q.w, &http.Cookie{ //nolint:gosec // G124: Secure where people come by https
		Name: filtersCookie, Value: base64.RawURLEncoding.EncodeToString(b), Path: Prefix, MaxAge: int((365 * 24 * time.Hour).Seconds()),
		HttpOnly: true, Secure: c.Secure, SameSite: http.SameSiteLaxMode,
	})
	http.Redirect(q.w, q.r, Prefix+"/history?"+values.Encode(), http.StatusSeeOther) //nolint:gosec // below Prefix
	return nil
}
