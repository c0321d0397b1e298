// Package cli is the command line of cdds: one file per command. A command only
// reads flags, calls the packages below and writes what they say; Main alone turns
// errors into exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cdds/ops/config"
	"cdds/ops/stack"
)

// session is what every command shares.
type session struct {
	in       io.Reader
	out, err terminal

	// json asks for output made for scripts: the last line of stdout is one object.
	json bool
	// quiet asks for no progress bars.
	quiet      bool
	configFile string
	dataDir    string
	// server is the URL of a server to act through; its token comes from a file or
	// CDDS_TOKEN, never from the command line, which others can read.
	server, tokenFile string

	// began says that a command's own code was reached.
	began bool
}

// mark makes every command say that it was reached, and refuse empty lists.
func (s *session) mark(cmd *cobra.Command) {
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := refuseEmpty(cmd); err != nil {
				return err
			}
			s.began = true
			return run(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		s.mark(c)
	}
}

// emptyClears marks a command whose lists may be empty: what they said before goes.
const emptyClears = "empty lists clear"

// refuseEmpty refuses a list without a value, such as --signer "$SIGNER" where SIGNER is
// not set: nothing would be pinned, and nothing filtered, without a word.
func refuseEmpty(cmd *cobra.Command) (err error) {
	if _, ok := cmd.Annotations[emptyClears]; ok {
		return nil
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		list, ok := f.Value.(pflag.SliceValue)
		if !ok || err != nil {
			return
		}
		if values := list.GetSlice(); len(values) == 0 || slices.Contains(values, "") {
			err = fmt.Errorf("--%s is empty; give it a value, or leave it out", f.Name)
		}
	})
	return err
}

// Main runs the command line and returns its exit code. It is the only place that
// listens to signals: the first one ends the command in order, a second one at once.
func Main(args []string, in io.Reader, out, err io.Writer) int {
	if code, child := stack.ChildMain(args); child {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// After the first signal the default is back, and a second one ends the process.
	context.AfterFunc(ctx, stop)

	s := &session{in: in, out: terminal{out}, err: terminal{err}}
	root := newRoot(s)
	root.SetArgs(args)
	if err := mistyped(root, args); err != nil {
		s.json = slices.Contains(args, "--json") // no flag is parsed yet
		return s.report(err)
	}
	cmd, failed := root.ExecuteContextC(ctx)
	if failed != nil && !s.began { // cobra's own: arguments, flags, unknown commands
		failed = usageError{withHint(failed, fmt.Sprintf("`%s --help` explains it", cmd.CommandPath()))}
	}
	return s.report(failed)
}

func newRoot(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:   "cdds",
		Short: "Get contact-centre history out: safely, completely, encrypted",
		Long: `cdds moves interactions and contacts from Kafka into ClickHouse, exports ranges of
them as zipped JSON Lines sealed for your RSA certificate, and proves with a signed
manifest that nothing is missing, added or changed.

Start here:
  cdds demo        everything once, on sample data, with the proof
  cdds up          the whole system on this machine, nothing to configure
  cdds sample      sample data to import

A command that acts on a running system finds it through --config, the CDDS_...
environment, or the data directory of a local ` + "`cdds up`" + ` (--data-dir).

` + exitCodes,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	flags := root.PersistentFlags()
	flags.BoolVar(&s.json, "json", false, "write output for scripts: the last line is one JSON object")
	flags.BoolVarP(&s.quiet, "quiet", "q", false, "show no progress")
	flags.StringVar(&s.configFile, "config", os.Getenv("CDDS_CONFIG"), "YAML configuration `file` (CDDS_CONFIG)")
	flags.StringVar(&s.dataDir, "data-dir", envOr("CDDS_DATA_DIR", config.DefaultDataDir), "data `directory` of the embedded stack (CDDS_DATA_DIR)")

	flags.StringVar(&s.server, "server", os.Getenv("CDDS_SERVER"), "`URL` of a CDDS server to act through, with the API token in CDDS_TOKEN (CDDS_SERVER)")
	flags.StringVar(&s.tokenFile, "token-file", os.Getenv("CDDS_TOKEN_FILE"), "`file` that holds the API token (CDDS_TOKEN_FILE)")

	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run the system:"},
		&cobra.Group{ID: "use", Title: "Bring history in, get it out:"},
		&cobra.Group{ID: "receive", Title: "Receive an export:"},
	)
	for group, commands := range map[string][]*cobra.Command{
		"run":     {newUp(s), newDemo(s), newProvision(s), newReady(s), newConfig(s), newDoctor(s), newAccount(s), newRetention(s)},
		"use":     {newSample(s), newImport(s), newExport(s), newJob(s), newCertificate(s), newAudit(s), newErase(s), newUser(s), newToken(s)},
		"receive": {newKeygen(s), newVerify(s), newDecrypt(s), newSync(s)},
		"":        {newVersion(s)},
	} {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	s.mark(root)
	explainArguments(root)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

// find loads the configuration of the running system a command acts on.
func (s *session) find() (config.Config, error) {
	if s.server != "" { // never the services of this machine in its stead
		return config.Config{}, usageError{withHint(errors.New("this command acts on the services themselves, not through --server (CDDS_SERVER)"),
			"leave --server out where the services can be reached")}
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

// examples indents the lines of a command's examples as cobra wants them.
func examples(lines ...string) string { return "  " + strings.Join(lines, "\n  ") }

func envOr(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}
