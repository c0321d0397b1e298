//go:build !receiver

package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"cdds/ops/config"
)

func newConfig(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print or check the configuration",
		Long: `The configuration consists of defaults, then the YAML file (--config), then the environment
(CDDS_...). Print it, with secrets hidden, or check it without starting anything.

` + exitCodes,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "print", Short: "Print the resulting configuration, secrets hidden", Args: cobra.NoArgs,
			Example: examples("cdds config print", "cdds --config cdds.yaml config print --json"),
			RunE: func(*cobra.Command, []string) error {
				c, err := config.Load(s.configFile, os.Environ())
				if err != nil {
					return usageError{err}
				}
				text, err := yaml.Dump(c.Printable())
				if err != nil {
					return err
				}
				var shown map[string]any // by the keys of YAML
				if err := yaml.Load(text, &shown); err != nil {
					return err
				}
				return s.result(shown, func() { fmt.Fprintf(s.out, "%s", text) })
			},
		},
		&cobra.Command{
			Use: "check", Short: "Report every problem of the configuration", Args: cobra.NoArgs,
			Example: examples("cdds config check", "cdds --config cdds.yaml config check"),
			RunE:    func(*cobra.Command, []string) error { return s.checkConfig() },
		},
		&cobra.Command{
			Use: "schema", Short: "Print the JSON Schema of the file, for editors", Args: cobra.NoArgs,
			Example: examples("cdds config schema > cdds.schema.json"),
			RunE: func(*cobra.Command, []string) error {
				_, err := s.out.Write(config.Schema)
				return err
			},
		},
	)
	return cmd
}

// checkConfig reports all problems at once: of the file, of the environment, and of what
// they come to.
func (s *session) checkConfig() error {
	c, err := config.Load(s.configFile, os.Environ())
	problems := []error{err}
	if err == nil {
		problems = append(problems, checked(c), c.CheckFiles())
	} else { // what is missing may be in what could not be read
		problems = append(problems, c.CheckWritten())
	}
	for _, name := range config.Unknown(os.Environ()) {
		problems = append(problems, fmt.Errorf("unknown variable %s%s", name, config.DidYouMean(name, config.Variables())))
	}
	if err := config.Join(problems...); err != nil {
		return usageError{err}
	}
	return s.result(map[string]any{"valid": true, "embedded": c.Embedded()}, func() {
		if c.Embedded() {
			fmt.Fprintln(s.out, "valid; no service is configured: the embedded stack is used")
			return
		}
		fmt.Fprintln(s.out, "valid")
	})
}

// checked reports every problem of what is configured, before anything is started.
func checked(c config.Config) error {
	if c.Embedded() {
		return c.CheckSettings()
	}
	return c.Check()
}
