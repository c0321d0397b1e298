package warehouse

import (
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"cdds/pipeline/tables"
	"cdds/schemas"
)

// maxSimilar is how many ids Similar suggests for each, and maxSimilarTo for how many it
// looks.
const (
	maxSimilar   = 5
	maxSimilarTo = 100
)

// Similar returns ids of what is stored that differ from one of the subjects by letter case
// or blanks only, for the first hundred subjects. It reads all ids of the tenant, once: for
// when nothing was found.
func (w *Warehouse) Similar(ctx context.Context, tenantID string, subjects []schemas.Subject) (map[schemas.Subject][]string, error) {
	contacts, interactions := idsOf(subjects[:min(len(subjects), maxSimilarTo)])
	all := map[schemas.Subject][]string{}
	for _, of := range []struct {
		kind, column string
		ids, from    []string
	}{
		{schemas.ErasedContact, "contact_id", contacts, []string{"contacts", "interactions"}},
		{schemas.ErasedInteraction, "interaction_id", interactions, []string{"interactions"}},
	} {
		if len(of.ids) == 0 {
			continue
		}
		for _, from := range of.from {
			err := w.db.Each(ctx, "look for similar ids", fmt.Sprintf(`
SELECT DISTINCT asked, stored FROM (SELECT %[1]s AS asked, %[2]s AS alike) AS a
JOIN (SELECT %[3]s AS stored, %[4]s AS alike FROM %[5]s WHERE tenant_id = {tenant:String}) AS s USING alike
WHERE asked != stored ORDER BY asked, stored LIMIT {limit:UInt32} BY asked`,
				listed(of.ids), plain("asked"), of.column, plain(of.column), from),
				[]any{tables.Named("tenant", tenantID), tables.Named("limit", uint32(maxSimilar))},
				func(rows driver.Rows) error {
					s := schemas.Subject{Kind: of.kind}
					var stored string
					if err := rows.Scan(&s.ID, &stored); err != nil {
						return err
					}
					if !slices.Contains(all[s], stored) && len(all[s]) < maxSimilar {
						all[s] = append(all[s], stored)
					}
					return nil
				})
			if err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// plain is an id without what Similar disregards.
func plain(id string) string {
	return `lowerUTF8(replaceRegexpAll(` + id + `, '[\\s\\p{Z}]+', ''))`
}
