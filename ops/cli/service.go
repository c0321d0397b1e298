//go:build !receiver

package cli

import (
	"errors"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cdds/ops/config"
)

const about = `cdds moves interactions and contacts from Kafka into ClickHouse, exports ranges of
them as zipped JSON Lines sealed for your RSA certificate, and proves with a signed
manifest that nothing is missing, added or changed.

Start here:
` + startHere + `  cdds sample      sample data to import

A command that acts on a running system finds it through --config, the CDDS_...
environment, or the data directory of a local ` + "`cdds up`" + ` (--data-dir).`

// serviceFlags say where the services are that commands act on.
func (s *session) serviceFlags(flags *pflag.FlagSet) {
	flags.StringVar(&s.configFile, "config", os.Getenv("CDDS_CONFIG"), "YAML configuration `file` (CDDS_CONFIG)")
	flags.StringVar(&s.dataDir, "data-dir", envOr("CDDS_DATA_DIR", config.DefaultDataDir), "data `directory` of the embedded stack (CDDS_DATA_DIR)")
}

// groups are the commands of the service and of who receives from it.
func (s *session) groups() []group {
	run := append([]*cobra.Command{newUp(s)}, embeddedCommands(s)...)
	return []group{
		{"run", "Run the system:", append(run, newProvision(s), newReady(s), newConfig(s), newDoctor(s), newAccount(s), newLetter(s), newRetention(s))},
		{"use", "Bring history in, get it out:", []*cobra.Command{
			newSample(s), newImport(s), newExport(s), newJob(s), newWebhook(s), newCertificate(s), newAudit(s), newErase(s), newHold(s), newUser(s), newSession(s), newToken(s), newTenant(s),
		}},
		s.receiving(),
		s.signingIn(),
	}
}

// topics are the pages of help of this build.
func (s *session) topics() []topic { return slices.Concat(serviceTopics, receivingTopics) }

// find loads the configuration of the running system a command acts on.
func (s *session) find() (config.Config, error) {
	if s.server != "" || s.context != "" { // never the services of this machine in its stead
		return config.Config{}, usageError{withHint(errors.New("this command acts on the services themselves, not through --server (CDDS_SERVER) or --context (CDDS_CONTEXT)"),
			"leave them out where the services can be reached")}
	}
	c, err := config.Find(s.configFile, s.dataDir, os.Environ())
	if errors.Is(err, config.ErrNotRunning) {
		return c, unreachable(withHint(err,
			"start one with `cdds up`, or name its data directory with --data-dir",
			"or set CDDS_KAFKA_BROKERS, CDDS_CLICKHOUSE_ADDR and CDDS_S3_ENDPOINT"))
	}
	if err != nil {
		return c, usageError{err}
	}
	if err := c.Check(); err != nil {
		return c, usageError{err}
	}
	return c, nil
}

// direct says that commands act on the services themselves.
func (s *session) direct() error {
	return s.result(map[string]any{"server": "", "name": whoami()}, func() {
		s.table([][]string{{"Server", "none: commands act on the services themselves"}, {"Name", whoami()}})
	})
}
