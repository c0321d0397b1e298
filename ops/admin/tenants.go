package admin

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"cdds/ops/auth"
	"cdds/schemas"
)

// TenantPage says which tenants to list.
type TenantPage struct {
	// Containing is a text that their ids contain, whatever its case; empty is any.
	Containing string
	// After is the last id of the page before; empty begins.
	After string
	// Limit is how many at most.
	Limit int
}

// Tenants lists a page of the tenants that the principal sees, in order: those that have
// interactions, contacts or exports, and those that have a job, a certificate or a user and
// wait for their first. more says that there is another page.
func (s *Service) Tenants(ctx context.Context, p auth.Principal, page TenantPage) (tenants []string, more bool, err error) {
	if !p.May(auth.Observe) {
		return nil, false, auth.ErrForbidden
	}
	page.Containing = strings.ToLower(strings.TrimSpace(page.Containing)) // as ids are
	var all []string
	add := func(tenant string) {
		if tenant != schemas.AllTenants && tenant > page.After && strings.Contains(tenant, page.Containing) {
			all = append(all, tenant)
		}
	}
	if p.Tenant != schemas.AllTenants {
		add(p.Tenant)
		return all, false, nil
	}
	var stored, exported []string
	g, asking := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		stored, err = s.Rows.Tenants(asking, page.Containing, page.After, page.Limit+1)
		return err
	})
	g.Go(func() (err error) {
		exported, err = s.History.Tenants(asking, page.Containing, page.After, page.Limit+1)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, false, err
	}
	for _, tenant := range s.Definitions.Tenants() {
		add(tenant)
	}
	for _, u := range s.Directory.Users(schemas.AllTenants) {
		add(u.TenantID)
	}
	all = append(append(all, stored...), exported...)
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), page.Limit)], len(all) > page.Limit, nil
}
