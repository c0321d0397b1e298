package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"cdds/ops/app"
	"cdds/ops/config"
	"cdds/ops/metrics"
	"cdds/ops/shell"
)

func newUp(s *session) *cobra.Command {
	var roles []string
	var logLevel string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the system until interrupted",
		Long: `Run roles until interrupted. Where no service is configured, Kafka, ClickHouse and
S3 are started too, as child processes on loopback with their data in --data-dir;
otherwise the roles use the configured services.

Topics, tables and the bucket are created if they are missing. --roles none runs the
embedded stack alone, for roles in other processes.

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
			return s.up(cmd.Context(), roles, log)
		},
	}
	cmd.Flags().StringSliceVar(&roles, "roles", app.Roles(), "`roles` to run, or none")
	cmd.Flags().StringVar(&logLevel, "log-level", envOr("CDDS_LOG_LEVEL", "info"), "`level`: debug, info, warn or error (CDDS_LOG_LEVEL)")
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

func (s *session) up(ctx context.Context, roles []string, log *slog.Logger) error {
	c, err := config.Load(s.configFile, os.Environ())
	if err != nil {
		return usageError{err}
	}
	for _, name := range config.Unknown(os.Environ()) {
		log.Warn("unknown variable " + name + config.DidYouMean(name, config.Variables()))
	}
	for _, role := range roles {
		if !slices.Contains(app.Roles(), role) {
			return usageError{fmt.Errorf("role %q is unknown; roles are %s", role, strings.Join(app.Roles(), ", "))}
		}
	}
	if err := checked(c); err != nil {
		return usageError{err}
	}
	app.LimitMemory(roles, c.Export)
	sys, err := s.start(ctx, c, roles, log)
	if err != nil {
		return err
	}
	ready := map[string]any{"ready": true, "roles": roles, "metrics": "http://" + sys.app.MetricsAddr(), "kafka": sys.config.Kafka.Brokers}
	if url := sys.app.WebURL(); url != "" {
		ready["web"] = url
	}
	if sys.local != nil {
		ready["data_dir"] = s.dataDir
	}
	err = s.result(ready, func() {
		s.print("cdds is up: %s\n", strings.Join(append(roles, "metrics http://"+sys.app.MetricsAddr()), ", "))
		s.print("  kafka       %s\n  clickhouse  http://%s\n  s3          %s, bucket %s\n",
			strings.Join(sys.config.Kafka.Brokers, ","), strings.Join(sys.config.ClickHouse.Addr, ","), sys.config.S3.Endpoint, sys.config.S3.Bucket)
		if url := sys.app.WebURL(); url != "" {
			s.print("  web         %s\n", url)
		}
		if sys.local != nil {
			s.print("  data        %s\nIn another terminal: %s\n", s.dataDir, shell.Command("cdds", "--data-dir", s.dataDir, "doctor"))
		}
	})
	if err != nil {
		return errors.Join(err, sys.close())
	}
	return sys.run(ctx)
}

// system is a set of roles and, where nothing is configured, the stack below them.
type system struct {
	config config.Config
	local  *app.Local // nil where services are configured
	app    *app.App   // nil until it is wired
}

// start starts the embedded stack where no service is configured, wires the roles and
// provisions the services. The caller calls run, or closes. The roles come before the
// services: a port that is taken ends the start before it waits for anything.
func (s *session) start(ctx context.Context, c config.Config, roles []string, log *slog.Logger) (_ *system, err error) {
	sys := &system{config: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, sys.close())
		}
	}()
	if c.Embedded() {
		if sys.local, err = app.StartLocal(ctx, s.dataDir, c, log, func(step string) { s.say("%s", step) }); err != nil {
			return nil, unreachable(err)
		}
		sys.config = sys.local.Config
	}
	host, _ := os.Hostname()
	registry := metrics.NewRegistry()
	metrics.Version(registry, buildVersion())
	sys.app, err = app.New(app.Options{
		Config: sys.config, Roles: roles, Name: fmt.Sprintf("%s/%d", host, os.Getpid()),
		Logger: log, Registry: registry, FirstUser: s.firstUser,
	})
	if err != nil {
		return nil, err
	}
	return sys, s.provision(ctx, sys.config)
}

// firstUser tells, on the terminal and nowhere else, who can sign in the first time.
func (s *session) firstUser(name, password string) {
	_ = s.result(map[string]any{"first_user": name, "one_time_password": password}, func() {
		s.print("Sign in as %s with %s (once: you choose another password then)\n", name, password)
	})
}

// run runs the roles until ctx ends, or a role or the stack fails for good.
func (sys *system) run(ctx context.Context) error {
	if sys.local == nil {
		return sys.app.Run(ctx)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		if err := sys.local.Stack.Wait(ctx); err != nil && ctx.Err() == nil {
			stop(err)
		}
	}()
	err := sys.app.Run(ctx)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return errors.Join(err, sys.close())
}

// close gives back what start acquired, also after run.
func (sys *system) close() error {
	var problems []error
	if sys.app != nil {
		problems = append(problems, sys.app.Close())
	}
	if sys.local != nil {
		problems = append(problems, sys.local.Close())
	}
	return errors.Join(problems...)
}
