//go:build !receiver

package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/config"
	"cdds/ops/provision"
	"cdds/pipeline/bucket"
	"cdds/pipeline/tables"
)

func newProvision(s *session) *cobra.Command {
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "provision",
		Short: "Create topics, tables and the bucket",
		Long: `Wait for Kafka, ClickHouse and S3, up to --startup-timeout. Then create the topics,
tables and buckets that are missing, and bring the tables of an earlier release up to date;
what is there is left as it is. Then probe the object store: one that cannot keep what CDDS
promises is refused with the reason. Safe to repeat.

Run it before the first ` + "`cdds up`" + ` and with every new release: roles wait for it. On the
embedded stack ` + "`cdds up`" + ` does the same when it starts.

` + exitCodes,
		Example: examples("cdds provision", "cdds --config cdds.yaml provision --json"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.find()
			if err != nil {
				return err
			}
			log, _, err := s.logger("info")
			if err != nil {
				return err
			}
			services, err := connectAll(c)
			if err != nil {
				return err
			}
			err = s.awaitAndProvision(cmd.Context(), services, c, within, log)
			if err := errors.Join(err, services.close()); err != nil {
				return err
			}
			return s.result(map[string]any{"provisioned": true, "schema": tables.Version(provision.Schemas()...)}, func() {})
		},
	}
	cmd.Flags().DurationVar(&within, "startup-timeout", time.Minute, "`duration` to wait for Kafka, ClickHouse and S3 at most")
	return cmd
}

// provision creates what is missing in services that answer.
func (s *session) provision(ctx context.Context, services *services, c config.Config) error {
	return fit(provision.All(ctx, services.admin, services.tables, services.bucket, c, func(step string) { s.say("%s", step) }))
}

// fit is the error of a probe: an object store that cannot do what CDDS needs is a mistake
// in the configuration, everything else a service that does not answer.
func fit(err error) error {
	if err == nil {
		return nil
	}
	if unfit := new(bucket.UnfitError); errors.As(err, &unfit) {
		return usageError{err}
	}
	return unreachable(err)
}
