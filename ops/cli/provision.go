package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"cdds/ops/config"
	"cdds/ops/provision"
	"cdds/pipeline/bucket"
)

func newProvision(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "provision",
		Short: "Create topics, tables and the bucket",
		Long: `Create the topics, tables and bucket that are missing; what is there is left as it
is. Then probe the object store: one that cannot keep what CDDS promises is refused with
the reason. Safe to repeat. ` + "`cdds up`" + ` does the same when it starts.

` + exitCodes,
		Example: examples("cdds provision", "cdds --config cdds.yaml provision --json"),
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.find()
			if err != nil {
				return err
			}
			if err := s.provision(cmd.Context(), c); err != nil {
				return err
			}
			return s.result(map[string]bool{"provisioned": true}, func() {})
		},
	}
}

func (s *session) provision(ctx context.Context, c config.Config) (err error) {
	services, err := connectAll(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, services.close()) }()
	if err := provision.All(ctx, services.admin, services.tables, services.bucket, c, func(step string) { s.say("%s", step) }); err != nil {
		var unfit *bucket.UnfitError
		if errors.As(err, &unfit) {
			return usageError{err}
		}
		return unreachable(err)
	}
	return nil
}
