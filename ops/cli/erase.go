//go:build !receiver

package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/spf13/cobra"

	"cdds/ops/api/client"
	"cdds/ops/shell"
	"cdds/producers"
	"cdds/schemas"
)

func newErase(s *session) *cobra.Command {
	var wait bool
	var contactsFile, interactionsFile string
	r := &schemas.ErasureRequest{}
	cmd := &cobra.Command{
		Use:   "erase",
		Short: "Forget contacts or interactions, and say which artifacts still hold them",
		Long: `Erase a contact with all its interactions, or one interaction: remove every version that
was produced before now from ClickHouse and from later exports. Reading Kafka again does
not bring it back. --contacts-file and --interactions-file erase up to 10,000
ids together, in one erasure with one report.

With --wait the command waits for the end, and reports the result for each id and the exports whose
artifacts hold some of the data, each by its own filter, range and snapshot;
--delete-artifacts deletes those exports, and no others. If nothing is stored of one of the ids,
the command erases nothing and the exit code is 6: the id may be misspelt. With --skip-unknown it
erases the others. It refuses a tenant that never stored anything. If a hold keeps some of the
data, the erasure waits until the hold is released: --wait does not wait for that, and the exit
code is 3.

Data that is produced later is stored again. Kafka keeps its records as long as the
topics' retention says. Receivers must delete the files that they downloaded.

` + exitCodes,
		Example: examples(
			"cdds erase --tenant acme --contact c-42 --wait",
			"cdds erase --tenant acme --contacts-file people.txt --id case-4712 --wait   # an id a line",
			"cdds erase --tenant acme --interaction i-000017 --delete-artifacts --wait",
			"cdds erase --tenant acme --contact c-42 --id case-4711   # again with the same id: how it stands"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.ErasureID == "" {
				r.ErasureID = ulid.Make().String()
			}
			var err error
			if r.Contacts, err = idsIn("contacts-file", contactsFile); err != nil {
				return usageError{err}
			}
			if r.Interactions, err = idsIn("interactions-file", interactionsFile); err != nil {
				return usageError{err}
			}
			r.RequestedAt, r.RequestedBy, r.RequestedFrom = schemas.TimeOf(time.Now()), whoami(), machine()
			if err := r.Validate(); err != nil {
				return usageError{err}
			}
			return s.anywhere(func(c *client.Client) error { return s.eraseThere(cmd.Context(), c, r, wait) },
				func(services *services) error { return s.erase(cmd.Context(), services, r, wait) })
		},
	}
	tenantFlag(cmd, &r.TenantID)
	cmd.Flags().StringVar(&r.ContactID, "contact", "", "forget this contact `id` and all its interactions")
	cmd.Flags().StringVar(&r.InteractionID, "interaction", "", "forget this interaction `id`")
	cmd.Flags().StringVar(&contactsFile, "contacts-file", "", "forget the contacts whose ids this `file` lists, one a line")
	cmd.Flags().StringVar(&interactionsFile, "interactions-file", "", "forget the interactions whose ids this `file` lists, one a line")
	cmd.Flags().BoolVar(&r.SkipUnknown, "skip-unknown", false, "where nothing is stored of some, erase the others")
	cmd.Flags().BoolVar(&r.DeleteArtifacts, "delete-artifacts", false, "delete the exports that hold some, too")
	cmd.Flags().StringVar(&r.ErasureID, "id", "", "erasure `id` (default: a new one)")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is done")
	cmd.MarkFlagsMutuallyExclusive("contact", "interaction", "contacts-file")
	cmd.MarkFlagsMutuallyExclusive("contact", "interaction", "interactions-file")
	cmd.MarkFlagsOneRequired("contact", "interaction", "contacts-file", "interactions-file")
	return cmd
}

func (s *session) erase(ctx context.Context, services *services, r *schemas.ErasureRequest, wait bool) error {
	e, known, err := services.ledger.Erasure(ctx, r.TenantID, r.ErasureID)
	if err != nil {
		return unreachable(err)
	}
	if known && !e.IsOf(*r) {
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
		e = schemas.Erasure{Request: *r, State: schemas.ErasureRequested}
	}
	if wait {
		e, err = awaitErasure(ctx, e, historyPoll, func(ctx context.Context) (schemas.Erasure, bool, error) {
			now, known, err := services.ledger.Erasure(ctx, r.TenantID, r.ErasureID)
			if err != nil {
				err = unreachable(err)
			}
			return now, known, err
		})
		if err != nil {
			return err
		}
	}
	return s.toldErasure(e)
}

// eraseThere asks a server for the erasure.
func (s *session) eraseThere(ctx context.Context, c *client.Client, r *schemas.ErasureRequest, wait bool) error {
	asked, err := c.Erase(ctx, *r)
	if err != nil {
		return err
	}
	look := func(ctx context.Context) (schemas.Erasure, bool, error) {
		e, err := c.Erasure(ctx, asked.TenantID, asked.ErasureID)
		if p := (*client.Problem)(nil); errors.As(err, &p) && (p.Status == http.StatusNotFound || passing(err)) {
			return e, false, nil // accepted, and not known yet
		}
		return e, err == nil, err
	}
	e, known, err := look(ctx)
	if err != nil {
		return err
	}
	if !known {
		e = schemas.Erasure{Request: asked, State: schemas.ErasureRequested}
	}
	if wait {
		if e, err = awaitErasure(ctx, e, remotePoll, look); err != nil {
			return err
		}
	}
	return s.toldErasure(e)
}

// toldErasure shows how an erasure stands. One that found nothing has not erased anything,
// and ends the command as that.
func (s *session) toldErasure(e schemas.Erasure) error {
	if err := s.result(e, func() { s.showErasure(e) }); err != nil {
		return err
	}
	switch e.State {
	case schemas.ErasureNothingFound:
		check := "check the id: letter case and blanks count"
		if len(e.Subjects) > 1 {
			check = "check the ids: letter case and blanks count; --skip-unknown erases the others"
		} else if len(e.Subjects) == 1 && len(e.Subjects[0].Similar) > 0 {
			check += "; there is " + strings.Join(quoted(e.Subjects[0].Similar), " and ")
		}
		return jsonTold{nothing(withHint(errors.New(e.Reason), check,
			fmt.Sprintf("it may have been erased before: `%s` lists erasures", shell.Command("cdds", "audit", "--tenant", e.Request.TenantID))))}
	case schemas.ErasureHeld:
		return jsonTold{refused(withHint(errors.New(e.Waiting),
			fmt.Sprintf("`%s` shows the hold", shell.Command("cdds", "hold", "show", e.HoldID, "--tenant", e.Request.TenantID))))}
	case schemas.ErasureRefused:
		return jsonTold{refused(errors.New(e.Reason))}
	}
	return nil
}

// awaitErasure asks how an erasure stands until it has ended, for as long as ctx lasts.
func awaitErasure(ctx context.Context, e schemas.Erasure, every time.Duration, look func(context.Context) (schemas.Erasure, bool, error)) (schemas.Erasure, error) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for !e.Ended() && e.State != schemas.ErasureHeld {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return e, ctx.Err()
		}
		now, known, err := look(ctx)
		if err != nil {
			return e, errors.Join(err, ctx.Err())
		}
		if known {
			e = now
		}
	}
	return e, nil
}
