//go:build !receiver

package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/api/client"
	"cdds/schemas"
)

const (
	// completeWithin is how long a shell that completes waits for ids.
	completeWithin = 3 * time.Second
	// completed is how many ids it is offered, the latest.
	completed = 50
)

// completeIDs lets a shell complete the ids that commands take: of exports, jobs and
// certificates, with a word on each, and tenants.
func (s *session) completeIDs(root *cobra.Command) {
	for _, group := range root.Commands() {
		offer := map[string]func(context.Context, string) ([]cobra.Completion, error){
			"export": s.exportIDs, "job": s.jobIDs, "certificate": s.fingerprints,
		}[group.Name()]
		if group.Name() == "sync" {
			_ = group.RegisterFlagCompletionFunc("job", s.completion(s.jobIDs))
		}
		for _, cmd := range append(group.Commands(), group) {
			if cmd.Flags().Lookup("tenant") != nil {
				_ = cmd.RegisterFlagCompletionFunc("tenant", func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
					return s.completion(func(ctx context.Context, _ string) ([]cobra.Completion, error) { return s.tenants(ctx, typed) })(cmd, args, typed)
				})
			}
			_, argument, _ := strings.Cut(cmd.Use, " ")
			if first, _, _ := strings.Cut(argument, " "); offer != nil && (first == "ID" || first == "JOB" || first == "FINGERPRINT") {
				cmd.ValidArgsFunction = s.completion(offer)
			}
		}
	}
}

// completion offers what list finds for a tenant; nothing where it fails.
func (s *session) completion(list func(context.Context, string) ([]cobra.Completion, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const files = cobra.ShellCompDirectiveNoFileComp
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(orBackground(cmd.Context())), completeWithin)
		defer cancel()
		cmd.SetContext(ctx)
		tenant := ""
		if f := cmd.Flags().Lookup("tenant"); f != nil {
			_ = s.fillTenant(cmd) // without one there is nothing to offer
			tenant = f.Value.String()
		}
		found, err := list(ctx, tenant)
		if err != nil {
			return nil, files
		}
		return found, files
	}
}

func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

func (s *session) exportIDs(ctx context.Context, tenant string) (ids []cobra.Completion, err error) {
	var all []schemas.Export
	err = s.anywhere(func(c *client.Client) (err error) {
		all, err = s.remoteList(ctx, c, tenant, "", completed)
		return err
	}, func(services *services) (err error) {
		all, err = services.ledger.Exports(ctx, tenant, "", completed)
		return err
	})
	for _, e := range all {
		ids = append(ids, cobra.CompletionWithDesc(e.ExportID, string(e.State)+", "+e.RequestedAt.String()))
	}
	return ids, err
}

func (s *session) jobIDs(ctx context.Context, tenant string) (ids []cobra.Completion, err error) {
	return ids, s.withRegistry(ctx, func(r registry) error {
		all, err := r.listJobs(ctx, tenant)
		for _, j := range all {
			ids = append(ids, cobra.CompletionWithDesc(j.JobID, oneLine(j.Title)))
		}
		return err
	})
}

func (s *session) fingerprints(ctx context.Context, tenant string) (ids []cobra.Completion, err error) {
	return ids, s.withRegistry(ctx, func(r registry) error {
		all, err := r.certificates(ctx, tenant)
		for _, c := range all {
			ids = append(ids, cobra.CompletionWithDesc(c.Fingerprint[:16], oneLine(c.Name+" "+c.Subject)))
		}
		return err
	})
}

// mostCompleted bounds the tenants that a shell is offered.
const mostCompleted = 100

// tenants are the first whose id begins with what was typed: a shell offers no others.
func (s *session) tenants(ctx context.Context, typed string) (all []cobra.Completion, err error) {
	return all, s.anywhere(func(c *client.Client) (err error) {
		all, err = c.TenantsFrom(ctx, typed, mostCompleted)
		return err
	}, func(services *services) (err error) {
		all, err = services.warehouse.Tenants(ctx, typed, schemas.BeforeTenants(typed), mostCompleted)
		return err
	})
}
