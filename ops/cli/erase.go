package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"cdds/producers"
	"cdds/schemas"
)

func newErase(s *session) *cobra.Command {
	var wait bool
	r := &schemas.ErasureRequest{}
	cmd := &cobra.Command{
		Use:   "erase",
		Short: "Forget a contact or an interaction, and say which artifacts still hold it",
		Long: `Forget a contact with all its interactions, or one interaction: every version that
was produced before now is removed from ClickHouse and from later exports, also if
Kafka is read again. With --wait it is told when it is done and which exports still
have artifacts that hold it; --delete-artifacts deletes those.

What is produced from now on is stored again. Kafka keeps its records as long as the
topics' retention says, and what receivers downloaded is theirs to delete.

` + exitCodes,
		Example: examples(
			"cdds erase --tenant acme --contact c-42 --wait",
			"cdds erase --tenant acme --interaction i-000017 --delete-artifacts --wait",
			"cdds erase --tenant acme --contact c-42 --id case-4711   # again with the same id: how it stands"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.ErasureID == "" {
				r.ErasureID = ulid.Make().String()
			}
			r.RequestedAt, r.RequestedBy = schemas.TimeOf(time.Now()), whoami()
			if err := r.Validate(); err != nil {
				return usageError{err}
			}
			return s.withServices(func(services *services) error { return s.erase(cmd.Context(), services, r, wait) })
		},
	}
	tenantFlag(cmd, &r.TenantID)
	cmd.Flags().StringVar(&r.ContactID, "contact", "", "forget this contact `id` and all its interactions")
	cmd.Flags().StringVar(&r.InteractionID, "interaction", "", "forget this interaction `id`")
	cmd.Flags().BoolVar(&r.DeleteArtifacts, "delete-artifacts", false, "delete the exports that hold it, too")
	cmd.Flags().StringVar(&r.ErasureID, "id", "", "erasure `id` (default: a new one)")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is done")
	cmd.MarkFlagsMutuallyExclusive("contact", "interaction")
	cmd.MarkFlagsOneRequired("contact", "interaction")
	return cmd
}

func (s *session) erase(ctx context.Context, services *services, r *schemas.ErasureRequest, wait bool) error {
	e, known, err := services.warehouse.Erasure(ctx, r.TenantID, r.ErasureID)
	if err != nil {
		return unreachable(err)
	}
	if known && !e.Request.SameAs(*r) {
		return refused(fmt.Errorf("erasure %s is about something else; choose another --id", r.ErasureID))
	}
	if !known {
		publisher, err := producers.New(services.kafka, "cdds/cli", nil)
		if err != nil {
			return err
		}
		defer publisher.Close()
		if err := publisher.Publish(ctx, r); err != nil {
			return unreachable(err)
		}
		e = schemas.Erasure{Request: *r, State: "requested"}
	}
	if wait {
		if e, err = awaitErasure(ctx, services, r, e); err != nil {
			return err
		}
	}
	return s.result(e, func() {
		fmt.Fprintf(s.out, "erasure %s is %s\n", r.ErasureID, e.State)
		if e.Waiting != "" {
			fmt.Fprintln(s.out, e.Waiting)
		}
		if e.State != schemas.ErasureDone {
			return
		}
		fmt.Fprintf(s.out, "%s versions removed; exports with artifacts that hold some: %d\n", count(e.Rows), len(e.Exports))
		if len(e.Exports) == 0 {
			return
		}
		rows := [][]string{{"EXPORT", "STATE", "VERSIONS", "EXPIRES", "DELETION"}}
		for _, x := range e.Exports {
			deletion := "not asked for"
			if x.Deleted {
				deletion = "asked for"
			}
			rows = append(rows, []string{x.ExportID, string(x.State), count(x.Rows), x.ExpiresAt.String(), deletion})
		}
		s.table(rows)
	})
}

// awaitErasure waits until the erasure is done, for as long as ctx lasts.
func awaitErasure(ctx context.Context, services *services, r *schemas.ErasureRequest, e schemas.Erasure) (schemas.Erasure, error) {
	for e.State != schemas.ErasureDone {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return e, ctx.Err()
		}
		now, known, err := services.warehouse.Erasure(ctx, r.TenantID, r.ErasureID)
		if err != nil {
			return e, errors.Join(unreachable(err), ctx.Err())
		}
		if known {
			e = now
		}
	}
	return e, nil
}
