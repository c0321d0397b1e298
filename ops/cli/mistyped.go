package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"cdds/ops/config"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// mistyped refuses a command line whose command does not exist, with the commands that
// look like it. It comes before cobra parses flags: cobra would report the flags of
// `cdds job lst --tenant acme` as unknown to `cdds job`, and print the help of the parent
// for `cdds help exprot` as if all were well.
func mistyped(root *cobra.Command, args []string) error {
	if len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd) {
		return nil // a shell that completes a command line; cobra adds its command when it runs
	}
	cmd, rest, _ := root.Find(args) // its error is about arguments, which come later
	word := firstWord(cmd, rest)
	if cmd.Name() == "help" && cmd.Parent() == root {
		if word == "" {
			return nil
		}
		return mistyped(root, rest)
	}
	if word == "" || !cmd.HasAvailableSubCommands() {
		return nil
	}
	var hints []string
	if cmd.SuggestionsMinimumDistance == 0 {
		cmd.SuggestionsMinimumDistance = 2 // letters to change
	}
	for _, name := range cmd.SuggestionsFor(word) {
		hints = append(hints, fmt.Sprintf("did you mean `%s %s`?", cmd.CommandPath(), name))
	}
	hints = append(hints, fmt.Sprintf("`%s --help` lists its commands", cmd.CommandPath()))
	return usageError{withHint(fmt.Errorf("%q is not a command of %s", word, cmd.CommandPath()), hints...)}
}

// firstWord is the first argument that is neither a flag nor a flag's value; empty if
// none exists.
func firstWord(cmd *cobra.Command, args []string) string {
	for n := 0; n < len(args); n++ {
		arg := args[n]
		switch {
		case arg == "--":
			return ""
		case !strings.HasPrefix(arg, "-") || arg == "-":
			return arg
		case !strings.Contains(arg, "=") && takesValue(cmd, strings.TrimLeft(arg, "-")):
			n++
		}
	}
	return ""
}

func takesValue(cmd *cobra.Command, name string) bool {
	for _, flags := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags(), cmd.InheritedFlags()} {
		if f := flags.Lookup(name); f != nil {
			return f.NoOptDefVal == ""
		}
	}
	return false
}

// explainArguments lets every command say what is wrong with its arguments in terms of
// its usage. cobra calls any argument of a command that takes none an unknown command.
func explainArguments(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			switch err := check(cmd, args); {
			case err == nil:
				return nil
			case !strings.Contains(cmd.Use, " "):
				return fmt.Errorf("%s takes no arguments, but %q is one", cmd.CommandPath(), args[0])
			default:
				return fmt.Errorf("wrong number of arguments: %d; usage: %s", len(args), cmd.UseLine())
			}
		}
	}
	for _, below := range cmd.Commands() {
		explainArguments(below)
	}
}

// mistypedFlag names the flag that an unknown one looks like, and says what a flag takes
// that has another value.
func mistypedFlag(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &invalid):
		if takes, ok := values[invalid.GetFlag().Value.Type()]; ok { // the cause names Go's parser
			return fmt.Errorf("--%s %q is not %s", invalid.GetFlag().Name, invalid.GetValue(), takes)
		}
		return err
	case !errors.As(err, &unknown):
		return err
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, "--"+f.Name) })
	return fmt.Errorf("%w%s", err, config.DidYouMean("--"+unknown.GetSpecifiedName(), known))
}

// values are what the types of flags take.
var values = map[string]string{
	"int": wholeNumber, "int32": wholeNumber, "int64": wholeNumber, "uint": wholeNumber, "uint64": wholeNumber,
	"bool":     "true or false",
	"float64":  "a number",
	"duration": "a duration such as 90s, 15m or 2h",
}

const wholeNumber = "a whole number"

// groups are what cobra says of flags that belong together.
var groups = []struct {
	says *regexp.Regexp
	ours string
}{
	{regexp.MustCompile(`^at least one of the flags in the group \[(.*)\] is required$`), "give one of %s"},
	{regexp.MustCompile(`^required flag\(s\) (.*) not set$`), "missing: %s"},
	{regexp.MustCompile(`^if any flags in the group .* must all be set; missing \[(.*)\]$`), "missing: %s"},
	{regexp.MustCompile(`^if any flags in the group .* none of the others can be; \[(.*)\] were all set$`), "give only one of %s"},
}

// inOurWords is what cobra says of flags, with their names as they are typed.
func inOurWords(err error) error {
	for _, g := range groups {
		if said := g.says.FindStringSubmatch(err.Error()); said != nil {
			names := strings.FieldsFunc(said[1], func(r rune) bool { return strings.ContainsRune(` ,"`, r) })
			return fmt.Errorf(g.ours, "--"+strings.Join(names, ", --"))
		}
	}
	return err
}
