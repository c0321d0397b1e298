package console

import (
	"net/http"
	"net/url"

	"cdds/ops/admin"
	"cdds/ops/auth"
	"cdds/schemas"
)

const tenantCookie = "cdds_tenant"

// several says whether somebody sees more tenants than one.
func several(p auth.Principal) bool { return p.Tenant == schemas.AllTenants && p.May(auth.Observe) }

// of is the request on the tenant that was chosen; who sees several and chose none
// looks at the first.
func (c *Console) of(w http.ResponseWriter, r *http.Request, p auth.Principal) (*request, error) {
	q := &request{w: w, r: r, who: p, zone: zoneOf(r)}
	tenant := p.Tenant
	if several(p) {
		if chosen, err := r.Cookie(tenantCookie); err == nil && p.Sees(chosen.Value) {
			tenant = chosen.Value
		} else {
			first, _, err := c.Admin.Tenants(r.Context(), p, admin.TenantPage{Limit: 1})
			if err != nil {
				return nil, err
			}
			if len(first) > 0 {
				tenant = first[0]
			}
		}
	}
	var err error
	q.Handle, err = c.Admin.For(p, tenant)
	return q, err
}

// tenants are where somebody of several looks for one and chooses it.
func (c *Console) tenants() {
	c.open("GET /tenants", func(q *request) error { return c.chooseTenant(q, "") })
	c.open("POST /tenant", func(q *request) error {
		tenant := q.r.PostFormValue("tenant")
		if !q.who.Sees(tenant) {
			return errBad
		}
		http.SetCookie(q.w, &http.Cookie{Name: tenantCookie, Value: tenant, Path: Prefix, HttpOnly: true, Secure: c.Secure, SameSite: http.SameSiteLaxMode}) //nolint:gosec // Secure but on loopback without TLS
		http.Redirect(q.w, q.r, local(q.r.PostFormValue("return")), http.StatusSeeOther)                                                                     //nolint:gosec // below Prefix
		return nil
	})
}

// tenantsData is a page of tenants.
type tenantsData struct {
	Listing
	Search  string
	Tenants []string
	// All says that all tenants together can be chosen.
	All bool
	// New is a tenant that has nothing yet, which the search names.
	New string
	// Return is the page that needs one tenant, to go to once it is chosen; empty if none does.
	Return string
}

// pickerRows is how many tenants the menu at the head of a page offers at once.
const pickerRows = 8

// chooseTenant lists tenants to choose from. A page that needs one is to come back to.
func (c *Console) chooseTenant(q *request, back string) error {
	query := url.Values{}
	if back == "" {
		query = q.r.URL.Query()
		if back = query.Get("return"); back != "" {
			back = local(back)
		}
	}
	d := tenantsData{Search: query.Get("q"), Return: back}
	if back != "" {
		query.Set("return", back)
	}
	d.query = query
	page := admin.TenantPage{Containing: d.Search, After: query.Get("after_id"), Limit: pageRows}
	if q.r.Header.Get("HX-Request") != "" {
		page.Limit = pickerRows
	}
	var more bool
	var err error
	if d.Tenants, more, err = c.Admin.Tenants(q.r.Context(), q.who, page); err != nil {
		return err
	}
	if more {
		d.More = Prefix + "/tenants" + d.with("after_id", d.Tenants[len(d.Tenants)-1])
	}
	d.All = several(q.who) && d.Search == "" && d.First() && back == ""
	if schemas.IsTenant(d.Search) && d.First() && q.who.Sees(d.Search) {
		known, err := c.Admin.HasTenant(q.r.Context(), q.who, d.Search)
		if err != nil {
			return err
		}
		if !known {
			d.New = d.Search
		}
	}
	return c.show(q, "tenants", view{Title: "Choose a tenant", Data: d})
}

// Begin is the query of the first page.
func (d tenantsData) Begin() string { return Prefix + "/tenants" + d.Listing.Begin() }
