// Package cli is the command line of cdds: one file per command. A command only
// reads flags, calls the packages below and writes what they say; Main alone turns
// errors into exit codes.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// session is what every command shares.
type session struct {
	in       io.Reader
	out, err terminal

	// json asks for output made for scripts: the last line of stdout is one object.
	json bool
	// form is one of the forms of output.
	form string
	// quiet asks for no progress bars.
	quiet bool
	// configFile and dataDir say where the services are, in builds that act on them.
	configFile, dataDir string
	// server is the URL of a server to act through; its token comes from a file or
	// CDDS_TOKEN, never from the command line, which others can read.
	server, tokenFile string
	// context is the name of a saved server to act through instead of the current one.
	context string

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
			if err := s.chooseForm(cmd); err != nil {
				return err
			}
			if err := s.fillTenant(cmd); err != nil {
				return err
			}
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
	if code, child := childMain(args); child {
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
		s.json = slices.Contains(args, "--json") || slices.Contains(args, "-ojson") // no flag is parsed yet
		return s.report(err)
	}
	cmd, failed := root.ExecuteContextC(ctx)
	if failed != nil && !s.began { // cobra's own: arguments, flags, unknown commands
		failed = usageError{withHint(inOurWords(failed), fmt.Sprintf("`%s --help` explains it", cmd.CommandPath()))}
	}
	return s.report(failed)
}

// Commands is the command line where nothing is set, for documents made from it.
func Commands() *cobra.Command {
	for _, v := range os.Environ() {
		if name, value, _ := strings.Cut(v, "="); strings.HasPrefix(name, "CDDS_") { // it would be the default of a flag
			_ = os.Unsetenv(name)
			defer func() { _ = os.Setenv(name, value) }()
		}
	}
	return newRoot(&session{in: strings.NewReader(""), out: terminal{io.Discard}, err: terminal{io.Discard}})
}

// newRoot is the command line of this build: commands of every kind of it, and what
// each build adds (build, addCommands).
func newRoot(s *session) *cobra.Command {
	root := &cobra.Command{
		Use:           "cdds",
		Short:         "Get contact-centre history out: safely, completely, encrypted",
		Long:          about + "\n\n" + exitCodes,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	flags := root.PersistentFlags()
	flags.BoolVar(&s.json, "json", false, "write output for scripts: the last line is one JSON object; the same as -o json")
	flags.StringVarP(&s.form, "output", "o", formTable, "how results are written, a `name`: table, json, yaml; for lists csv and jsonl, too")
	flags.BoolVarP(&s.quiet, "quiet", "q", false, "show no progress")
	flags.StringVar(&s.server, "server", os.Getenv("CDDS_SERVER"), "`URL` of a CDDS server to act through, with the API token in CDDS_TOKEN (CDDS_SERVER)")
	flags.StringVar(&s.tokenFile, "token-file", os.Getenv("CDDS_TOKEN_FILE"), "`file` that holds the API token (CDDS_TOKEN_FILE)")
	flags.StringVar(&s.context, "context", os.Getenv("CDDS_CONTEXT"), "`name` of a saved context to act through (CDDS_CONTEXT; see cdds login)")
	s.serviceFlags(flags)

	for _, g := range s.groups() {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
	root.AddCommand(newVersion(s))
	root.AddCommand(commandsOf(s.topics())...)
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{formTable, formJSON, formYAML, formCSV, formJSONL}, cobra.ShellCompDirectiveNoFileComp))
	_ = root.RegisterFlagCompletionFunc("context", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return contextNames(), cobra.ShellCompDirectiveNoFileComp
	})
	root.SetFlagErrorFunc(mistypedFlag)
	s.mark(root)
	s.completeIDs(root)
	explainArguments(root)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

// group is commands that help shows together.
type group struct {
	id, title string
	commands  []*cobra.Command
}

// signingIn are the commands about the server to act through, which every build has.
func (s *session) signingIn() group {
	return group{"server", "Choose a server:", []*cobra.Command{newLogin(s), newContext(s), newWhoami(s)}}
}

// receiving are the commands that open an export, which every build has.
func (s *session) receiving() group {
	return group{"receive", "Receive an export:", []*cobra.Command{newKeygen(s), newVerify(s), newDecrypt(s), newSync(s)}}
}

// examples indents the lines of a command's examples as cobra wants them.
func examples(lines ...string) string { return "  " + strings.Join(lines, "\n  ") }

func envOr(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}
