package ledger_test

import (
	"slices"
	"testing"

	"cdds/schemas"
)

func TestExportsThatHaveMoreEventsThanTheirFoldAreFound(t *testing.T) {
	l := open(t)
	const tenant = "unfolded"
	for export, folded := range map[string]int{"whole": 3, "behind": 2, "never": 0, "ahead": 5} {
		storeParts(t, l, tenant, export, 3)
		storeParts(t, l, tenant, export, 2) // once more: they are the same events
		if folded > 0 {
			check(t, l.SaveExports(t.Context(), []schemas.Export{{TenantID: tenant, ExportID: export, Events: 1}}))
			check(t, l.SaveExports(t.Context(), []schemas.Export{{TenantID: tenant, ExportID: export, Events: folded}}))
		}
	}
	find := func(in string, limit int) (found []string, all int) {
		check(t, l.Unfolded(t.Context(), in, limit, func(of, export string) error {
			if all++; of == tenant {
				found = append(found, export)
			}
			return nil
		}))
		slices.Sort(found)
		return found, all
	}
	for _, in := range []string{"", tenant} {
		if found, _ := find(in, 1_000_000); !slices.Equal(found, []string{"behind", "never"}) {
			t.Errorf("in %q %q are not folded, want those that are behind and never were", in, found)
		}
	}
	if _, all := find("others", 1_000_000); all != 0 {
		t.Errorf("of a tenant that has no export %d are not folded", all)
	}
	if _, all := find("", 1); all != 1 {
		t.Errorf("at most one was asked for, and %d came", all)
	}
}
