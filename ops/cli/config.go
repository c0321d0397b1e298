package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"cdds/ops/config"
)

func newConfig(s *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print or check the configuration",
		Long: `Defaults, then the YAML file (--config), then the environment (CDDS_...): print what
they come to, secrets hidden, or check it without starting anything.

` + exitCodes,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "print", Short: "Print what the configuration comes to, secrets hidden", Args: cobra.NoArgs,
			Example: examples("cdds config print", "cdds --config cdds.yaml config print --json"),
			RunE: func(*cobra.Command, []string) error {
				c, err := config.Load(s.configFile, os.Environ())
				if err != nil {
					return usageError{err}
				}
				text, err := yaml.Marshal(c)
				if err != nil {
					return err
				}
				asJSON, err := yaml.YAMLToJSON(text)
				if err != nil {
					return err
				}
				return s.result(rawJSON(asJSON), func() { fmt.Fprintf(s.out, "%s", text) })
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
	if err == nil { // on half of a file it would report what the other half says
		problems = append(problems, checked(c))
	}
	for _, name := range config.Unknown(os.Environ()) {
		problems = append(problems, fmt.Errorf("%s means nothing: it is misspelt, or somebody else's", name))
	}
	if err := errors.Join(problems...); err != nil {
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

// rawJSON is JSON already.
type rawJSON []byte

// MarshalJSON implements json.Marshaler.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }
