//go:build !receiver

package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cdds/ops/app"
	"cdds/ops/config"
	"cdds/ops/shell"
)

func newUp(s *session) *cobra.Command {
	var roles []string
	var logLevel string
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the system until interrupted",
		Long: `Run roles until interrupted. If no service is configured, start Kafka, ClickHouse and
S3 too, as child processes on loopback with their data in --data-dir;
otherwise the roles use the configured services.

Each process waits for the services its roles need, up to --startup-timeout, until they
answer and ` + "`cdds provision`" + ` has created topics, tables and buckets there; a line in the log
says what it waits for and why. If a service refuses the credentials, the process stops at once.
This command provisions the embedded stack. --roles none runs the stack alone, for roles in other
processes.

SIGUSR1 switches the log to debug, and back.

` + exitCodes,
		Example: examples(
			"cdds up",
			"cdds up --data-dir /var/lib/cdds",
			"cdds up --roles ingest,history",
			"CDDS_KAFKA_BROKERS=kafka:9092 CDDS_CLICKHOUSE_ADDR=ch:8123 CDDS_S3_ENDPOINT=minio:9000 cdds up"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, level, err := s.logger(logLevel)
			if err != nil {
				return usageError{err}
			}
			switchLevel(cmd.Context(), level, log)
			if len(roles) == 1 && roles[0] == "none" {
				roles = nil
			}
			return s.up(cmd.Context(), roles, within, log)
		},
	}
	cmd.Flags().StringSliceVar(&roles, "roles", app.Roles(), "`roles` to run, or none")
	cmd.Flags().StringVar(&logLevel, "log-level", envOr("CDDS_LOG_LEVEL", "info"), "`level`: debug, info, warn or error (CDDS_LOG_LEVEL)")
	cmd.Flags().DurationVar(&within, "startup-timeout", 5*time.Minute, "`duration` to wait for Kafka, ClickHouse and S3 at most")
	_ = cmd.RegisterFlagCompletionFunc("roles", cobra.FixedCompletions(append(app.Roles(), "none"), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// logger writes to stderr: text to people, JSON to log collectors. The level can be
// changed later.
func (s *session) logger(text string) (*slog.Logger, *slog.LevelVar, error) {
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return nil, nil, fmt.Errorf("--log-level %q must be debug, info, warn or error", text)
	}
	options := &slog.HandlerOptions{Level: level}
	if s.err.isTerminal() {
		return slog.New(slog.NewTextHandler(s.err, options)), level, nil
	}
	return slog.New(slog.NewJSONHandler(s.err, options)), level, nil
}

func (s *session) up(ctx context.Context, roles []string, within time.Duration, log *slog.Logger) error {
	c, err := config.Load(s.configFile, os.Environ())
	if err != nil {
		return usageError{err}
	}
	for _, name := range config.Unknown(os.Environ()) {
		log.Warn("unknown variable " + name + config.DidYouMean(name, config.Variables()))
	}
	if err := knownRoles(roles); err != nil {
		return err
	}
	if err := checked(c); err != nil {
		return usageError{err}
	}
	app.LimitMemory(roles, c.Export)
	sys, err := s.start(ctx, c, roles, within, log)
	if err != nil {
		return err
	}
	return sys.run(ctx, func() error { return s.isUp(sys, roles) })
}

// isUp says what runs and where.
func (s *session) isUp(sys *system, roles []string) error {
	ready := map[string]any{"ready": true, "roles": roles, "metrics": "http://" + sys.app.MetricsAddr(), "kafka": sys.config.Kafka.Brokers}
	if url := sys.app.WebURL(); url != "" {
		ready["web"] = url
	}
	if sys.local != nil {
		ready["data_dir"] = s.dataDir
	}
	return s.result(ready, func() {
		s.print("cdds is up: %s\n", strings.Join(append(roles, "metrics http://"+sys.app.MetricsAddr()), ", "))
		s.print("  kafka       %s\n  clickhouse  http://%s\n  s3          %s, bucket %s\n",
			strings.Join(sys.config.Kafka.Brokers, ","), strings.Join(sys.config.ClickHouse.Addr, ","), sys.config.S3.Endpoint, sys.config.S3.Bucket)
		if url := sys.app.WebURL(); url != "" {
			s.print("  web         %s\n", url)
		}
		if sys.local != nil {
			s.print("  data        %s\nIn another terminal: %s\n", s.dataDir, s.onThisData("doctor"))
		}
	})
}

// onThisData is a command as it is typed to act on the data of this system: in the directory
// that has the data, cdds finds it.
func (s *session) onThisData(command string) string {
	if s.dataDir == config.DefaultDataDir {
		return shell.Command("cdds", command)
	}
	return shell.Command("cdds", "--data-dir", s.dataDir, command)
}

// firstUser tells, on the terminal and nowhere else, who can sign in the first time.
func (s *session) firstUser(name, password string) {
	_ = s.result(map[string]any{"first_user": name, "one_time_password": password}, func() {
		s.print("\nSign in as %s with %s (once: you choose another password then)\n\n", name, password)
	})
}

// knownRoles refuses a role that does not exist.
func knownRoles(roles []string) error {
	for _, role := range roles {
		if !slices.Contains(app.Roles(), role) {
			return usageError{fmt.Errorf("role %q is unknown%s; roles are %s", role, config.DidYouMean(role, app.Roles()), strings.Join(app.Roles(), ", "))}
		}
	}
	return nil
}
