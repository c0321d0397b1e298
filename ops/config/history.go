package config

import (
	"maps"
	"slices"
	"time"

	"cdds/schemas"
)

// History says how long rows are kept. What is older is removed by the retention role, a
// day later; exports leave it out at once, and say so.
type History struct {
	// KeepInteractions is how long interactions are kept, from when they started; 0 keeps
	// all. KeepInteractionsByTenant overrides it; in the environment it is acme:730d.
	KeepInteractions         time.Duration            `yaml:"keep_interactions" env:"KEEP_INTERACTIONS"`
	KeepInteractionsByTenant map[string]time.Duration `yaml:"keep_interactions_by_tenant" env:"KEEP_INTERACTIONS_BY_TENANT"`
	// KeepContacts is how long contacts are kept, from when they were created; 0 keeps all.
	KeepContacts         time.Duration            `yaml:"keep_contacts" env:"KEEP_CONTACTS"`
	KeepContactsByTenant map[string]time.Duration `yaml:"keep_contacts_by_tenant" env:"KEEP_CONTACTS_BY_TENANT"`
	// AgeEvery is how often rows that are due are looked for.
	AgeEvery time.Duration `yaml:"age_every" env:"AGE_EVERY"`
}

// minKeep is the shortest time that rows are kept: a slip must not remove everything.
const minKeep = 24 * time.Hour

// of is the policy for an entity: for all tenants, and for some.
func (h History) of(entity string) (time.Duration, map[string]time.Duration) {
	if entity == "contact" {
		return h.KeepContacts, h.KeepContactsByTenant
	}
	return h.KeepInteractions, h.KeepInteractionsByTenant
}

// Keep is how long rows of a tenant are kept; 0 keeps all.
func (h History) Keep(tenantID, entity string) time.Duration {
	keep, byTenant := h.of(entity)
	if own, ok := byTenant[tenantID]; ok {
		return own
	}
	return keep
}

// Least is the shortest time that rows of any tenant are kept; 0 if all keep all.
func (h History) Least(entity string) time.Duration {
	least, byTenant := h.of(entity)
	for _, keep := range byTenant {
		if keep > 0 && (least == 0 || keep < least) {
			least = keep
		}
	}
	return least
}

func (h History) check(add func(format string, args ...any)) {
	for name, keep := range map[string]time.Duration{"history.keep_interactions": h.KeepInteractions, "history.keep_contacts": h.KeepContacts} {
		if keep != 0 && keep < minKeep {
			add("%s must be 0, which keeps all, or at least 1d", name)
		}
	}
	for name, byTenant := range map[string]map[string]time.Duration{"history.keep_interactions_by_tenant": h.KeepInteractionsByTenant, "history.keep_contacts_by_tenant": h.KeepContactsByTenant} {
		checkTenants(name, byTenant, add)
		for tenant, keep := range byTenant {
			if keep != 0 && keep < minKeep {
				add("%s: the value of %s must be 0, which keeps all, or at least 1d", name, tenant)
			}
		}
	}
	if h.AgeEvery <= 0 {
		add("history.age_every must be positive")
	}
}

// checkTenants refuses names that no tenant can have: their settings would never count.
func checkTenants[T any](name string, byTenant map[string]T, add func(format string, args ...any)) {
	for _, tenant := range slices.Sorted(maps.Keys(byTenant)) {
		if !schemas.IsTenant(tenant) {
			add("%s: %q is not a tenant id: 1 to 63 of a-z 0-9 . _ -", name, tenant)
		}
	}
}
