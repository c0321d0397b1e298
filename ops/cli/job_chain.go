//go:build !receiver

package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"cdds/schemas"
)

// chainShown is how many runs of a chain are shown at once.
const chainShown = 500

func newJobChain(s *session) *cobra.Command {
	var tenant string
	var after int
	cmd := &cobra.Command{
		Use:   "chain ID",
		Short: "List the runs of a job's chain",
		Long: `List the runs of a job that exports what came since its last run, by their number in its
chain. A receiver that applies them in order has what one whole export would hold; ` + "`cdds sync`" + `
does that.

` + exitCodes,
		Example: examples("cdds job chain nightly --tenant acme", "cdds job chain nightly --tenant acme --after 120 --json"),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withRegistry(cmd.Context(), func(r registry) error {
				j, err := r.job(cmd.Context(), tenant, args[0])
				if err != nil {
					return err
				}
				chain, err := r.chain(cmd.Context(), j, after)
				if err != nil {
					return err
				}
				return s.list(chain, s.chainRows(chain), fmt.Sprintf("job %s has no run of a chain there; only jobs with --since-last-run have chains", chain.JobID))
			})
		},
	}
	tenantFlag(cmd, &tenant)
	cmd.Flags().IntVar(&after, "after", 0, "list the runs after this `number`")
	return lists(cmd)
}

func (s *session) chainRows(chain schemas.ChainRuns) [][]string {
	rows := [][]string{{"RUN", "EXPORT", "HOLDS", "ROWS", "REMOVED", "SIZE", "COMPLETED", "FILES"}}
	for _, r := range chain.Runs {
		holds, files := "what differs", "until "+r.ExpiresAt.Format("2006-01-02")
		if r.Whole() {
			holds = "everything"
		}
		if r.Gone {
			files = "gone"
		}
		rows = append(rows, []string{
			strconv.Itoa(r.Number), r.ExportID, holds, s.count(r.Totals.Rows), s.count(r.Totals.Removed), s.bytes(r.Totals.SealedBytes),
			r.CompletedAt.String(), files,
		})
	}
	return rows
}

func (d *defined) chain(ctx context.Context, j schemas.Job, after int) (schemas.ChainRuns, error) {
	runs, err := d.ledger.ChainRuns(ctx, j.TenantID, j.JobID, after, chainShown)
	if err != nil {
		return schemas.ChainRuns{}, unreachable(err)
	}
	return schemas.ChainRuns{JobID: j.JobID, Entity: j.Entity, Runs: runs}, nil
}

func (f far) chain(ctx context.Context, j schemas.Job, after int) (schemas.ChainRuns, error) {
	return f.Chain(ctx, j.TenantID, j.JobID, after, 0)
}
