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
	// Prefix is a text that they begin with; empty is any.
	Prefix string
	// After is the last id of the page before; empty begins.
	After string
	// Limit is how many at most.
	Limit int
}

// HasTenant reports whether the principal sees a tenant that Tenants would list.
func (s *Service) HasTenant(ctx context.Context, p auth.Principal, tenant string) (bool, error) {
	first, _, err := s.Tenants(ctx, p, TenantPage{Prefix: tenant, Limit: 1})
	return len(first) > 0 && first[0] == tenant, err
}

// Tenants lists a page of the tenants that the principal sees, in order: those that have
// interactions, contacts or exports, and those that have a job, a certificate or a user and
// wait for their first. more says that there is another page.
func (s *Service) Tenants(ctx context.Context, p auth.Principal, page TenantPage) (tenants []string, more bool, err error) {
	if !p.May(auth.Observe) {
		return nil, false, auth.ErrForbidden
	}
	page.Containing = strings.ToLower(strings.TrimSpace(page.Containing)) // as ids are
	page.Prefix = strings.ToLower(strings.TrimSpace(page.Prefix))
	if page.Prefix != "" { // ids are in order, so those that begin with it follow each other
		page.Containing, page.After = page.Prefix, max(page.After, schemas.BeforeTenants(page.Prefix))
	}
	var all []string
	add := func(tenant string) {
		if tenant != schemas.AllTenants && tenant > page.After && strings.Contains(tenant, page.Containing) && strings.HasPrefix(tenant, page.Prefix) {
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
	all = slices.DeleteFunc(all, func(tenant string) bool { return !strings.HasPrefix(tenant, page.Prefix) })
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), page.Limit)], len(all) > page.Limit, nil
}
