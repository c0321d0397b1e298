package tables

import (
	"context"
	"embed"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

//go:embed sql/*.sql
var files embed.FS

// Steps is the table in which Create records the steps it took.
func Steps() Schema {
	return Schema{Files: files, ShardedBy: map[string]string{"schema_steps": "step"}}
}

// Version is the number of the last step of schemas, such as 0043.
func Version(all ...Schema) string {
	number, _, _ := strings.Cut(slices.Max(stepsOf(all)), "_")
	return number
}

func stepsOf(all []Schema) (names []string) {
	for _, schema := range all {
		for _, s := range schema.Statements() {
			names = append(names, s.Name)
		}
	}
	return names
}

// Pending returns the steps that Create would take, in order: those not recorded as taken,
// or all of them if a table is missing. A newer release may have taken more steps; each
// only adds, so they do no harm here.
func (db *Database) Pending(ctx context.Context, all ...Schema) ([]string, error) {
	all = slices.Concat([]Schema{Steps()}, all)
	missing, err := db.Missing(ctx, all...)
	if err != nil {
		return nil, err
	}
	pending := map[string]bool{}
	for _, name := range stepsOf(all) {
		pending[name] = true
	}
	if len(missing) == 0 {
		taken, err := db.Texts(ctx, "read which steps of the schema were taken", "SELECT DISTINCT step FROM schema_steps")
		if err != nil {
			return nil, err
		}
		for _, name := range taken {
			delete(pending, name)
		}
	}
	return slices.Sorted(maps.Keys(pending)), nil
}

// taken records steps.
func (db *Database) taken(ctx context.Context, steps []string) error {
	return db.Insert(ctx, "schema_steps", "step, taken_at", func(block driver.Batch) error {
		for _, step := range steps {
			if err := block.Append(step, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}
