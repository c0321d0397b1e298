//go:build receiver

package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const about = `cdds downloads exports, proves with their signed manifest that nothing is missing,
added or changed, decrypts them, and keeps a copy of what a job exports in a database
or in files.

This is the build for receivers of exports. It talks to a CDDS server (--server)
and to files, and runs no service.`

// serviceFlags are none: this build acts on no services.
func (s *session) serviceFlags(*pflag.FlagSet) {}

// topics are the pages of help of this build.
func (s *session) topics() []topic { return receivingTopics }

// groups are the commands of who receives exports.
func (s *session) groups() []group {
	receiving := s.receiving()
	receiving.commands = append(receiving.commands, newExport(s))
	return []group{receiving, s.signingIn()}
}

func newExport(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Download exports",
		Long:  "Download exports from a server.\n\n" + exitCodes,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newExportDownload(s))
	return cmd
}

// stored runs do with an export of the server that is named, and a way to open its files.
func (s *session) stored(ctx context.Context, tenant, id string, do func(storedExport) error) error {
	c, err := s.remote()
	if err != nil {
		return err
	}
	if c == nil {
		return errNoServer
	}
	return answered(storedThere(ctx, c, tenant, id, do))
}

// errNoServer is the error of a command that acts on a server where none is named.
var errNoServer = usageError{withHint(errors.New("no server is named"), "use `cdds login`, or name it with --server or CDDS_SERVER, and its token with CDDS_TOKEN or --token-file")}

// direct is an error: this build acts on no services.
func (s *session) direct() error { return errNoServer }

// completeIDs offers nothing: a receiver cannot list ids.
func (s *session) completeIDs(*cobra.Command) {}
