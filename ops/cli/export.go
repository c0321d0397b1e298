//go:build !receiver

package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/api/client"
	"cdds/ops/shell"
	"cdds/pipeline/ledger"
	"cdds/schemas"
)

func newExport(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Create, watch, cancel and download exports",
		Long: `Create, watch, cancel and download exports.

An export holds every interaction (or contact) of a tenant that was produced before it
was requested and whose time lies in [from, to). It is a set of parts, each a zip of
JSON Lines sealed for the recipients' certificates, and a signed manifest.

` + exitCodes,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newExportCreate(s), newExportList(s), newExportShow(s), newExportWatch(s), newExportCancel(s), newExportRetry(s), newExportDelete(s), newExportDownload(s))
	return cmd
}

// told is what scripts read about an export: the whole of it, with its id and state
// at the top.
func (s *session) told(e schemas.Export, text func()) error {
	return s.result(dated(e, time.Now()), text)
}

// datedExport is an export with how long its artifacts stay.
type datedExport struct {
	schemas.Export
	// DaysLeft is whole days, there only while there are artifacts.
	DaysLeft *int `json:"days_left,omitempty"`
}

func dated(e schemas.Export, now time.Time) datedExport {
	d := datedExport{Export: e}
	if e.State == schemas.Completed && e.Completion != nil {
		days := int(max(0, e.Completion.ExpiresAt.Sub(now)).Hours() / 24)
		d.DaysLeft = &days
	}
	return d
}

// outcome is the error an export's end amounts to.
func outcome(e schemas.Export) error {
	switch e.State {
	case schemas.Refused:
		return jsonTold{refused(fmt.Errorf("export %s was refused: %s", e.ExportID, e.Reason))}
	case schemas.Failed:
		f := e.Failure
		if f == nil {
			f = &schemas.Failure{Stage: "unknown", Reason: "the reason was not reported"}
		}
		err := fmt.Errorf("export %s failed at %s: %s", e.ExportID, f.Stage, f.Reason)
		if f.Hint != "" {
			err = withHint(err, f.Hint)
		}
		return jsonTold{err}
	case schemas.Cancelled:
		return jsonTold{fmt.Errorf("export %s was cancelled", e.ExportID)}
	case schemas.Expired, schemas.Deleted:
		return jsonTold{refused(fmt.Errorf("the artifacts of export %s are gone: %s", e.ExportID, e.Reason))}
	}
	return nil
}

// export is what history says of an export, with the first of its parts, as the API shows it;
// false if history does not know it.
func (s *services) export(ctx context.Context, tenant, id string) (e schemas.Export, known bool, err error) {
	if e, known, err = s.ledger.Export(ctx, tenant, id); err != nil || e.Done.Parts == 0 {
		return e, known, err
	}
	e.Parts, err = s.ledger.Parts(ctx, tenant, id, 0, ledger.MaxPage)
	return e, known, err
}

// lookUp finds an export with the first of its parts, or is an error with exit code 3.
func (s *session) lookUp(ctx context.Context, services *services, tenant, id string) (schemas.Export, error) {
	e, known, err := services.export(ctx, tenant, id)
	if err != nil {
		return e, unreachable(err)
	}
	if !known {
		return e, refused(withHint(fmt.Errorf("tenant %s has no export %s", tenant, id), "`"+shell.Command("cdds", "export", "list", "--tenant", tenant)+"` lists them"))
	}
	return e, nil
}

// withServices runs do with clients of the running system's services.
func (s *session) withServices(do func(*services) error) (err error) {
	services, err := s.connect()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, services.close()) }()
	return do(services)
}

// stored runs do with an export, of the server that is named or of the services, and a
// way to open its files.
func (s *session) stored(ctx context.Context, tenant, id string, do func(storedExport) error) error {
	return s.anywhere(func(c *client.Client) error { return storedThere(ctx, c, tenant, id, do) }, func(services *services) error {
		e, err := s.lookUp(ctx, services, tenant, id)
		if err != nil {
			return err
		}
		return do(services.stored(e, func(detail string) error {
			return s.audit(ctx, services, tenant, "export.download", e.ExportID, detail)
		}))
	})
}

// stored is an export with a way to its parts and files.
func (s *services) stored(e schemas.Export, record func(detail string) error) storedExport {
	return storedExport{Export: e, open: s.open, record: record, more: func(ctx context.Context, after int) ([]schemas.Receipt, error) {
		parts, err := s.ledger.Parts(ctx, e.TenantID, e.ExportID, after, ledger.MaxPage)
		if err != nil {
			err = unreachable(err)
		}
		return parts, err
	}}
}
