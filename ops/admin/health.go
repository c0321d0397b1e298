package admin

import (
	"cdds/ops/auth"
	"cdds/schemas"
)

// Finding is what one look at a service or a role found.
type Finding struct {
	// Check names the service, or the role after "role ".
	Check   string
	Healthy bool
	// Detail says how it does, or what is wrong.
	Detail string
	// Role is the role that no process runs; empty if that is not what is wrong.
	Role string
}

// HealthReport is what the last look at all services and roles found, and when it was; the
// zero time before the first look. It is for people of all tenants: it names what the
// operator runs.
func (h *Handle) HealthReport() ([]Finding, schemas.Time, error) {
	if err := h.reads(auth.Observe); err != nil {
		return nil, schemas.Time{}, err
	}
	if h.who.Tenant != schemas.AllTenants {
		return nil, schemas.Time{}, auth.ErrForbidden
	}
	all, at := h.Health()
	return all, at, nil
}

// Failing counts the checks that the last look at services and roles found to fail, of how
// many. It is for administrators, also of one tenant.
func (h *Handle) Failing() (failing, of int, err error) {
	if err := h.reads(auth.Manage); err != nil || h.Health == nil {
		return 0, 0, err
	}
	all, _ := h.Health()
	for _, f := range all {
		if !f.Healthy {
			failing++
		}
	}
	return failing, len(all), nil
}
